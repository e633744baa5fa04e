"""One rule, checked: its expression, its action, and what of the action's parameters the edge does."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from dock.cloudflare.errors import ApiError, not_done
from dock.cloudflare.plans import Plan
from dock.cloudflare.route import flag, text, whole
from dock.cloudflare.tokens import now
from dock.engines.edge.language import ExpressionError, parse
from dock.engines.edge.language.facts import STRING, characteristic
from dock.engines.edge.model import CACHE, CUSTOM, ORIGIN, RATE, REDIRECT

ACTIONS: dict[str, tuple[str, ...]] = {
    CUSTOM: ("block", "challenge", "js_challenge", "managed_challenge", "log", "skip"),
    RATE: ("block", "challenge", "js_challenge", "managed_challenge", "log"),
    CACHE: ("set_cache_settings",),
    REDIRECT: ("redirect",),
    ORIGIN: ("route",),
}
# What may stand in `action_parameters`, by phase and action; everything else is refused.
_PARAMETERS: dict[tuple[str, str], frozenset[str]] = {
    (CUSTOM, "block"): frozenset({"response"}),
    (CUSTOM, "skip"): frozenset({"ruleset", "phases", "products"}),
    (RATE, "block"): frozenset({"response"}),
    (CACHE, "set_cache_settings"): frozenset({"cache", "edge_ttl", "browser_ttl", "cache_key"}),
    (REDIRECT, "redirect"): frozenset({"from_value"}),
    (ORIGIN, "route"): frozenset({"origin", "host_header"}),
}
_FIELDS = {"id", "ref", "action", "expression", "description", "enabled", "action_parameters", "ratelimit", "logging",
           "position", "version", "last_updated", "categories"}  # fmt: skip
_RATE = {"characteristics", "period", "requests_per_period", "mitigation_timeout", "counting_expression",
         "requests_to_origin"}  # fmt: skip
_CHALLENGES = ("challenge", "js_challenge", "managed_challenge")
_SKIPPABLE = {"phases": {RATE}, "products": {"securityLevel", "rateLimit"}}


def checked(phase: str, given: Any, before: dict[str, Any] | None, lists: Iterable[str], plan: Plan) -> dict[str, Any]:
    """The rule as it is kept; `before` is what had its id. Raises ApiError with what is wrong."""
    if not isinstance(given, dict):
        raise ApiError(20120, "a rule must be an object")
    if beyond := sorted(name for name, value in given.items() if name not in _FIELDS and value is not None):
        raise not_done(f"{', '.join(beyond)} of a rule")
    action = text(given, "action", required=True)
    if action not in ACTIONS[phase]:
        raise ApiError(
            20016, f"'{action}' is not a valid value for action in phase {phase}: {', '.join(ACTIONS[phase])}"
        )
    expression = text(given, "expression", required=True, longest=100_000) or ""
    _parsed(expression, lists, plan)
    rule = {
        "id": before["id"] if before else uuid.uuid4().hex,
        "version": str(int(before["version"]) + 1) if before else "1",
        "action": action,
        "expression": expression,
        "description": text(given, "description", longest=500) or "",
        "enabled": flag(given, "enabled", True),
        "last_updated": now(),
    }
    rule["ref"] = text(given, "ref") or (before["ref"] if before else rule["id"])
    if parameters := _parameters(phase, action, given.get("action_parameters"), lists, plan):
        rule["action_parameters"] = parameters
    if given.get("logging") is not None:
        rule["logging"] = given["logging"]
    if phase == RATE:
        rule["ratelimit"] = _ratelimit(given.get("ratelimit"), action, lists, plan)
    elif given.get("ratelimit") is not None:
        raise ApiError(20118, f"ratelimit is for rules of phase {RATE}")
    if before and {**before, "version": "", "last_updated": ""} == {**rule, "version": "", "last_updated": ""}:
        return before
    return rule


def _parsed(expression: str, lists: Iterable[str], plan: Plan, **more: Any) -> Any:
    try:
        return parse(expression, lists, patterns=plan.patterns, **more)
    except ExpressionError as error:
        raise ApiError(
            20127,
            f"'{expression[:200]}' is not a valid value for expression because the expression is invalid: {error}",
        ) from None


def _parameters(phase: str, action: str, given: Any, lists: Iterable[str], plan: Plan) -> dict[str, Any]:
    parameters = {name: value for name, value in (given or {}).items() if value is not None}
    allowed = _PARAMETERS.get((phase, action), frozenset())
    if beyond := sorted(parameters.keys() - allowed):
        raise not_done(f"{', '.join(beyond)} in action_parameters of {action}")
    if phase == CACHE:
        return _cache_settings(parameters)
    if phase == REDIRECT:
        return _redirect(parameters, lists, plan)
    if phase == ORIGIN:
        return _route(parameters)
    if action == "skip":
        return _skip(parameters)
    if "response" in parameters:
        response = parameters["response"]
        return {
            "response": {
                "status_code": whole(response.get("status_code", 403), "response.status_code", 400, 499),
                "content": text(response, "content", longest=30_000) or "",
                "content_type": _one_of(
                    response.get("content_type"),
                    "content_type",
                    ("text/html", "text/plain", "text/xml", "application/json"),
                ),
            }
        }
    return parameters


def _skip(given: dict[str, Any]) -> dict[str, Any]:
    if not given:
        raise ApiError(20124, "skip needs a ruleset, phases or products")
    if given.get("ruleset", "current") != "current":
        raise ApiError(20124, "ruleset can only be 'current'")
    for name, known in _SKIPPABLE.items():
        if beyond := sorted(set(given.get(name, ())) - known):
            raise not_done(f"skipping {', '.join(beyond)}")
    return given


def _cache_settings(given: dict[str, Any]) -> dict[str, Any]:
    if "cache" in given:
        flag(given, "cache", True)
    edge = given.get("edge_ttl") or {}
    if edge:
        mode = _one_of(edge.get("mode"), "edge_ttl.mode", ("respect_origin", "bypass_by_default", "override_origin"))
        if mode == "override_origin":
            edge["default"] = whole(edge.get("default"), "edge_ttl.default", 0, 31_536_000)
        for each in edge.get("status_code_ttl") or ():
            each["value"] = whole(each.get("value"), "status_code_ttl.value", -1, 31_536_000)
    browser = given.get("browser_ttl") or {}
    if browser:
        mode = _one_of(browser.get("mode"), "browser_ttl.mode", ("respect_origin", "bypass", "override_origin"))
        if mode == "override_origin":
            browser["default"] = whole(browser.get("default"), "browser_ttl.default", 0, 31_536_000)
    key = given.get("cache_key") or {}
    for place, inner, known in (
        ("cache_key", key, {"ignore_query_strings_order", "custom_key"}),
        ("cache_key.custom_key", key.get("custom_key") or {}, {"query_string"}),
    ):
        if beyond := sorted(name for name, value in inner.items() if name not in known and value):
            raise not_done(f"{', '.join(beyond)} of {place}")
    return given


def _redirect(given: dict[str, Any], lists: Iterable[str], plan: Plan) -> dict[str, Any]:
    value = given.get("from_value") or {}
    target = value.get("target_url") or {}
    if bool(target.get("value")) == bool(target.get("expression")):
        raise ApiError(20125, "from_value.target_url needs either a value or an expression")
    if target.get("expression"):
        _parsed(target["expression"], lists, plan, kind=STRING)
    if value.get("status_code", 301) not in (301, 302, 303, 307, 308):
        raise ApiError(20125, "from_value.status_code is 301, 302, 303, 307 or 308")
    kept = {"status_code": int(value.get("status_code", 301)), "target_url": {k: v for k, v in target.items() if v}}
    if value.get("preserve_query_string") is not None:
        kept["preserve_query_string"] = flag(value, "preserve_query_string", False)
    return {"from_value": kept}


def _route(given: dict[str, Any]) -> dict[str, Any]:
    origin = {name: value for name, value in (given.get("origin") or {}).items() if value is not None}
    if beyond := sorted(origin.keys() - {"host", "port"}):
        raise not_done(f"{', '.join(beyond)} of origin")
    if "port" in origin:
        origin["port"] = whole(origin["port"], "origin.port", 1, 65535)
    kept = {**given, **({"origin": origin} if origin else {})}
    if not kept:
        raise ApiError(20126, "route needs an origin or a host_header")
    return kept


def _ratelimit(given: Any, action: str, lists: Iterable[str], plan: Plan) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ApiError(20119, f"a rule of phase {RATE} needs ratelimit")
    kept = {name: value for name, value in given.items() if value is not None}
    if beyond := sorted(kept.keys() - _RATE):
        raise not_done(f"{', '.join(beyond)} of ratelimit")
    characteristics = kept.get("characteristics") or []
    if "cf.colo.id" not in characteristics:
        raise ApiError(20151, "characteristics must include cf.colo.id")
    for name in characteristics:
        if characteristic(name) is None:
            raise not_done(f"the characteristic {name}")
    kept["period"] = _one_of(_number(kept.get("period")), "period", plan.rate_periods)
    kept["requests_per_period"] = whole(kept.get("requests_per_period"), "requests_per_period", 1, 1_000_000)
    timeout = _one_of(_number(kept.get("mitigation_timeout", 0)), "mitigation_timeout", plan.rate_timeouts)
    if action in _CHALLENGES and timeout:
        raise ApiError(20152, "mitigation_timeout must be 0 where the action is a challenge")
    kept["mitigation_timeout"] = timeout
    if counting := kept.get("counting_expression"):
        if not plan.counting_expressions:
            raise ApiError(20153, "not entitled: a counting_expression needs the Business plan")
        _parsed(counting, lists, plan, response=True)
    flag(kept, "requests_to_origin", False)
    return kept


def _one_of(value: Any, name: str, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed or isinstance(value, bool):
        raise ApiError(20154, f"{name} must be one of {', '.join(map(str, allowed))} in this plan, not {value!r}")
    return value


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
