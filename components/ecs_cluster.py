"""The ECS cluster that the services of an environment run in."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class EcsClusterArgs:
    """`container_insights`: `disabled`, `enabled` (cluster and service metrics) or `enhanced` (tasks' too)."""

    container_insights: pulumi.Input[str]


class EcsCluster(pulumi.ComponentResource):
    arn: pulumi.Output[str]
    cluster: pulumi.Output[str]

    def __init__(self, name: str, args: EcsClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:EcsCluster", name, None, opts)
        cluster = aws.ecs.Cluster(
            f"{name}-cluster",
            name=name,
            settings=[aws.ecs.ClusterSettingArgs(name="containerInsights", value=args.container_insights)],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = cluster.arn
        self.cluster = cluster.name
        self.register_outputs({"arn": self.arn, "cluster": self.cluster})
