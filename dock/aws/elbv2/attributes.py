"""Attributes of load balancers and target groups: their defaults, and which values are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dock.aws.service import AwsError

Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Attribute:
    """`takes` tells valid values. `acts` is False for what is only kept and shown again."""

    default: str
    takes: Check
    expected: str
    acts: bool = True


def _number(low: int, high: int, *also: int) -> tuple[Check, str]:
    expected = f"a number from {low} to {high}" + "".join(f", or {number}" for number in also)
    return (lambda text: text.isdigit() and (low <= int(text) <= high or int(text) in also)), expected


def _one_of(*values: str) -> tuple[Check, str]:
    return (lambda text: text in values), " or ".join(values)


_BOOLEAN = _one_of("true", "false")
_TEXT: tuple[Check, str] = (lambda text: len(text) <= 1024), "a text"

LOAD_BALANCER = {
    "idle_timeout.timeout_seconds": Attribute("60", *_number(1, 4000)),
    "deletion_protection.enabled": Attribute("false", *_BOOLEAN),
    "routing.http2.enabled": Attribute("true", *_BOOLEAN),
    "routing.http.drop_invalid_header_fields.enabled": Attribute("false", *_BOOLEAN),
    "routing.http.preserve_host_header.enabled": Attribute("false", *_BOOLEAN),
    "routing.http.xff_client_port.enabled": Attribute("false", *_BOOLEAN),
    "routing.http.xff_header_processing.mode": Attribute("append", *_one_of("append", "preserve", "remove")),
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": Attribute("false", *_BOOLEAN),
    "routing.http.desync_mitigation_mode": Attribute(
        "defensive", *_one_of("monitor", "defensive", "strictest"), acts=False
    ),
    "client_keep_alive.seconds": Attribute("3600", *_number(60, 604800), acts=False),
    "load_balancing.cross_zone.enabled": Attribute("true", *_one_of("true"), acts=False),
    "waf.fail_open.enabled": Attribute("false", *_BOOLEAN, acts=False),
    "zonal_shift.config.enabled": Attribute("false", *_BOOLEAN, acts=False),
    "access_logs.s3.enabled": Attribute("false", *_BOOLEAN, acts=False),
    "access_logs.s3.bucket": Attribute("", *_TEXT, acts=False),
    "access_logs.s3.prefix": Attribute("", *_TEXT, acts=False),
    "connection_logs.s3.enabled": Attribute("false", *_BOOLEAN, acts=False),
    "connection_logs.s3.bucket": Attribute("", *_TEXT, acts=False),
    "connection_logs.s3.prefix": Attribute("", *_TEXT, acts=False),
}

TARGET_GROUP = {
    "deregistration_delay.timeout_seconds": Attribute("300", *_number(0, 3600)),
    "slow_start.duration_seconds": Attribute("0", *_number(30, 900, 0)),
    "stickiness.enabled": Attribute("false", *_BOOLEAN),
    "stickiness.type": Attribute("lb_cookie", *_one_of("lb_cookie")),
    "stickiness.lb_cookie.duration_seconds": Attribute("86400", *_number(1, 604800)),
    "load_balancing.algorithm.type": Attribute("round_robin", *_one_of("round_robin", "least_outstanding_requests")),
    "load_balancing.algorithm.anomaly_mitigation": Attribute("off", *_one_of("off"), acts=False),
    "load_balancing.cross_zone.enabled": Attribute(
        "use_load_balancer_configuration", *_one_of("use_load_balancer_configuration", "true", "false"), acts=False
    ),
    "target_group_health.dns_failover.minimum_healthy_targets.count": Attribute("1", *_one_of("1"), acts=False),
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": Attribute(
        "off", *_one_of("off"), acts=False
    ),
    # The dock's load balancer turns to unhealthy targets when no healthy one is left, which is these two's default.
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": Attribute("1", *_one_of("1")),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": Attribute("off", *_one_of("off")),
}


def changed(kept: dict[str, str], asked: Iterable[dict[str, Any]], known: dict[str, Attribute]) -> dict[str, str]:
    """The kept attributes (those that differ from the default) with what is asked for. Raises AwsError."""
    attributes = dict(kept)
    for entry in asked:
        key, value = entry.get("Key", ""), entry.get("Value", "")
        attribute = known.get(key)
        if attribute is None:
            raise AwsError("ValidationError", f"attribute key '{key}' is not recognized")
        if not attribute.takes(value):
            raise AwsError(
                "InvalidConfigurationRequestException",
                f"the dock takes {attribute.expected} for the attribute '{key}', not '{value}'",
            )
        attributes[key] = value
    return attributes


def shown(kept: dict[str, str], known: dict[str, Attribute]) -> list[dict[str, str]]:
    """All attributes with their values, as AWS lists them."""
    return [{"Key": key, "Value": kept.get(key, attribute.default)} for key, attribute in known.items()]


def value(kept: dict[str, str], known: dict[str, Attribute], key: str) -> str:
    return kept.get(key, known[key].default)
