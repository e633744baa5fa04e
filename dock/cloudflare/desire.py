"""From records to what the edge should do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dock.cloudflare.dns import PROXIABLE
from dock.cloudflare.records import REGION
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloudflare.cloudflare import Cloudflare

# The ports that Cloudflare proxies: developers.cloudflare.com/fundamentals/reference/network-ports
PORTS = {"plain": [80, 8080, 8880, 2052, 2082, 2086, 2095], "secure": [443, 2053, 2083, 2087, 2096, 8443]}
# Seconds until a 522 and a 524: developers.cloudflare.com/fundamentals/reference/connection-limits
TIMEOUTS = {"connect": 19, "read": 100}


def document(cloudflare: Cloudflare, generation: int) -> dict[str, Any]:
    """What `dock.engines.edge.model.compiled` reads. Zones that are pending or paused are not proxied."""
    served = [zone for zone in cloudflare.records.every_zone() if zone["status"] == "active" and not zone["paused"]]
    return {
        "generation": generation,
        "secret": cloudflare.secret,
        "address": cloudflare.edge_address,
        "ports": PORTS,
        "name_server": cloudflare.name_server,
        "trust": str(cloudflare.certificates.path),
        "timeouts": cloudflare.timeouts,
        "zones": [_zone(cloudflare, zone) for zone in served],
    }


def _zone(cloudflare: Cloudflare, zone: Record) -> dict[str, Any]:
    records = cloudflare.records
    scope = Scope(zone["account"], REGION)
    certificate = cloudflare.certificate(zone["name"])
    access = [rule for rule in records.access.list(scope) if rule["zone_id"] in (None, zone["id"])]
    # Of two rules for the same addresses the zone's own comes first.
    access.sort(key=lambda rule: rule["zone_id"] is None)
    return {
        "id": zone["id"],
        "name": zone["name"],
        "certificate": str(certificate.certificate),
        "key": str(certificate.key),
        "settings": dict(cloudflare.settings.values(zone)),
        "records": _hosts(records.of_zone(records.dns, zone)),
        "access_rules": [{"mode": rule["mode"], "value": rule["configuration"]["value"]} for rule in access],
        "lists": cloudflare.lists.entries(scope),
        "rules": {
            ruleset["phase"]: [rule for rule in ruleset["rules"] if rule["enabled"]]
            for ruleset in records.of_zone(records.rulesets, zone)
        },
    }


def _hosts(records: list[Record]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        if record["proxied"] and record["type"] in PROXIABLE:
            host = found.setdefault(record["name"], {"host": record["name"], "addresses": []})
            if record["type"] == "CNAME":
                host["name"] = record["content"]
            else:
                host["addresses"].append(record["content"])
    return list(found.values())
