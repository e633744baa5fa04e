"""More tasks when they are busy, fewer when they are not."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

NAMESPACE, DIMENSION = "ecs", "ecs:service:DesiredCount"


@dataclass(frozen=True, kw_only=True)
class AutoscalingArgs:
    """Between `minimum` and `maximum` tasks, so many that they use `cpu_percent` of their CPU on average. After it
    scaled out or in, it waits so many seconds for the effect.

    The bounds are all that is set here. How many tasks run belongs to Auto Scaling and to deployments: the service
    ignores its count, and registering it changes none.
    """

    cluster: pulumi.Input[str]
    service: pulumi.Input[str]
    minimum: pulumi.Input[int]
    maximum: pulumi.Input[int]
    cpu_percent: pulumi.Input[float]
    out_seconds: pulumi.Input[int]
    in_seconds: pulumi.Input[int]


class Autoscaling(pulumi.ComponentResource):
    resource_id: pulumi.Output[str]

    def __init__(self, name: str, args: AutoscalingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Autoscaling", name, None, opts)
        target = aws.appautoscaling.Target(
            f"{name}-target",
            service_namespace=NAMESPACE,
            scalable_dimension=DIMENSION,
            resource_id=pulumi.Output.concat("service/", args.cluster, "/", args.service),
            min_capacity=args.minimum,
            max_capacity=args.maximum,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.appautoscaling.Policy(
            f"{name}-cpu",
            name=f"{name}-cpu",
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
                target_value=args.cpu_percent,
                predefined_metric_specification=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs(
                    predefined_metric_type="ECSServiceAverageCPUUtilization"
                ),
                scale_out_cooldown=args.out_seconds,
                scale_in_cooldown=args.in_seconds,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resource_id = target.resource_id
        self.register_outputs({"resource_id": self.resource_id})
