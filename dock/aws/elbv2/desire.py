"""From records to what the engine should do: a load balancer with all that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dock.aws.elbv2 import attributes, names, policies
from dock.aws.elbv2.records import Change, Records, groups_of
from dock.engines.haproxy.model import (
    Action,
    Algorithm,
    Balancer,
    Condition,
    FixedResponse,
    Forward,
    ForwardedFor,
    Group,
    HealthCheck,
    Listener,
    Redirect,
    Rule,
    Subject,
    Target,
    Tls,
)
from dock.store import Record, Scope


def balancer(
    records: Records, scope: Scope, load_balancer: Record, certificate: Callable[[str], Path], change: Change | None
) -> Balancer:
    """What this load balancer should do when `change` is made. `certificate` gives the file of one, by its ARN."""
    kept = load_balancer["Attributes"]

    def is_set(key: str) -> bool:
        return attributes.value(kept, attributes.LOAD_BALANCER, key) == "true"

    def text(key: str) -> str:
        return attributes.value(kept, attributes.LOAD_BALANCER, key)

    listeners = records.listeners(scope, load_balancer["id"], change)
    rules = {each["id"]: records.rules(scope, each["id"], change) for each in listeners}
    used = {arn for each in listeners for arn in groups_of(each["DefaultActions"])}
    used |= {arn for found in rules.values() for rule in found for arn in groups_of(rule["Actions"])}
    known = {group["id"]: group for group in records.all(scope, "elbv2/target-group", change)}
    return Balancer(
        listeners=tuple(
            listener(each, rules[each["id"]], load_balancer["Address"], certificate, is_set("routing.http2.enabled"))
            for each in listeners
        ),
        groups=tuple(group(known[arn], records.targets(scope, arn, change)) for arn in sorted(used)),
        idle_timeout=int(text("idle_timeout.timeout_seconds")),
        drop_invalid_headers=is_set("routing.http.drop_invalid_header_fields.enabled"),
        preserve_host=is_set("routing.http.preserve_host_header.enabled"),
        forwarded_for=ForwardedFor(text("routing.http.xff_header_processing.mode")),
        forwarded_port=is_set("routing.http.xff_client_port.enabled"),
        tls_headers=is_set("routing.http.x_amzn_tls_version_and_cipher_suite.enabled"),
    )


def listener(
    record: Record, rules: Iterable[Record], address: str, certificate: Callable[[str], Path], http2: bool
) -> Listener:
    """A listener with its rules, the default one last."""
    tls = None
    if record["Protocol"] == "HTTPS":
        minimum, maximum = policies.versions(record["SslPolicy"])
        tls = Tls(certificate(record["Certificates"][0]["CertificateArn"]), minimum, maximum, http2)
    name = names.engine_name(record["id"])
    ordered = [
        Rule(
            names.engine_name(rule["id"]),
            action(rule["Actions"][0]),
            tuple(condition(each) for each in rule["Conditions"]),
        )
        for rule in rules
    ]
    ordered.append(Rule(f"{name}-default", action(record["DefaultActions"][0])))
    return Listener(f"listener-{name}", address, int(record["Port"]), tuple(ordered), tls)


def group(record: Record, targets: Iterable[Record]) -> Group:
    """A target group with the targets that get requests: those that drain get none."""
    kept = record["Attributes"]

    def text(key: str) -> str:
        return attributes.value(kept, attributes.TARGET_GROUP, key)

    sticky = text("stickiness.enabled") == "true"
    return Group(
        name=names.engine_name(record["id"]),
        check=health_check(record),
        algorithm=(
            Algorithm.ROUND_ROBIN
            if text("load_balancing.algorithm.type") == "round_robin"
            else Algorithm.LEAST_OUTSTANDING
        ),
        slow_start=int(text("slow_start.duration_seconds")),
        stickiness=int(text("stickiness.lb_cookie.duration_seconds")) if sticky else None,
        targets=frozenset(target(each) for each in targets if each["draining_until"] is None),
    )


def health_check(record: Record) -> HealthCheck:
    port = record["HealthCheckPort"]
    return HealthCheck(
        path=record["HealthCheckPath"],
        port=None if port == "traffic-port" else int(port),
        interval=record["HealthCheckIntervalSeconds"],
        timeout=record["HealthCheckTimeoutSeconds"],
        rise=record["HealthyThresholdCount"],
        fall=record["UnhealthyThresholdCount"],
        matcher=record["Matcher"]["HttpCode"],
    )


def target(record: Record) -> Target:
    return Target(record["address"], record["port"])


def action(kept: dict[str, Any]) -> Action:
    if kept["Type"] == "redirect":
        config = kept["RedirectConfig"]
        return Redirect(
            status=int(config["StatusCode"].removeprefix("HTTP_")),
            protocol=config["Protocol"],
            host=config["Host"],
            port=config["Port"],
            path=config["Path"],
            query=config["Query"],
        )
    if kept["Type"] == "fixed-response":
        config = kept["FixedResponseConfig"]
        return FixedResponse(int(config["StatusCode"]), config["ContentType"], config.get("MessageBody", ""))
    return Forward(
        {names.engine_name(each["TargetGroupArn"]): each["Weight"] for each in kept["ForwardConfig"]["TargetGroups"]}
    )


def condition(kept: dict[str, Any]) -> Condition:
    subject = Subject(kept["Field"])
    config = next(value for key, value in kept.items() if key.endswith("Config"))
    values = config["Values"]
    if subject is Subject.QUERY:
        values = [f"{each.get('Key', '')}={each['Value']}" for each in values]
    return Condition(subject, tuple(values), config.get("HttpHeaderName", ""))
