"""What the DNS server answers, from its zones and the health of the moment."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from dnslib import QTYPE, RCODE

from dock.engines.dns import names, zones
from dock.engines.dns.resolver import Answer, Resolver

SOA = "ns-1.dock.internal. hostmaster.dock.internal. 1 7200 900 1209600 86400"


def record(name: str, kind: str = "A", *values: str, ttl: int = 60, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "ttl": ttl, "values": list(values), **more}


def resolver(
    *records: dict[str, Any], unhealthy: set[str] | None = None, dead: set[str] | None = None, zone: str = "a.test."
) -> Resolver:
    """`unhealthy` are health checks, `dead` load balancers; both may be changed afterwards."""
    first = [record(zone, "SOA", SOA, ttl=900), record(zone, "NS", "ns-1.dock.internal.")]
    loaded = zones.load([{"id": "Z1", "name": zone, "records": [*first, *records]}])
    down, gone = unhealthy if unhealthy is not None else set(), dead if dead is not None else set()
    return Resolver(loaded, lambda check: check not in down, lambda alias: alias.address not in gone, random.Random(1))


def ask(server: Resolver, name: str, kind: str = "A") -> Answer:
    return server.answer(names.parse(name), kind)


def data(answer: Answer) -> list[str]:
    return [str(each.rdata) for each in answer.records]


def failover(check: str | None = "h") -> list[dict[str, Any]]:
    return [
        record("a.test.", "A", "127.0.0.1", identifier="p", failover="PRIMARY", health_check=check),
        record("a.test.", "A", "127.0.0.2", identifier="s", failover="SECONDARY"),
    ]


def test_a_name_of_no_zone_is_refused():
    answer = ask(resolver(), "b.test")
    assert (answer.code, answer.authoritative) == (RCODE.REFUSED, False)


def test_a_name_that_does_not_exist_is_told_apart_from_a_type_that_does_not():
    server = resolver(record("www.a.test.", "A", "127.0.0.1"))
    missing, empty = ask(server, "no.a.test"), ask(server, "www.a.test", "AAAA")
    assert (missing.code, empty.code) == (RCODE.NXDOMAIN, RCODE.NOERROR)
    for answer in (missing, empty):
        assert answer.authoritative
        assert [each.rtype for each in answer.authority] == [QTYPE.SOA]


def test_a_name_that_only_stands_above_others_exists():
    assert ask(resolver(record("x.y.a.test.", "A", "127.0.0.1")), "y.a.test").code == RCODE.NOERROR


def test_a_missing_name_is_remembered_no_longer_than_the_zone_says():
    short = "ns. h. 1 7200 900 1209600 30"
    server = Resolver(
        zones.load([{"id": "Z", "name": "a.test.", "records": [record("a.test.", "SOA", short, ttl=900)]}]),
        lambda _: True,
        lambda _: True,
    )
    assert ask(server, "no.a.test").authority[0].ttl == 30


def test_letters_case_does_not_matter():
    assert data(ask(resolver(record("WwW.a.test.", "A", "127.0.0.1")), "www.A.TEST")) == ["127.0.0.1"]


def test_a_cname_is_followed_inside_and_left_to_the_client_outside():
    server = resolver(
        record("c.a.test.", "CNAME", "www.a.test."),
        record("www.a.test.", "A", "127.0.0.1"),
        record("out.a.test.", "CNAME", "elsewhere.example."),
    )
    assert data(ask(server, "c.a.test")) == ["www.a.test.", "127.0.0.1"]
    assert data(ask(server, "out.a.test")) == ["elsewhere.example."]
    assert data(ask(server, "c.a.test", "CNAME")) == ["www.a.test."]


def test_cnames_in_a_circle_end():
    server = resolver(record("x.a.test.", "CNAME", "y.a.test."), record("y.a.test.", "CNAME", "x.a.test."))
    assert len(ask(server, "x.a.test").records) == 2


def test_a_wildcard_answers_for_names_that_do_not_exist_alone():
    server = resolver(
        record("*.w.a.test.", "A", "127.0.0.1"),
        record("here.w.a.test.", "TXT", '"x"'),
        record("deep.er.w.a.test.", "A", "127.0.0.3"),
    )
    assert data(ask(server, "any.w.a.test")) == ["127.0.0.1"]
    assert str(ask(server, "any.w.a.test").records[0].rname) == "any.w.a.test."
    assert data(ask(server, "far.away.w.a.test")) == ["127.0.0.1"]
    assert ask(server, "here.w.a.test").records == []
    # `er.w` exists because something is below it: its own missing children are not the wildcard's.
    assert ask(server, "x.er.w.a.test").code == RCODE.NXDOMAIN
    assert ask(server, "x.here.w.a.test").code == RCODE.NXDOMAIN


def test_what_is_delegated_is_referred_to_its_servers():
    answer = ask(resolver(record("sub.a.test.", "NS", "ns.elsewhere.")), "www.sub.a.test")
    assert (answer.authoritative, answer.records) == (False, [])
    assert [str(each.rdata) for each in answer.authority] == ["ns.elsewhere."]


def test_the_closest_zone_answers():
    child = {"id": "Z2", "name": "b.a.test.", "records": [record("b.a.test.", "SOA", SOA), record("x.b.a.test.", "A", "127.0.0.9")]}  # fmt: skip  # noqa: E501
    parent = {"id": "Z1", "name": "a.test.", "records": [record("a.test.", "SOA", SOA), record("x.b.a.test.", "A", "127.0.0.1")]}  # fmt: skip  # noqa: E501
    server = Resolver(zones.load([parent, child]), lambda _: True, lambda _: True)
    assert data(ask(server, "x.b.a.test")) == ["127.0.0.9"]


def test_the_secondary_answers_while_the_primary_is_unhealthy():
    down: set[str] = set()
    server = resolver(*failover(), unhealthy=down)
    assert data(ask(server, "a.test")) == ["127.0.0.1"]
    down.add("h")
    assert data(ask(server, "a.test")) == ["127.0.0.2"]
    down.clear()
    assert data(ask(server, "a.test")) == ["127.0.0.1"]


def test_the_primary_answers_when_both_are_unhealthy():
    primary, secondary = failover()
    server = resolver(primary, {**secondary, "health_check": "s"}, unhealthy={"h", "s"})
    assert data(ask(server, "a.test")) == ["127.0.0.1"]


def weighted(*weights: int) -> list[dict[str, Any]]:
    return [
        record("a.test.", "A", f"127.0.0.{number}", identifier=str(number), weight=weight, health_check=f"h{number}")
        for number, weight in enumerate(weights, 1)
    ]


def shares(server: Resolver, times: int = 2000) -> dict[str, float]:
    counted = Counter(data(ask(server, "a.test"))[0] for _ in range(times))
    return {address: count / times for address, count in counted.items()}


def test_weights_are_shares():
    found = shares(resolver(*weighted(3, 1)))
    assert found["127.0.0.1"] == pytest.approx(0.75, abs=0.05)


def test_a_weight_of_zero_answers_only_when_nothing_else_is_healthy():
    down: set[str] = set()
    server = resolver(*weighted(1, 0), unhealthy=down)
    assert set(shares(server, 50)) == {"127.0.0.1"}
    down.add("h1")
    assert set(shares(server, 50)) == {"127.0.0.2"}
    down.add("h2")
    assert set(shares(server, 50)) == {"127.0.0.1"}


def test_all_weights_zero_share_equally():
    assert shares(resolver(*weighted(0, 0)))["127.0.0.1"] == pytest.approx(0.5, abs=0.06)


def test_multivalue_answers_hold_healthy_records_and_eight_at_most():
    many = [
        record("a.test.", "A", f"127.0.0.{number}", identifier=str(number), multivalue=True, health_check=f"h{number}")
        for number in range(1, 12)
    ]
    answer = data(ask(resolver(*many, unhealthy={"h1"}), "a.test"))
    assert len(answer) == 8
    assert "127.0.0.1" not in answer
    everything = {f"h{number}" for number in range(1, 12)}
    assert len(data(ask(resolver(*many, unhealthy=everything), "a.test"))) == 8


def balancer(address: str | None, evaluate: bool = True, **more: Any) -> dict[str, Any]:
    return record("a.test.", "A", alias={"address": address, "evaluate": evaluate, "balancer": None}, **more)


def test_an_alias_answers_with_the_load_balancers_address_for_a_minute():
    (answer,) = ask(resolver(balancer("127.0.1.1")), "a.test").records
    assert (str(answer.rname), str(answer.rdata), answer.ttl) == ("a.test.", "127.0.1.1", 60)


def test_an_alias_that_evaluates_its_target_fails_over_with_it():
    dead: set[str] = set()
    pair = [
        balancer("127.0.1.1", identifier="p", failover="PRIMARY"),
        balancer("127.0.1.2", evaluate=False, identifier="s", failover="SECONDARY"),
    ]
    server = resolver(*pair, dead=dead)
    assert data(ask(server, "a.test")) == ["127.0.1.1"]
    dead.add("127.0.1.1")
    assert data(ask(server, "a.test")) == ["127.0.1.2"]


def test_an_alias_to_a_load_balancer_that_is_gone_answers_nothing():
    answer = ask(resolver(balancer(None)), "a.test")
    assert (answer.code, answer.records) == (RCODE.NOERROR, [])


def test_an_alias_to_records_of_its_zone_has_their_health_and_their_time_to_live():
    down: set[str] = set()
    alias = {"name": "x.a.test.", "evaluate": True}
    server = resolver(
        record("x.a.test.", "A", "127.0.0.1", ttl=7, identifier="x", weight=1, health_check="x"),
        record("a.test.", "A", alias=alias, identifier="p", failover="PRIMARY"),
        record("a.test.", "A", "127.0.0.2", identifier="s", failover="SECONDARY"),
        unhealthy=down,
    )
    (answer,) = ask(server, "a.test").records
    assert (str(answer.rdata), answer.ttl) == ("127.0.0.1", 7)
    down.add("x")
    assert data(ask(server, "a.test")) == ["127.0.0.2"]


def test_a_health_check_that_is_gone_says_nothing_against_a_record():
    from dock.engines.dns.checks import Checks

    checks = Checks({}, lambda _: [], lambda: None)
    assert checks.healthy("no-such-check")
