"""A change batch: all of it or nothing, and AWS's words for what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from dock.aws.route53 import batch
from dock.aws.route53.record_set import describe
from dock.aws.route53.records import key
from dock.aws.route53.zones import _first_records
from dock.aws.service import AwsError
from dock.store import Record

ZONE: Record = {"id": "Z1", "name": "a.test."}
BALANCER = "127.64.1.1"
BALANCERS = "Z35SXDOTRQ7X7K"


def simple(name: str = "www.a.test", kind: str = "A", *values: str, **more: Any) -> dict[str, Any]:
    records = [{"Value": value} for value in values or ("127.0.0.1",)]
    return {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": records, **more}


def alias(name: str = "www.a.test", target: str = BALANCER, zone: str = BALANCERS, **more: Any) -> dict[str, Any]:
    goal = {"HostedZoneId": zone, "DNSName": target, "EvaluateTargetHealth": True}
    return {"Name": name, "Type": "A", "AliasTarget": goal, **more}


def change(records: list[Record], *changes: tuple[str, dict[str, Any]]) -> list[Record]:
    asked = [{"Action": action, "ResourceRecordSet": given} for action, given in changes]
    done = batch.apply(ZONE, records, asked, lambda name: name.rstrip(".") == BALANCER)
    after = {**{key(record): record for record in records}, **done}
    return [record for record in after.values() if record is not None]


def zone_with(*given: dict[str, Any]) -> list[Record]:
    return change(_first_records(ZONE), *(("CREATE", each) for each in given))


def refused(records: list[Record], *changes: tuple[str, dict[str, Any]]) -> str:
    with pytest.raises(AwsError) as error:
        change(records, *changes)
    return f"{error.value.code}: {error.value.message}"


def test_a_batch_that_is_wrong_in_one_place_changes_nothing_and_tells_all_that_is_wrong():
    message = refused(
        zone_with(simple()),
        ("CREATE", simple("new.a.test")),
        ("CREATE", simple()),
        ("DELETE", simple("none.a.test")),
    )
    assert message == (
        "InvalidChangeBatch: [Tried to create resource record set [name='www.a.test.', type='A'] but it already exists,"
        " Tried to delete resource record set [name='none.a.test.', type='A'] but it was not found]"
    )


def test_upsert_makes_and_replaces():
    records = change(zone_with(), ("UPSERT", simple()), ("UPSERT", simple("www.a.test", "A", "127.0.0.9")))
    (made,) = [record for record in records if record["name"] == "www.a.test."]
    assert made["values"] == ["127.0.0.9"]


def test_a_record_is_replaced_by_one_of_another_type_in_one_batch():
    records = change(zone_with(simple()), ("DELETE", simple()), ("CREATE", simple("www.a.test", "CNAME", "b.test.")))
    assert [record["type"] for record in records if record["name"] == "www.a.test."] == ["CNAME"]


def test_a_delete_must_say_what_is_there():
    records = zone_with(simple("www.a.test", "A", "127.0.0.1", "127.0.0.2"))
    assert "but the values provided do not match the current values" in refused(records, ("DELETE", simple()))
    assert len(change(records, ("DELETE", simple("www.a.test", "A", "127.0.0.2", "127.0.0.1")))) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (simple("www.b.test"), "RRSet with DNS name www.b.test. is not permitted in zone a.test."),
        (simple("nota.test"), "is not permitted in zone a.test."),
        (simple("a.test", "CNAME", "b.test."), "RRSet of type CNAME with DNS name a.test. is not permitted at apex"),
        (simple("old.a.test", "CNAME", "b.test."), "is not permitted as it conflicts with other records"),
        (simple("c.a.test", "A"), "a conflicting RRSet of type  CNAME with the same DNS name already exists"),
        (simple("x.a.test", "A", "1.2.3"), "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"),
        (simple("x.a.test", "A", "1.2.3.4", "1.2.3.4"), "Duplicate Resource Record: '1.2.3.4'"),
        (simple("x.a.test", "TXT", "bare"), "Value should be enclosed in quotation marks"),
        (simple("x..a.test"), "empty label"),
        (simple("old.a.test", SetIdentifier="s", Weight=1), "different routing policies: simple, weighted"),
        (alias(target="gone.elb.test"), "targets gone.elb.test., type A in zone Z35SXDOTRQ7X7K, but that target was not found"),  # noqa: E501
        (alias(target="none.a.test", zone="Z1"), "targets none.a.test., type A in zone Z1, but that target was not found"),  # noqa: E501
        (alias(target="www.b.test", zone="Z1"), "the alias target name does not lie within the target zone"),
        (alias(target="www.b.test", zone="Z2"), "aliases lead to load balancers and to records of their own zone"),
    ],
)  # fmt: skip
def test_what_route_53_does_not_take_is_refused_in_its_words(given, words):
    records = zone_with(simple("old.a.test"), simple("c.a.test", "CNAME", "b.test."))
    message = refused(records, ("CREATE", given))
    assert message.startswith("InvalidChangeBatch: [")
    assert words in message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"Name": "x.a.test", "Type": "A"}, "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords]"),
        (simple("x.a.test", Weight=1), "Missing field 'SetIdentifier'"),
        (simple("x.a.test", SetIdentifier="s"), "Expected exactly one of [Weight, Region, Failover"),
        (simple("x.a.test", SetIdentifier="s", Weight=256), "Weight 256 is not from 0 to 255"),
        (simple("x.a.test", SetIdentifier="s", Region="us-east-1"), "not by Region"),
        (simple("x.a.test", SetIdentifier="s", GeoLocation={"CountryCode": "*"}), "not by GeoLocation"),
        (simple("x.a.test", "HTTPS", "1 ."), "not HTTPS"),
        (alias("x.a.test", SetIdentifier="s", MultiValueAnswer=True), "multivalue answer record can't be an alias"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(given, words):
    message = refused(zone_with(), ("CREATE", given))
    assert message.startswith("InvalidInput: ")
    assert words in message


def test_a_zone_keeps_its_soa_and_its_ns():
    soa, servers = (describe(record) for record in sorted(_first_records(ZONE), key=lambda each: -len(each["type"])))
    assert "exactly one SOA record" in refused(zone_with(), ("DELETE", soa))
    assert "at least one NS record" in refused(zone_with(), ("DELETE", servers))


def test_two_primaries_are_one_too_many():
    first = simple(SetIdentifier="1", Failover="PRIMARY")
    assert "more than one record with Failover=PRIMARY" in refused(
        zone_with(first), ("CREATE", simple(SetIdentifier="2", Failover="PRIMARY"))
    )


def test_a_weight_of_zero_is_a_weight():
    (kept,) = [record for record in zone_with(simple(SetIdentifier="a", Weight=0)) if record["name"] == "www.a.test."]
    assert describe(kept)["Weight"] == 0


def test_a_record_is_shown_as_it_was_given():
    given = alias(SetIdentifier="p", Failover="PRIMARY", HealthCheckId="h")
    (kept,) = [record for record in zone_with(given) if record["name"] == "www.a.test."]
    shown = describe(kept)
    assert shown == {**given, "Name": "www.a.test.", "AliasTarget": {**given["AliasTarget"], "DNSName": f"{BALANCER}."}}
