"""What happens to a request before an origin sees it: rules, access, limits, in Cloudflare's order."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dock.engines.edge import cache
from dock.engines.edge.language import Facts
from dock.engines.edge.model import CACHE, CUSTOM, ORIGIN, RATE, REDIRECT, Rule, Zone, target
from dock.engines.edge.rates import Counters

log = logging.getLogger(__name__)

CHALLENGES = frozenset({"challenge", "js_challenge", "managed_challenge"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """`action` is pass, block, challenge or redirect. `error` is the page of a block without a response of its own."""

    action: str
    error: int = 1020
    response: Mapping[str, Any] = field(default_factory=dict)
    location: str = ""
    status: int = 403
    retry_after: int | None = None
    source: str = ""


PASS = Verdict("pass")


def judge(zone: Zone, facts: Facts, cleared: bool, counters: Counters) -> Verdict:
    """Redirects, access by address, custom rules, under attack, rate limits. `cleared`: a challenge was passed."""
    if (verdict := _redirected(zone, facts)) is not None:
        return verdict
    access = zone.access.mode(facts.address)
    if access == "whitelist":
        return PASS
    if access == "block":
        return Verdict("block", 1006, source="an IP access rule")
    if access in CHALLENGES and not cleared:
        return Verdict("challenge", source="an IP access rule")
    skipped: set[str] = set()
    for rule in zone.rules[CUSTOM]:
        if not rule.matches(facts):
            continue
        if rule.action == "log":
            log.info("security: rule %s logs %s %s of %s", rule.id, facts.method, facts.full_uri, facts.address)
        elif rule.action == "skip":
            skipped |= {*rule.parameters.get("phases", ()), *rule.parameters.get("products", ())}
            if rule.parameters.get("ruleset") == "current":
                break
        elif (verdict := _acted(rule, cleared, 1020)) is not None:
            return verdict
    if zone.settings["security_level"] == "under_attack" and "securityLevel" not in skipped and not cleared:
        return Verdict("challenge", source="under attack")
    if not skipped & {RATE, "rateLimit"} and (rule := counters.ask(zone.rates, facts)) is not None:  # type: ignore[assignment]
        limit = next(each for each in zone.rates if each.rule is rule)
        if rule.action == "log":
            log.info("security: rate limit %s logs %s %s of %s", rule.id, facts.method, facts.full_uri, facts.address)
        elif (verdict := _acted(rule, cleared, 1015, limit.timeout or limit.period)) is not None:
            return verdict
    return PASS


def cache_policy(zone: Zone, facts: Facts, now: float) -> cache.Policy:
    """The zone's settings, and over them its cache rules: of two, the later wins."""
    chosen: dict[str, Any] = {}
    for rule in zone.rules[CACHE]:
        if rule.matches(facts):
            chosen.update(rule.parameters)
    key = chosen.get("cache_key") or {}
    return cache.Policy(
        eligible=chosen.get("cache"),
        bypass=chosen.get("cache") is False or (zone.settings.get("development_mode_until") or 0) > now,
        level=zone.settings["cache_level"],
        sorted_query=bool(key.get("ignore_query_strings_order"))
        or zone.settings.get("sort_query_string_for_cache") == "on",
        query=(key.get("custom_key") or {}).get("query_string"),
        edge=chosen.get("edge_ttl") or {},
        browser=chosen.get("browser_ttl") or {"mode": "zone", "default": zone.settings["browser_cache_ttl"]},
    )


def origin_overrides(zone: Zone, facts: Facts) -> dict[str, Any]:
    """What origin rules change: `host`, `port`, `host_header`."""
    found: dict[str, Any] = {}
    for rule in zone.rules[ORIGIN]:
        if rule.matches(facts):
            found.update(rule.parameters.get("origin") or {})
            if "host_header" in rule.parameters:
                found["host_header"] = rule.parameters["host_header"]
    return found


def _acted(rule: Rule, cleared: bool, error: int, retry_after: int | None = None) -> Verdict | None:
    if rule.action in CHALLENGES:
        return None if cleared else Verdict("challenge", source=f"rule {rule.id}")
    return Verdict(
        "block",
        error,
        response=rule.parameters.get("response") or {},
        retry_after=retry_after,
        source=f"rule {rule.id}",
    )


def _redirected(zone: Zone, facts: Facts) -> Verdict | None:
    for rule in zone.rules[REDIRECT]:
        if rule.matches(facts):
            chosen = rule.parameters["from_value"]
            wanted = chosen["target_url"]
            location = wanted["value"] if "value" in wanted else target(wanted)(facts)
            if chosen.get("preserve_query_string") and facts.query:
                location += f"{'&' if '?' in location else '?'}{facts.query}"
            return Verdict("redirect", location=location, status=chosen.get("status_code", 301), source=rule.id)
    if zone.settings["always_use_https"] == "on" and not facts.secure:
        location = f"https://{facts.host.partition(':')[0]}{facts.uri}"
        return Verdict("redirect", location=location, status=301, source="always use HTTPS")
    return None
