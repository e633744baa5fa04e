"""Metrics that are counted from what an application logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class LogMetricsArgs:
    """`patterns` are filter patterns by the metric that counts the lines they match, in `namespace`."""

    log_group: pulumi.Input[str]
    namespace: pulumi.Input[str]
    patterns: Mapping[str, str]


class LogMetrics(pulumi.ComponentResource):
    """Metrics have no dimensions, so that they can be 0 while nothing matches."""

    namespace: pulumi.Output[str]

    def __init__(self, name: str, args: LogMetricsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:LogMetrics", name, None, opts)
        for metric, pattern in args.patterns.items():
            aws.cloudwatch.LogMetricFilter(
                f"{name}-{metric}",
                name=f"{name}-{metric}",
                log_group_name=args.log_group,
                pattern=pattern,
                metric_transformation=aws.cloudwatch.LogMetricFilterMetricTransformationArgs(
                    name=metric, namespace=args.namespace, value="1", default_value="0", unit="Count"
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.namespace = pulumi.Output.from_input(args.namespace)
        self.register_outputs({"namespace": self.namespace})
