"""Cloudflare in front of the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from stacks.domain import AbsolutePath, Expected, Hostname, Part, whole

CloudflareId = Annotated[
    str, Field(pattern=r"^[0-9a-f]{32}$"), Expected("an id of Cloudflare's", "023e105f4ecef8ad9ca31a8372d0c353")
]
RuleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$"), Expected("a name in lower case", "api")]


class EdgeRateLimit(Part):
    path: AbsolutePath
    """The beginning of the paths that it counts."""
    requests: whole(1, 1_000_000, "requests", 300)  # type: ignore[valid-type]
    """So many from one address in a period are the most."""
    period_seconds: Annotated[Literal[10, 60], Expected("seconds, as Cloudflare's Pro plan offers them", 60)]
    block_seconds: Annotated[
        Literal[10, 60, 120, 300, 600, 3600], Expected("seconds, as Cloudflare's Pro plan offers them", 600)
    ]
    """How long an address is refused then."""


class Edge(Part):
    account_id: CloudflareId
    zone: Hostname
    """The domain at Cloudflare. Its rules and settings are this environment's alone."""
    zone_id: CloudflareId | None = None
    """An existing zone's; without it the zone is made."""
    hostname: Hostname
    """Where users come in."""
    ssl: Literal["flexible", "full", "strict"]
    """How Cloudflare talks to the load balancer: without TLS, with it, with a certificate that is checked."""
    min_tls_version: Annotated[Literal["1.2", "1.3"], Expected("the oldest TLS that users may speak", "1.2")]
    always_use_https: bool
    security_level: Literal["essentially_off", "low", "medium", "high"]
    """What it is until an incident makes it under_attack; operations own it from then on."""
    browser_cache_seconds: Annotated[
        Literal[0, 1800, 3600, 7200, 14400, 28800, 86400], Expected("seconds; 0 leaves it to the application", 14400)
    ]
    """What browsers are told to keep of cached files whose origin says nothing."""
    challenge_seconds: Annotated[Literal[300, 900, 1800, 2700, 3600], Expected("seconds", 1800)]
    """How long a visitor who passed a challenge isn't asked again."""
    uncached_path: AbsolutePath
    """The beginning of paths that are never cached."""
    rate_limits: Annotated[dict[RuleName, EdgeRateLimit], Field(min_length=1, max_length=2)]
    """At most two, as Cloudflare's Pro plan has them."""

    def contradictions(self) -> Iterator[str]:
        if self.hostname != self.zone and not self.hostname.endswith(f".{self.zone}"):
            yield f"hostname: {self.hostname} is not in zone {self.zone}"

    def against(self, record: str, certificate: str | None, hostname: str | None) -> Iterator[str]:
        """What doesn't fit the origin's name and the listener."""
        if record == self.hostname:
            yield f"dns.record: {record} is edge.hostname; the edge needs another name that leads to the load balancer"
        if hostname is not None and hostname != self.hostname:
            yield f"edge.hostname: users ask for {self.hostname}, but the listener's certificate is for {hostname}"
        if (certificate is None) != (self.ssl == "flexible"):
            yield "edge.ssl: flexible if, and only if, the listener has no certificate"
