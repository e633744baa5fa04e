"""Alarms: what is watched, from when on somebody is told, who, and what they do then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

Severity = Literal["page", "ticket"]
_COMPARISONS = {"above": "GreaterThanThreshold", "below": "LessThanThreshold"}
_STATISTICS = frozenset({"Average", "Sum", "Minimum", "Maximum", "SampleCount"})
# CloudWatch takes no shorter waits.
_WAIT_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric and its statistic (`Sum`, `p95`, …)."""

    namespace: pulumi.Input[str]
    name: str
    statistic: str
    dimensions: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One alarm, and what a dashboard shows of it.

    The value is the only metric's, or that of `expression` over all of them by their ids. It fires when the value was
    `above` or `below` the threshold in `datapoints` of the last `periods` periods of `period_seconds`. `missing`: what
    a period without data counts as. `severity`: whom it tells; None for one that only speaks through a composite.
    `says` is a sentence for whoever is woken; `runbook` what they open.
    """

    key: str
    says: str
    metrics: Mapping[str, Metric]
    expression: str | None = None
    unit: str
    comparison: Literal["above", "below"]
    threshold: float
    period_seconds: int
    periods: int
    datapoints: int
    missing: Literal["breaching", "notBreaching", "ignore"]
    severity: Severity | None
    owner: str
    runbook: str


@dataclass(frozen=True, kw_only=True)
class Composite:
    """Fires when `any` of the alarms does that it names by their keys, or `all` do. One that is `quiet_in_deployments`
    tells nobody while a deployment runs: it speaks afterwards, if it is still so."""

    key: str
    says: str
    members: Sequence[str]
    fires: Literal["any", "all"]
    severity: Severity
    quiet_in_deployments: bool
    owner: str
    runbook: str


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    """`topics`: the ARN that alarms of a severity tell. `deployment` is the metric that whoever deploys puts, above 0
    for as long as it deploys, at least once in `deployment_seconds`."""

    alarms: Sequence[Alarm]
    composites: Sequence[Composite]
    topics: Mapping[str, pulumi.Input[str]]
    deployment: Metric
    deployment_seconds: int


class Alarms(pulumi.ComponentResource):
    """`names` and `arns` are those of all alarms and composites by their keys."""

    names: Mapping[str, str]
    arns: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Alarms", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        metric_alarms = {
            alarm.key: _metric_alarm(f"{name}-{alarm.key}", alarm, args.topics, child) for alarm in args.alarms
        }
        deployment = aws.cloudwatch.MetricAlarm(
            f"{name}-deployment",
            name=f"{name}-deployment",
            alarm_description="A deployment runs. Tells nobody: it keeps composites quiet that a deployment disturbs.",
            comparison_operator=_COMPARISONS["above"],
            threshold=0,
            evaluation_periods=1,
            treat_missing_data="notBreaching",
            opts=child,
            **_plain(args.deployment, args.deployment_seconds),
        )
        self.arns = {key: alarm.arn for key, alarm in metric_alarms.items()}
        self.arns["deployment"] = deployment.arn
        for composite in args.composites:
            parts = [pulumi.Output.concat('ALARM("', metric_alarms[key].name, '")') for key in composite.members]
            made = aws.cloudwatch.CompositeAlarm(
                f"{name}-{composite.key}",
                alarm_name=f"{name}-{composite.key}",
                alarm_description=_description(composite.says, composite.owner, composite.runbook),
                alarm_rule=_joined(parts, " OR " if composite.fires == "any" else " AND "),
                alarm_actions=[args.topics[composite.severity]],
                ok_actions=[args.topics[composite.severity]],
                actions_suppressor=(
                    aws.cloudwatch.CompositeAlarmActionsSuppressorArgs(
                        alarm=deployment.name, wait_period=_WAIT_SECONDS, extension_period=_WAIT_SECONDS
                    )
                    if composite.quiet_in_deployments
                    else None
                ),
                opts=child,
            )
            self.arns[composite.key] = made.arn
        self.names = {key: f"{name}-{key}" for key in self.arns}
        self.register_outputs({"names": self.names, "arns": self.arns})


def _metric_alarm(
    name: str, alarm: Alarm, topics: Mapping[str, pulumi.Input[str]], opts: pulumi.ResourceOptions
) -> aws.cloudwatch.MetricAlarm:
    told = [topics[alarm.severity]] if alarm.severity else []
    if alarm.expression is None:
        ((_, metric),) = alarm.metrics.items()
        watched = _plain(metric, alarm.period_seconds)
    else:
        watched = {"metric_queries": _queries(alarm, alarm.expression)}
    return aws.cloudwatch.MetricAlarm(
        name,
        name=name,
        alarm_description=_description(alarm.says, alarm.owner, alarm.runbook),
        comparison_operator=_COMPARISONS[alarm.comparison],
        threshold=alarm.threshold,
        evaluation_periods=alarm.periods,
        datapoints_to_alarm=alarm.datapoints,
        treat_missing_data=alarm.missing,
        alarm_actions=told,
        ok_actions=told,
        opts=opts,
        **watched,
    )


def _plain(metric: Metric, seconds: int) -> dict[str, Any]:
    key = "statistic" if metric.statistic in _STATISTICS else "extended_statistic"
    return {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "dimensions": dict(metric.dimensions),
        key: metric.statistic,
        "period": seconds,
    }


def _queries(alarm: Alarm, expression: str) -> list[aws.cloudwatch.MetricAlarmMetricQueryArgs]:
    metrics = [
        aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id=identifier,
            metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=metric.namespace,
                metric_name=metric.name,
                dimensions=dict(metric.dimensions),
                stat=metric.statistic,
                period=alarm.period_seconds,
            ),
            return_data=False,
        )
        for identifier, metric in alarm.metrics.items()
    ]
    return [
        *metrics,
        aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id="value", expression=expression, label=alarm.unit, return_data=True
        ),
    ]


def _joined(parts: Sequence[pulumi.Output[str]], joint: str) -> pulumi.Output[str]:
    return pulumi.Output.all(*parts).apply(lambda texts: joint.join(texts))


def _description(says: str, owner: str, runbook: str) -> str:
    return f"{says} Owner: {owner}. Runbook: {runbook}"
