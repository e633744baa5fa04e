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
class Sides:
    """Two target groups, between which deployments move the traffic. Requests with `test_header`, a name and a value,
    go to the side that is being tested; None: there is no such way."""

    test_header: tuple[pulumi.Input[str], pulumi.Input[str]] | None


@dataclass(frozen=True, kw_only=True)
class SideArns:
    """What a deployment moves traffic with, beside the load balancer's `target_group_arn`."""

    alternate_target_group: pulumi.Output[str]
    production_rule: pulumi.Output[str]
    test_rule: pulumi.Output[str] | None


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    """`certificate_arn` makes the listener HTTPS, and port 80 a redirect to it.

    `deregistration_delay_seconds` is how long requests may take to finish at a target that leaves; health checks are
    asked every `health_interval_seconds` and judged after that many answers in a row. Without `sides` there is one
    target group, and the listener's default leads to it.
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
    sides: Sides | None = None


class LoadBalancer(pulumi.ComponentResource):
    arn: pulumi.Output[str]
    # How metrics name the load balancer and its target group.
    arn_suffix: pulumi.Output[str]
    target_group_suffix: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    # Of Route 53, for alias records.
    zone_id: pulumi.Output[str]
    # Known once its listener is there: ECS refuses a service whose target group no load balancer uses.
    target_group_arn: pulumi.Output[str]
    sides: SideArns | None

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
        target_group = _target_group(name, name, args, child)
        default = aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=target_group.arn)
        if args.sides is not None:
            # Every request has a rule. One that has none nevertheless must not reach the side that is idle.
            default = aws.lb.ListenerDefaultActionArgs(
                type="fixed-response",
                fixed_response=aws.lb.ListenerDefaultActionFixedResponseArgs(
                    status_code="503", content_type="text/plain", message_body="no rule leads anywhere"
                ),
            )
        if args.certificate_arn is None:
            listener = aws.lb.Listener(
                f"{name}-http",
                load_balancer_arn=balancer.arn,
                port=args.port,
                protocol="HTTP",
                default_actions=[default],
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
                default_actions=[default],
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
        self.arn_suffix = balancer.arn_suffix
        self.target_group_suffix = target_group.arn_suffix
        self.dns_name = balancer.dns_name
        self.zone_id = balancer.zone_id
        self.sides = None
        users = [listener.arn]
        if args.sides is not None:
            self.sides = _sides(name, args, args.sides, target_group.arn, listener.arn, child)
            users.append(self.sides.production_rule)
        self.target_group_arn = pulumi.Output.all(target_group.arn, *users).apply(lambda arns: str(arns[0]))
        self.register_outputs(
            {
                "arn": self.arn,
                "arn_suffix": self.arn_suffix,
                "dns_name": self.dns_name,
                "target_group_arn": self.target_group_arn,
                "target_group_suffix": self.target_group_suffix,
            }
        )


def _target_group(
    name: str, group_name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions
) -> aws.lb.TargetGroup:
    return aws.lb.TargetGroup(
        f"{name}-targets",
        name=group_name,
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
        opts=opts,
    )


def _sides(
    name: str,
    args: LoadBalancerArgs,
    sides: Sides,
    first: pulumi.Output[str],
    listener: pulumi.Output[str],
    child: pulumi.ResourceOptions,
) -> SideArns:
    alternate = _target_group(f"{name}-alternate", f"{name}-b", args, child)
    both = aws.lb.ListenerRuleActionArgs(
        type="forward",
        forward=aws.lb.ListenerRuleActionForwardArgs(
            # Both belong to the rule from the beginning: a target group that no rule uses is not checked.
            target_groups=[
                aws.lb.ListenerRuleActionForwardTargetGroupArgs(arn=first, weight=100),
                aws.lb.ListenerRuleActionForwardTargetGroupArgs(arn=alternate.arn, weight=0),
            ]
        ),
    )

    def rule(kind: str, priority: int, condition: aws.lb.ListenerRuleConditionArgs) -> pulumi.Output[str]:
        made = aws.lb.ListenerRule(
            f"{name}-{kind}",
            listener_arn=listener,
            priority=priority,
            conditions=[condition],
            actions=[both],
            # Who gets the traffic belongs to deployments: an `up` must not send it back to where it began.
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(ignore_changes=["actions"])),
        )
        return made.arn

    test_rule = None
    if sides.test_header is not None:
        header, value = sides.test_header
        test_rule = rule(
            "test",
            1,
            aws.lb.ListenerRuleConditionArgs(
                http_header=aws.lb.ListenerRuleConditionHttpHeaderArgs(http_header_name=header, values=[value])
            ),
        )
    everything = aws.lb.ListenerRuleConditionArgs(
        path_pattern=aws.lb.ListenerRuleConditionPathPatternArgs(values=["/*"])
    )
    return SideArns(
        alternate_target_group=alternate.arn,
        production_rule=rule("users", 2, everything),
        test_rule=test_rule,
    )
