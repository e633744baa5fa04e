"""The dashboard of an environment: every alarm's state, and what each one watches with its threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.alarms import Alarm, Metric

# CloudWatch's grid is 24 wide.
_WIDTH, _HEIGHT, _COLUMNS = 8, 6, 3
_STATES_HEIGHT = 4


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Metrics to look at for which nobody is woken, by their labels."""

    title: str
    metrics: Mapping[str, Metric]
    period_seconds: int


@dataclass(frozen=True, kw_only=True)
class DashboardArgs:
    """`alarm_arns` by the alarms' keys, composites among them; `graphs` come before the alarms' own."""

    region: pulumi.Input[str]
    alarms: Sequence[Alarm]
    alarm_arns: Mapping[str, pulumi.Input[str]]
    graphs: Sequence[Graph]


class Dashboard(pulumi.ComponentResource):
    dashboard: pulumi.Output[str]

    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Dashboard", name, None, opts)
        states = {
            "type": "alarm",
            "x": 0,
            "y": 0,
            "width": _WIDTH * _COLUMNS,
            "height": _STATES_HEIGHT,
            "properties": {"title": "Alarms", "alarms": list(args.alarm_arns.values())},
        }
        shown = [_graph(graph, args.region) for graph in args.graphs]
        shown += [_watched(alarm, args.region) for alarm in args.alarms]
        widgets = [
            {
                "type": "metric",
                "x": number % _COLUMNS * _WIDTH,
                "y": _STATES_HEIGHT + number // _COLUMNS * _HEIGHT,
                "width": _WIDTH,
                "height": _HEIGHT,
                "properties": properties,
            }
            for number, properties in enumerate(shown)
        ]
        dashboard = aws.cloudwatch.Dashboard(
            f"{name}-dashboard",
            dashboard_name=name,
            dashboard_body=pulumi.Output.json_dumps({"widgets": [states, *widgets]}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.dashboard = dashboard.dashboard_name
        self.register_outputs({"dashboard": self.dashboard})


def _graph(graph: Graph, region: pulumi.Input[str]) -> dict[str, Any]:
    return {
        "title": graph.title,
        "region": region,
        "period": graph.period_seconds,
        "metrics": [_line(metric, {"label": label}) for label, metric in graph.metrics.items()],
    }


def _watched(alarm: Alarm, region: pulumi.Input[str]) -> dict[str, Any]:
    """The very metrics of the alarm: what a person sees is what it decides by."""
    hidden = alarm.expression is not None
    lines = [
        _line(metric, {"id": identifier, **({"visible": False} if hidden else {})})
        for identifier, metric in alarm.metrics.items()
    ]
    if alarm.expression is not None:
        lines.append([{"expression": alarm.expression, "id": "value", "label": alarm.unit}])
    return {
        "title": f"{alarm.key}, {alarm.unit}",
        "region": region,
        "period": alarm.period_seconds,
        "metrics": lines,
        "annotations": {"horizontal": [{"value": alarm.threshold, "label": f"{alarm.comparison} fires"}]},
    }


def _line(metric: Metric, options: dict[str, Any]) -> list[Any]:
    dimensions = [part for pair in metric.dimensions.items() for part in pair]
    return [metric.namespace, metric.name, *dimensions, {"stat": metric.statistic, **options}]
