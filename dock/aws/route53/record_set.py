"""One record set: from a request to what is kept, checked for itself, and back."""

from __future__ import annotations

import re
from typing import Any

from dock.aws.route53 import names
from dock.aws.service import AwsError, Request
from dock.engines.dns import rdata
from dock.store import Record

# Route 53's own zone ids of load balancers, by region, as AWS publishes them: an alias names one.
BALANCER_ZONES = {"Z35SXDOTRQ7X7K": "us-east-1", "Z1H1FL5HABSF5": "us-west-2"}
# Seconds an answer from an alias to a load balancer may be kept (Route 53 developer guide).
ALIAS_TTL = 60
MAX_TTL = 2147483647
MAX_WEIGHT = 255
MAX_VALUES = 400
_NOT_HERE = ("Region", "GeoLocation", "GeoProximityLocation", "CidrRoutingConfig", "TrafficPolicyInstanceId")
_ROUTING = ("Weight", "Failover", "MultiValueAnswer")


class Invalid(Exception):
    """One of the messages of an InvalidChangeBatch."""


def parse(zone: Record, action: str, given: Request) -> Record:
    """The record set as it is kept.

    Raises Invalid where only this record is at fault, AwsError (InvalidInput) where the request makes no sense.
    """
    kind = given["Type"]
    named = f"Change with [Action={action}, Name={given['Name']}, Type={kind}, SetIdentifier={given.get('SetIdentifier', 'null')}]"  # noqa: E501
    for name in _NOT_HERE:
        if name in given:
            raise AwsError(
                "InvalidInput", f"the dock routes by weight, failover and multivalue, not by {name} in {named}"
            )
    if kind not in rdata.kinds():
        raise AwsError("InvalidInput", f"the dock serves {', '.join(sorted(rdata.kinds()))}, not {kind} in {named}")
    plain, alias = "TTL" in given and "ResourceRecords" in given, "AliasTarget" in given
    if plain is alias or (alias and ("TTL" in given or "ResourceRecords" in given)):
        found = "more than one" if alias else "none"
        raise AwsError(
            "InvalidInput",
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or"
            f" TrafficPolicyInstanceId], but found {found} in {named}",
        )
    _check_routing(given, named)
    record: Record = {
        "zone": zone["id"],
        "name": _name(zone, given["Name"]),
        "type": kind,
        "identifier": given.get("SetIdentifier"),
        "weight": given.get("Weight"),
        "failover": given.get("Failover"),
        "multivalue": given.get("MultiValueAnswer", False),
        "health_check": given.get("HealthCheckId") or None,
        "ttl": given.get("TTL", ALIAS_TTL),
        "values": _values(kind, given.get("ResourceRecords", [])),
        "alias": None,
    }
    if not 0 <= record["ttl"] <= MAX_TTL:
        raise AwsError("InvalidInput", f"TTL {record['ttl']} is not from 0 to {MAX_TTL} in {named}")
    if alias:
        target = given["AliasTarget"]
        record["alias"] = {
            "zone": names.bare(target["HostedZoneId"]),
            "name": names.domain(target["DNSName"].lower(), "AliasTarget.DNSName"),
            "evaluate": target["EvaluateTargetHealth"],
        }
    return record


def describe(record: Record) -> dict[str, Any]:
    """As answers have it."""
    shown: dict[str, Any] = {"Name": record["name"], "Type": record["type"]}
    for name, kept in (
        ("SetIdentifier", "identifier"),
        ("Weight", "weight"),
        ("Failover", "failover"),
        ("HealthCheckId", "health_check"),
    ):
        if record[kept] is not None:
            shown[name] = record[kept]
    if record["multivalue"]:
        shown["MultiValueAnswer"] = True
    if record["alias"] is None:
        shown |= {"TTL": record["ttl"], "ResourceRecords": [{"Value": value} for value in record["values"]]}
    else:
        alias = record["alias"]
        shown["AliasTarget"] = {
            "HostedZoneId": alias["zone"],
            "DNSName": alias["name"],
            "EvaluateTargetHealth": alias["evaluate"],
        }
    return shown


def routing(record: Record) -> str:
    """The policy that a record set is chosen by; all of one name and type have the same."""
    if record["failover"] is not None:
        return "failover"
    if record["weight"] is not None:
        return "weighted"
    return "multivalue" if record["multivalue"] else "simple"


def _check_routing(given: Request, named: str) -> None:
    # A weight of 0 is one, too.
    policies = [name for name in _ROUTING if name in given and given[name] is not False]
    if len(policies) > 1:
        raise AwsError(
            "InvalidInput",
            "Invalid request: Expected exactly one of [Weight, Region, Failover, GeoLocation, or MultiValueAnswer],"
            f" but found more than one in {named}",
        )
    if "SetIdentifier" in given and not policies:
        raise AwsError(
            "InvalidInput",
            "Invalid request: Expected exactly one of [Weight, Region, Failover, GeoLocation, or MultiValueAnswer],"
            f" but found none in {named}",
        )
    if policies and "SetIdentifier" not in given:
        raise AwsError("InvalidInput", f"Invalid request: Missing field 'SetIdentifier' in {named}")
    if not 0 <= given.get("Weight", 0) <= MAX_WEIGHT:
        raise AwsError("InvalidInput", f"Weight {given['Weight']} is not from 0 to {MAX_WEIGHT} in {named}")
    if given.get("MultiValueAnswer") and "AliasTarget" in given:
        raise AwsError("InvalidInput", f"Invalid request: a multivalue answer record can't be an alias in {named}")
    if policies and given["Type"] in ("NS", "SOA"):
        raise AwsError("InvalidInput", f"Invalid request: records of type {given['Type']} have no routing in {named}")


def _name(zone: Record, given: str) -> str:
    try:
        name = names.domain(given)
    except AwsError as problem:
        raise Invalid(f"FATAL problem: {problem.message} encountered with '{given}'") from None
    if name != zone["name"] and not name.endswith(f".{zone['name']}"):
        raise Invalid(f"RRSet with DNS name {name} is not permitted in zone {zone['name']}")
    return name


def _values(kind: str, given: list[dict[str, str]]) -> list[str]:
    values = [entry["Value"].strip() for entry in given]
    if len(values) > MAX_VALUES:
        raise Invalid(f"Number of records limit of {MAX_VALUES} exceeded.")
    if kind in ("CNAME", "SOA") and len(values) > 1:
        raise Invalid(f"RRSet of type {kind} can have one value, not {len(values)}")
    seen = set()
    for value in values:
        try:
            data = rdata.parse(kind, value)
        except ValueError as problem:
            raise Invalid(f"Invalid Resource Record: FATAL problem: {problem}") from None
        if str(data) in seen:
            raise Invalid(f"Duplicate Resource Record: '{value}'")
        seen.add(str(data))
    return values


_SPACES = re.compile(r"\s+")


def same(one: Record, other: Record) -> bool:
    """Whether a record set to be deleted is the one that is kept; the order of values doesn't count."""

    def comparable(record: Record) -> Record:
        return {**record, "values": sorted(_SPACES.sub(" ", value) for value in record["values"])}

    return comparable(one) == comparable(other)
