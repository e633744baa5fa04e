"""Cloudflare in front of the service: where users come in, and where an attack is stopped.

Who owns what: this program owns the zone, its records, rules and settings. What an incident changes belongs to
operations from the start: the addresses on the list, and the security level. Any other emergency change is a loan,
which an operation gives back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_cloudflare as cloudflare

HTTP, HTTPS = 80, 443
# Cloudflare chooses: what is proxied has no other TTL.
AUTOMATIC = 1
# Seconds that a resolver may keep who is asked for the origin's names.
DELEGATION_TTL = 3600
# What operations change in an incident; given once, and then left alone.
SECURITY_LEVEL = "security_level"


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """More than `requests` in `period_seconds` from one address to paths that begin with `path`, and it is refused for
    `block_seconds`."""

    path: str
    requests: int
    period_seconds: int
    block_seconds: int


@dataclass(frozen=True, kw_only=True)
class EdgeArgs:
    """`zone_id` is an existing zone's; without it the zone `zone_name` is made. `hostname` leads to `origin`, a name
    that another provider answers for: `origin_zone` is delegated to its `origin_name_servers` (none: it is already).

    `origin_port` is where the origin listens, `uncached_path` the beginning of paths that are never kept. `settings`
    are the zone's, by Cloudflare's names; `security_level` is what it is until an incident.
    """

    account_id: pulumi.Input[str]
    zone_name: str
    zone_id: pulumi.Input[str] | None
    hostname: str
    origin: pulumi.Input[str]
    origin_zone: str
    origin_name_servers: Sequence[pulumi.Input[str]]
    origin_port: int
    origin_tls: bool
    uncached_path: str
    rate_limits: Mapping[str, RateLimit]
    security_level: pulumi.Input[str]
    settings: Mapping[str, pulumi.Input[str | int]]
    protect: bool


class Edge(pulumi.ComponentResource):
    """`blocked_list` is the list whose addresses are refused: empty here, operations fill it."""

    zone_id: pulumi.Output[str]
    hostname: str
    blocked_list_id: pulumi.Output[str]
    blocked_list: str
    rate_limits_id: pulumi.Output[str]

    def __init__(self, name: str, args: EdgeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Edge", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        zone_id = self._zone()
        self._records(zone_id)
        self._settings(zone_id)
        blocked = cloudflare.List(
            f"{name}-blocked",
            account_id=args.account_id,
            # Cloudflare takes no hyphens here.
            name=f"{name}_blocked".replace("-", "_"),
            kind="ip",
            description=f"Addresses that {name} refuses; operations own the items",
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["items"]),
        )
        self._firewall(zone_id, blocked)
        self.zone_id = pulumi.Output.from_input(zone_id)
        self.hostname = args.hostname
        self.blocked_list_id = blocked.id
        self.blocked_list = f"{name}_blocked".replace("-", "_")
        self.rate_limits_id = self._rate_limits(zone_id).id
        self._origin(zone_id)
        self._cache(zone_id)
        self.register_outputs(
            {
                "zone_id": self.zone_id,
                "hostname": self.hostname,
                "blocked_list_id": self.blocked_list_id,
                "blocked_list": self.blocked_list,
                "rate_limits_id": self.rate_limits_id,
            }
        )

    def _zone(self) -> pulumi.Input[str]:
        if self._args.zone_id is not None:
            return self._args.zone_id
        return cloudflare.Zone(
            f"{self._name}-zone",
            account={"id": self._args.account_id},
            name=self._args.zone_name,
            type="full",
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        ).id

    def _records(self, zone_id: pulumi.Input[str]) -> None:
        args = self._args
        cloudflare.DnsRecord(
            f"{self._name}-hostname",
            zone_id=zone_id,
            name=args.hostname,
            type="CNAME",
            content=args.origin,
            ttl=AUTOMATIC,
            proxied=True,
            comment="Where users come in; leads to whichever region serves",
            opts=self._child,
        )
        for number, server in enumerate(args.origin_name_servers, 1):
            cloudflare.DnsRecord(
                f"{self._name}-delegation-{number}",
                zone_id=zone_id,
                name=args.origin_zone,
                type="NS",
                content=server,
                ttl=DELEGATION_TTL,
                proxied=False,
                comment="The origin's names are Route 53's",
                opts=self._child,
            )

    def _settings(self, zone_id: pulumi.Input[str]) -> None:
        for setting, value in self._args.settings.items():
            cloudflare.ZoneSetting(
                f"{self._name}-{setting}", zone_id=zone_id, setting_id=setting, value=value, opts=self._child
            )
        cloudflare.ZoneSetting(
            f"{self._name}-{SECURITY_LEVEL}",
            zone_id=zone_id,
            setting_id=SECURITY_LEVEL,
            value=self._args.security_level,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["value"]),
        )

    def _firewall(self, zone_id: pulumi.Input[str], blocked: cloudflare.List) -> None:
        rule = {
            "ref": "blocked",
            "description": "Addresses that operations blocked",
            "expression": blocked.name.apply(lambda name: f"ip.src in ${name}"),
            "action": "block",
        }
        self._ruleset("firewall", "http_request_firewall_custom", zone_id, [rule])

    def _rate_limits(self, zone_id: pulumi.Input[str]) -> cloudflare.Ruleset:
        rules = [
            {
                "ref": key,
                "description": f"At most {limit.requests} in {limit.period_seconds} s of one address on {limit.path}",
                "expression": f'starts_with(http.request.uri.path, "{limit.path}")',
                "action": "block",
                "ratelimit": {
                    "characteristics": ["ip.src", "cf.colo.id"],
                    "requests_per_period": limit.requests,
                    "period": limit.period_seconds,
                    "mitigation_timeout": limit.block_seconds,
                },
            }
            for key, limit in self._args.rate_limits.items()
        ]
        return self._ruleset("rate-limits", "http_ratelimit", zone_id, rules)

    def _origin(self, zone_id: pulumi.Input[str]) -> None:
        """Cloudflare comes to the usual ports by itself."""
        if self._args.origin_port == (HTTPS if self._args.origin_tls else HTTP):
            return
        rule = {
            "ref": "port",
            "description": f"The origin listens on port {self._args.origin_port}",
            "expression": f'http.host eq "{self._args.hostname}"',
            "action": "route",
            "action_parameters": {"origin": {"port": self._args.origin_port}},
        }
        self._ruleset("origin", "http_request_origin", zone_id, [rule])

    def _cache(self, zone_id: pulumi.Input[str]) -> None:
        path = self._args.uncached_path
        rule = {
            "ref": "uncached",
            "description": f"Nothing below {path} is ever kept",
            "expression": f'starts_with(http.request.uri.path, "{path}")',
            "action": "set_cache_settings",
            "action_parameters": {"cache": False},
        }
        self._ruleset("cache", "http_request_cache_settings", zone_id, [rule])

    def _ruleset(self, key: str, phase: str, zone_id: pulumi.Input[str], rules: list[Any]) -> cloudflare.Ruleset:
        return cloudflare.Ruleset(
            f"{self._name}-{key}",
            zone_id=zone_id,
            kind="zone",
            name=f"{self._name}-{key}",
            phase=phase,
            rules=rules,
            opts=self._child,
        )
