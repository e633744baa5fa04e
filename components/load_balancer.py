"""An application load balancer in front of one service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

HTTP = 80
# TLS 1.2 and 1.3 with forward secrecy.
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    """`certificate_arn` makes the listener HTTPS, and port 80 a redirect to it.

    `deregistration_delay_seconds` is how long requests may take to finish at a target that leaves; health checks are
    asked every `health_interval_seconds` and judged after that many answers in a row.
    """

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    port: pulumi.Input[int]
    certificate_arn: pulumi.Input[str] | None
    target_port: pulumi.Input[int]
    deregistration_delay_seconds: pulumi.Input[int]
    idle_timeout_seconds: pulumi.Input[int]
    health_path: pulumi.Input[str]
    health_interval_seconds: pulumi.Input[int]
    health_timeout_seconds: pulumi.Input[int]
    healthy_threshold: pulumi.Input[int]
    unhealthy_threshold: pulumi.Input[int]
    protect: bool


class LoadBalancer(pulumi.ComponentResource):
    arn: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    # Known once its listener is there: ECS refuses a service whose target group no load balancer uses.
    target_group_arn: pulumi.Output[str]

    def __init__(self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:LoadBalancer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        balancer = aws.lb.LoadBalancer(
            f"{name}-balancer",
            name=name,
            load_balancer_type="application",
            internal=False,
            subnets=list(args.subnet_ids),
            security_groups=[args.security_group_id],
            # Both close ways to smuggle a request past the balancer.
            drop_invalid_header_fields=True,
            desync_mitigation_mode="defensive",
            idle_timeout=args.idle_timeout_seconds,
            enable_deletion_protection=args.protect,
            opts=child,
        )
        target_group = aws.lb.TargetGroup(
            f"{name}-targets",
            name=name,
            vpc_id=args.vpc_id,
            port=args.target_port,
            protocol="HTTP",
            # In awsvpc mode each task has an address of its own.
            target_type="ip",
            deregistration_delay=args.deregistration_delay_seconds,
            # A slow task gets fewer requests, instead of its equal share of a growing queue.
            load_balancing_algorithm_type="least_outstanding_requests",
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                path=args.health_path,
                protocol="HTTP",
                port="traffic-port",
                matcher="200",
                interval=args.health_interval_seconds,
                timeout=args.health_timeout_seconds,
                healthy_threshold=args.healthy_threshold,
                unhealthy_threshold=args.unhealthy_threshold,
            ),
            opts=child,
        )
        forward = aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=target_group.arn)
        if args.certificate_arn is None:
            listener = aws.lb.Listener(
                f"{name}-http",
                load_balancer_arn=balancer.arn,
                port=args.port,
                protocol="HTTP",
                default_actions=[forward],
                opts=child,
            )
        else:
            listener = aws.lb.Listener(
                f"{name}-https",
                load_balancer_arn=balancer.arn,
                port=args.port,
                protocol="HTTPS",
                certificate_arn=args.certificate_arn,
                ssl_policy=TLS_POLICY,
                default_actions=[forward],
                opts=child,
            )
            aws.lb.Listener(
                f"{name}-redirect",
                load_balancer_arn=balancer.arn,
                port=HTTP,
                protocol="HTTP",
                default_actions=[
                    aws.lb.ListenerDefaultActionArgs(
                        type="redirect",
                        redirect=aws.lb.ListenerDefaultActionRedirectArgs(
                            port=pulumi.Output.from_input(args.port).apply(str),
                            protocol="HTTPS",
                            status_code="HTTP_301",
                        ),
                    )
                ],
                opts=child,
            )
        self.arn = balancer.arn
        self.dns_name = balancer.dns_name
        self.target_group_arn = pulumi.Output.all(target_group.arn, listener.arn).apply(lambda arns: str(arns[0]))
        self.register_outputs({"arn": self.arn, "dns_name": self.dns_name, "target_group_arn": self.target_group_arn})
