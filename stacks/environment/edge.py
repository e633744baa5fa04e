"""Cloudflare in front, where the environment has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

if TYPE_CHECKING:
    from components.edge import Edge
    from stacks.environment import Environment

# Route 53 gives every zone so many.
NAME_SERVERS = 4


def edge(environment: Environment) -> Edge | None:
    settings = environment.settings.edge
    if settings is None:
        return None
    # Here: Cloudflare's SDK is large, and not every environment needs it.
    import pulumi_cloudflare as cloudflare

    from components.edge import Edge, EdgeArgs, RateLimit

    dns, listener = environment.settings.dns, environment.settings.listener
    servers = environment.dns.name_servers
    # Who owns an existing zone of Route 53 has delegated it already.
    delegated = dns.zone_id is None and dns.zone.endswith(f".{settings.zone}")
    return Edge(
        f"{environment.prefix}-edge",
        EdgeArgs(
            account_id=settings.account_id,
            zone_name=settings.zone,
            zone_id=settings.zone_id,
            hostname=settings.hostname,
            origin=dns.record,
            origin_zone=dns.zone,
            origin_name_servers=[servers[number] for number in range(NAME_SERVERS)] if delegated else [],
            origin_port=listener.port,
            origin_tls=listener.certificate_arn is not None,
            uncached_path=settings.uncached_path,
            rate_limits={
                key: RateLimit(
                    path=limit.path,
                    requests=limit.requests,
                    period_seconds=limit.period_seconds,
                    block_seconds=limit.block_seconds,
                )
                for key, limit in settings.rate_limits.items()
            },
            security_level=settings.security_level,
            settings={
                "ssl": settings.ssl,
                "min_tls_version": settings.min_tls_version,
                "always_use_https": "on" if settings.always_use_https else "off",
                "browser_cache_ttl": settings.browser_cache_seconds,
                "challenge_ttl": settings.challenge_seconds,
            },
            protect=environment.settings.protection.data,
        ),
        pulumi.ResourceOptions(providers=[cloudflare.Provider(f"{environment.prefix}-edge")]),
    )


def document(environment: Environment) -> dict[str, Any] | None:
    """The manifest's section: what an incident changes at the edge, and what it is without one."""
    edge, settings = environment.edge, environment.settings.edge
    if edge is None or settings is None:
        return None
    return {
        "account_id": settings.account_id,
        "zone": settings.zone,
        "zone_id": edge.zone_id,
        "hostname": edge.hostname,
        "blocked_list": edge.blocked_list,
        "blocked_list_id": edge.blocked_list_id,
        "rate_limits_id": edge.rate_limits_id,
        "security_level": settings.security_level,
    }
