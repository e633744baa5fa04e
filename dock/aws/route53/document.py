"""What the DNS server is told to serve: all accounts' zones and health checks, in its own terms."""

from __future__ import annotations

from typing import Any

from dock.aws.route53 import names
from dock.aws.route53.balancers import Balancers
from dock.aws.route53.check_config import REGIONS
from dock.aws.route53.record_set import BALANCER_ZONES
from dock.aws.route53.records import Records
from dock.store import Record

_TTL = 172800


def document(records: Records, balancers: Balancers, server: str) -> dict[str, Any]:
    """`server` is the server's own address, which the names of the name servers lead to."""
    of_zones: dict[str, list[dict[str, Any]]] = {zone["id"]: [] for _, _, zone in records.zones.all()}
    for _, _, record in records.records.all():
        of_zones[record["zone"]].append(_record(record, balancers))
    zones = [
        {"id": zone["id"], "name": zone["name"], "records": of_zones[zone["id"]]} for _, _, zone in records.zones.all()
    ]
    return {
        "generation": records.generation,
        "zones": [*zones, _servers(server)],
        "checks": [_check(check) for _, _, check in records.checks.all()],
    }


def _record(record: Record, balancers: Balancers) -> dict[str, Any]:
    kept = ("name", "type", "ttl", "values", "identifier", "weight", "failover", "multivalue", "health_check")
    return {**{name: record[name] for name in kept}, "alias": _alias(record["alias"], balancers)}


def _alias(alias: dict[str, Any] | None, balancers: Balancers) -> dict[str, Any] | None:
    if alias is None:
        return None
    if alias["zone"] not in BALANCER_ZONES:
        return {"name": alias["name"], "evaluate": alias["evaluate"]}
    found = balancers.find(alias["name"])
    if found is None:
        return {"address": None, "evaluate": alias["evaluate"]}
    target = {"socket": found["socket"], "groups": found["groups"]} if alias["evaluate"] else None
    return {"address": found["address"], "evaluate": alias["evaluate"], "balancer": target}


def _check(check: Record) -> dict[str, Any]:
    config = check["config"]
    common = {"identifier": check["id"], "inverted": config["Inverted"], "disabled": config["Disabled"]}
    match config["Type"]:
        case "CALCULATED":
            return {
                **common,
                "kind": "calculated",
                "children": config["ChildHealthChecks"],
                "health_threshold": config["HealthThreshold"],
            }
        case "CLOUDWATCH_METRIC":
            return {**common, "kind": "alarm", "insufficient": config["InsufficientDataHealthStatus"]}
    return {
        **common,
        "kind": "endpoint",
        "interval": config["RequestInterval"],
        "threshold": config["FailureThreshold"],
        "regions": config.get("Regions", list(REGIONS)),
        "endpoint": {
            "protocol": config["Type"].split("_")[0].lower(),
            "address": config.get("IPAddress"),
            "host": config.get("FullyQualifiedDomainName"),
            "port": config["Port"],
            "path": config.get("ResourcePath", "/"),
            "search": config.get("SearchString"),
            "sni": config.get("EnableSNI", False),
        },
    }


def _servers(address: str) -> dict[str, Any]:
    """The zone in which the name servers themselves are, so that what NS records name has an address."""
    first = f"{names.NAME_SERVERS[0]}."
    zone = names.SERVERS_ZONE
    records: list[dict[str, Any]] = [
        {"name": zone, "type": "SOA", "ttl": 900, "values": [f"{first} hostmaster.{zone} 1 7200 900 1209600 86400"]},
        {"name": zone, "type": "NS", "ttl": _TTL, "values": [f"{server}." for server in names.NAME_SERVERS]},
    ]
    records += [{"name": f"{server}.", "type": "A", "ttl": _TTL, "values": [address]} for server in names.NAME_SERVERS]
    return {"id": "servers", "name": zone, "records": records}
