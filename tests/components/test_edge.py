"""Cloudflare in front: where the name leads, what is refused, and what incidents may change."""

from __future__ import annotations

from components.edge import RateLimit
from tests.components.build import build


def test_the_hostname_is_proxied_to_a_name_that_fails_over_and_that_is_delegated():
    run = build("edge", "Edge")
    records = {each.name: each.inputs for each in run.of("DnsRecord")}
    hostname = records["thing-hostname"]
    assert (hostname["type"], hostname["content"]) == ("CNAME", "origin.chatvrm.com")
    assert (hostname["proxied"], hostname["ttl"]) == (True, 1)
    delegation = [each for name, each in records.items() if "delegation" in name]
    assert {each["name"] for each in delegation} == {"origin.chatvrm.com"}
    assert {each["content"] for each in delegation} == {"ns-1.example.net", "ns-2.example.net"}
    assert not any(each["proxied"] for each in delegation)


def test_an_existing_zone_is_not_made_again():
    run = build("edge", "Edge", zone_id="0" * 32)
    assert run.of("Zone") == []
    assert {each.inputs["zoneId"] for each in run.of("DnsRecord")} == {"0" * 32}


def test_listed_addresses_are_refused_and_the_list_is_left_to_operations():
    run = build("edge", "Edge")
    listed = run.one("List")
    assert listed.inputs["name"] == "thing_blocked"
    assert "items" not in listed.inputs
    assert listed.ignore_changes == ("items",)
    (rule,) = run.one("Ruleset", "firewall").inputs["rules"]
    assert (rule["action"], rule["expression"]) == ("block", "ip.src in $thing_blocked")


def test_the_security_level_is_given_once_and_then_left_alone():
    run = build("edge", "Edge")
    level = run.one("ZoneSetting", "security_level")
    assert (level.inputs["value"], level.ignore_changes) == ("medium", ("value",))
    others = [each for each in run.of("ZoneSetting") if each.name != level.name]
    assert {each.inputs["settingId"]: each.inputs["value"] for each in others} == {
        "ssl": "strict",
        "min_tls_version": "1.2",
    }
    assert not any(each.ignore_changes for each in others)


def test_each_limit_is_a_rule_of_its_own():
    limits = {
        "api": RateLimit(path="/api/", requests=300, period_seconds=60, block_seconds=600),
        "login": RateLimit(path="/api/login", requests=5, period_seconds=10, block_seconds=3600),
    }
    rules = build("edge", "Edge", rate_limits=limits).one("Ruleset", "rate-limits").inputs["rules"]
    assert [rule["ref"] for rule in rules] == ["api", "login"]
    assert rules[1]["expression"] == 'starts_with(http.request.uri.path, "/api/login")'
    assert rules[1]["ratelimit"] == {
        "characteristics": ["ip.src", "cf.colo.id"],
        "requestsPerPeriod": 5,
        "period": 10,
        "mitigationTimeout": 3600,
    }


def test_a_port_of_the_origins_own_takes_a_rule_and_a_usual_one_does_not():
    (rule,) = build("edge", "Edge", origin_port=8080, origin_tls=False).one("Ruleset", "origin").inputs["rules"]
    assert rule["actionParameters"] == {"origin": {"port": 8080}}
    for port, tls in ((443, True), (80, False)):
        names = [each.name for each in build("edge", "Edge", origin_port=port, origin_tls=tls).of("Ruleset")]
        assert sorted(names) == ["thing-cache", "thing-firewall", "thing-rate-limits"]


def test_the_api_is_never_kept():
    (rule,) = build("edge", "Edge").one("Ruleset", "cache").inputs["rules"]
    assert rule["expression"] == 'starts_with(http.request.uri.path, "/api/")'
    assert rule["actionParameters"] == {"cache": False}
