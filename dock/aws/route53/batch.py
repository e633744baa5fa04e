"""A change batch: what a zone's records are after it, or everything that is wrong with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from dock.aws.route53 import record_set
from dock.aws.route53.record_set import BALANCER_ZONES, Invalid, routing
from dock.aws.route53.records import key
from dock.aws.service import AwsError, Request
from dock.store import Record

Known = Callable[[str], bool]


def apply(zone: Record, records: list[Record], changes: list[Request], balancer: Known) -> dict[str, Record | None]:
    """What to put and what to delete (None), by key.

    `balancer` tells whether a load balancer has this DNS name. Raises AwsError: InvalidChangeBatch with every message,
    or InvalidInput for a change that makes no sense.
    """
    before = {key(record): record for record in records}
    after = dict(before)
    messages: list[str] = []
    for change in changes:
        try:
            _apply(zone, after, change)
        except Invalid as problem:
            messages.append(str(problem))
    if not messages:
        messages = _contradictions(zone, before, after, balancer)
    if messages:
        raise AwsError("InvalidChangeBatch", f"[{', '.join(messages)}]")
    done: dict[str, Record | None] = dict.fromkeys(before.keys() - after.keys())
    done |= {name: record for name, record in after.items() if before.get(name) != record}
    return done


def _apply(zone: Record, after: dict[str, Record], change: Request) -> None:
    action = change["Action"]
    record = record_set.parse(zone, action, change["ResourceRecordSet"])
    name = key(record)
    kept = after.get(name)
    told = f"[name='{record['name']}', type='{record['type']}'" + (
        f", set identifier='{record['identifier']}']" if record["identifier"] else "]"
    )
    if action == "CREATE" and kept is not None:
        raise Invalid(f"Tried to create resource record set {told} but it already exists")
    if action == "DELETE":
        if kept is None:
            raise Invalid(f"Tried to delete resource record set {told} but it was not found")
        if not record_set.same(kept, record):
            raise Invalid(
                f"Tried to delete resource record set {told} but the values provided do not match the current values"
            )
        del after[name]
        return
    after[name] = record


def _contradictions(zone: Record, before: dict[str, Record], after: dict[str, Record], balancer: Known) -> list[str]:
    messages = []
    apex = [record for record in after.values() if record["name"] == zone["name"]]
    if sum(record["type"] == "SOA" for record in apex) != 1:
        messages.append("A HostedZone must contain exactly one SOA record.")
    if not any(record["type"] == "NS" for record in apex):
        messages.append("A HostedZone must contain at least one NS record for the zone itself.")
    by_name: dict[str, list[Record]] = defaultdict(list)
    for record in after.values():
        by_name[record["name"]].append(record)
    for name in {record["name"] for identifier, record in after.items() if before.get(identifier) != record}:
        messages += _of_one_name(zone, name, by_name[name], before)
    for identifier, record in after.items():
        if record["alias"] is not None and before.get(identifier) != record:
            messages += _alias(zone, record, by_name, balancer)
    return messages


def _of_one_name(zone: Record, name: str, records: list[Record], before: dict[str, Record]) -> list[str]:
    messages = []
    kinds = {record["type"] for record in records}
    if "CNAME" in kinds and name == zone["name"]:
        messages.append(f"RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {zone['name']}")
    elif "CNAME" in kinds and len(kinds) > 1:
        if any(record["type"] == "CNAME" and key(record) in before for record in records):
            other = next(record["type"] for record in records if record["type"] != "CNAME")
            messages.append(
                f"RRSet of type {other} with DNS name {name} is not permitted because a conflicting RRSet of type "
                f" CNAME with the same DNS name already exists in zone {zone['name']}"
            )
        else:
            messages.append(
                f"RRSet of type CNAME with DNS name {name} is not permitted as it conflicts with other records with"
                f" the same DNS name in zone {zone['name']}"
            )
    if "SOA" in kinds and name != zone["name"]:
        messages.append(f"RRSet of type SOA with DNS name {name} is permitted at the apex of zone {zone['name']} alone")
    for kind in sorted(kinds):
        messages += _of_one_type(name, kind, [record for record in records if record["type"] == kind])
    return messages


def _of_one_type(name: str, kind: str, records: list[Record]) -> list[str]:
    policies = sorted({routing(record) for record in records})
    if len(policies) > 1:
        return [f"RRSets with DNS name {name}, type {kind} have different routing policies: {', '.join(policies)}"]
    if policies == ["failover"]:
        for role in ("PRIMARY", "SECONDARY"):
            if sum(record["failover"] == role for record in records) > 1:
                return [f"RRSet with DNS name {name}, type {kind} has more than one record with Failover={role}"]
    return []


def _alias(zone: Record, record: Record, by_name: dict[str, list[Record]], balancer: Known) -> list[str]:
    alias, kind = record["alias"], record["type"]
    tried = f"Tried to create an alias that targets {alias['name']}, type {kind} in zone {alias['zone']}"
    if alias["zone"] in BALANCER_ZONES:
        if kind not in ("A", "AAAA"):
            return [f"{tried}, but a load balancer has addresses alone: type A or AAAA"]
        return [] if balancer(alias["name"]) else [f"{tried}, but that target was not found"]
    if alias["zone"] != zone["id"]:
        return [f"{tried}, but the dock's aliases lead to load balancers and to records of their own zone"]
    if alias["name"] != zone["name"] and not alias["name"].endswith(f".{zone['name']}"):
        return [f"{tried}, but the alias target name does not lie within the target zone"]
    if alias["name"] == record["name"] or kind in ("NS", "SOA"):
        return [f"{tried}, but a record can't be an alias of itself, and NS and SOA records can't be aliases"]
    if not any(other["type"] == kind for other in by_name.get(alias["name"], [])):
        return [f"{tried}, but that target was not found"]
    return []
