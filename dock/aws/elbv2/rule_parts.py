"""Actions and conditions as AWS takes and shows them, checked and put into one form."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from dock.aws.service import AwsError

_PATH = re.compile(r"[A-Za-z0-9_\-.$/~\"'@:+&*?]{1,128}")
_HOST = re.compile(r"[A-Za-z0-9\-.*?:\[\]]{1,128}")
_METHOD = re.compile(r"[A-Z_-]{1,40}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,40}")
_TEXT = re.compile(r"[\x20-\x7e]{1,128}")
_STATUS = re.compile(r"[245]\d\d")
_REDIRECT_DEFAULTS = {
    "Protocol": "#{protocol}",
    "Port": "#{port}",
    "Host": "#{host}",
    "Path": "/#{path}",
    "Query": "#{query}",
}
_CONFIGS = {
    "path-pattern": "PathPatternConfig",
    "host-header": "HostHeaderConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
MAX_VALUES = 5
MAX_GROUPS = 5


def actions(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The one action of a rule, complete. Raises AwsError for what the dock doesn't do, and for what AWS refuses."""
    if len(asked) != 1:
        raise AwsError(
            "InvalidLoadBalancerActionException",
            "the dock takes exactly one action, which must be forward, redirect or fixed-response",
        )
    action = asked[0]
    match action.get("Type"):
        case "forward":
            return [_forward(action)]
        case "redirect":
            return [_redirect(action)]
        case "fixed-response":
            return [_fixed(action)]
        case other:
            raise AwsError("InvalidLoadBalancerActionException", f"the dock does not do actions of type '{other}'")


def _forward(action: dict[str, Any]) -> dict[str, Any]:
    config = action.get("ForwardConfig", {})
    groups = config.get("TargetGroups") or [{"TargetGroupArn": action.get("TargetGroupArn")}]
    arns = [group.get("TargetGroupArn") for group in groups]
    if None in arns:
        raise AwsError("ValidationError", "A target group ARN must be specified")
    if len(arns) > MAX_GROUPS or len(set(arns)) != len(arns):
        raise AwsError("InvalidLoadBalancerActionException", f"forward to 1 to {MAX_GROUPS} different target groups")
    if action.get("TargetGroupArn") not in (None, *arns):
        raise AwsError("ValidationError", "TargetGroupArn is not one of the target groups in ForwardConfig")
    weights = [group.get("Weight", 1) for group in groups]
    if not all(0 <= weight <= 999 for weight in weights):
        raise AwsError("ValidationError", "The weight of a target group is a number from 0 to 999")
    if config.get("TargetGroupStickinessConfig", {}).get("Enabled"):
        raise AwsError(
            "InvalidLoadBalancerActionException",
            "the dock does not do stickiness between target groups (TargetGroupStickinessConfig)",
        )
    done: dict[str, Any] = {
        "Type": "forward",
        "Order": action.get("Order", 1),
        "ForwardConfig": {
            "TargetGroups": [
                {"TargetGroupArn": arn, "Weight": weight} for arn, weight in zip(arns, weights, strict=True)
            ],
            "TargetGroupStickinessConfig": {"Enabled": False},
        },
    }
    if len(arns) == 1:
        done["TargetGroupArn"] = arns[0]
    return done


def _redirect(action: dict[str, Any]) -> dict[str, Any]:
    asked = action.get("RedirectConfig", {})
    if "StatusCode" not in asked:
        raise AwsError("ValidationError", "A redirect needs RedirectConfig with a StatusCode")
    config = {**_REDIRECT_DEFAULTS, **asked}
    if all(config[part] == _REDIRECT_DEFAULTS[part] for part in ("Protocol", "Port", "Host", "Path")):
        raise AwsError(
            "InvalidLoadBalancerActionException",
            "The redirect would lead to itself: change at least one of protocol, port, host and path",
        )
    if config["Protocol"] not in ("HTTP", "HTTPS", "#{protocol}"):
        raise AwsError(
            "ValidationError", f"Protocol of a redirect: HTTP, HTTPS or #{{protocol}}, not {config['Protocol']}"
        )
    port = config["Port"]
    if port != "#{port}" and not (port.isdigit() and 1 <= int(port) <= 65535):
        raise AwsError("ValidationError", f"Port of a redirect: 1 to 65535 or #{{port}}, not {port}")
    if not config["Path"].startswith("/"):
        raise AwsError("ValidationError", "Path of a redirect must start with '/'")
    return {"Type": "redirect", "Order": action.get("Order", 1), "RedirectConfig": config}


def _fixed(action: dict[str, Any]) -> dict[str, Any]:
    config = action.get("FixedResponseConfig", {})
    if not _STATUS.fullmatch(config.get("StatusCode", "")):
        raise AwsError("ValidationError", "A fixed response needs a StatusCode 2XX, 4XX or 5XX")
    return {
        "Type": "fixed-response",
        "Order": action.get("Order", 1),
        "FixedResponseConfig": {"ContentType": "text/plain", **config},
    }


def conditions(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conditions of a rule, complete. Raises AwsError."""
    if not asked:
        raise AwsError("ValidationError", "A rule needs at least one condition")
    done = [_condition(condition) for condition in asked]
    single = [each["Field"] for each in done if each["Field"] not in ("http-header", "query-string")]
    if len(set(single)) != len(single):
        raise AwsError("InvalidConfigurationRequestException", "A rule can have one condition of a kind")
    if sum(len(_values(condition)) for condition in done) > MAX_VALUES:
        raise AwsError("InvalidConfigurationRequestException", f"A rule can have {MAX_VALUES} condition values")
    return done


def _condition(asked: dict[str, Any]) -> dict[str, Any]:
    field = asked.get("Field", "")
    name = _CONFIGS.get(field)
    if name is None:
        raise AwsError("ValidationError", f"Condition field '{field}' must be one of {', '.join(_CONFIGS)}")
    config = dict(asked.get(name, {}))
    if asked.get("RegexValues") or config.get("RegexValues"):
        raise AwsError("InvalidConfigurationRequestException", "the dock does not do regular expressions in conditions")
    if field in ("path-pattern", "host-header") and "Values" in asked and not config:
        config = {"Values": asked["Values"]}
    done = {"Field": field, name: config}
    values = _values(done)
    if not values:
        raise AwsError("ValidationError", f"A condition value must be specified for '{field}'")
    for value in values:
        _check(field, value)
    if field == "http-header" and (
        not _HEADER_NAME.fullmatch(config.get("HttpHeaderName", "")) or config["HttpHeaderName"].lower() == "host"
    ):
        raise AwsError("ValidationError", "HttpHeaderName must name a header, and not Host")
    if field in ("path-pattern", "host-header"):
        done["Values"] = config["Values"]
    return done


def _check(field: str, value: Any) -> None:
    if field == "query-string":
        known = bool(
            _TEXT.fullmatch(value.get("Value", "")) and (value.get("Key") is None or _TEXT.fullmatch(value["Key"]))
        )
    elif field == "source-ip":
        try:
            known = ipaddress.ip_network(value, strict=False).version == 4
        except ValueError:
            known = False
    else:
        pattern = {"path-pattern": _PATH, "host-header": _HOST, "http-request-method": _METHOD, "http-header": _TEXT}
        known = pattern[field].fullmatch(value) is not None
    if not known:
        raise AwsError("ValidationError", f"Condition value {value!r} of '{field}' is not valid")


def _values(condition: dict[str, Any]) -> list[Any]:
    found: list[Any] = condition[_CONFIGS[condition["Field"]]].get("Values", [])
    return found
