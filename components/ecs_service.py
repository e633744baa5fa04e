"""A service on ECS behind a load balancer: how it runs. Which release of it runs is not decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from components.task_template import TaskTemplate, TaskTemplateArgs, assumed_by_tasks

PLATFORM_VERSION = "1.4.0"


@dataclass(frozen=True, kw_only=True)
class BlueGreen:
    """New tasks come up beside the old ones, in the target group of the two that is idle. Both run for `bake_minutes`
    after the traffic has gone over, so that a rollback is a matter of the traffic alone."""

    bake_minutes: pulumi.Input[int]
    alternate_target_group_arn: pulumi.Input[str]
    production_rule_arn: pulumi.Input[str]
    test_rule_arn: pulumi.Input[str] | None


@dataclass(frozen=True, kw_only=True)
class EcsServiceArgs:
    """`variables` and `secrets` as in `TaskTemplateArgs`; the migration has `migration_secrets` in addition.

    During a deployment at least `minimum_healthy_percent` of the tasks serve, and at most `maximum_percent` run.
    `grace_seconds`: how long a task that has just started may answer health checks badly. Without `blue_green`
    deployments are rolling. An alarm of `deployment_alarms`, given by name, that goes off during one rolls it back.
    """

    account: pulumi.Input[str]
    region: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    container: pulumi.Input[str]
    port: pulumi.Input[int]
    repository_arn: pulumi.Input[str]
    repository_url: pulumi.Input[str]
    cpu: pulumi.Input[int]
    memory: pulumi.Input[int]
    architecture: pulumi.Input[str]
    variables: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    secrets: Mapping[str, tuple[pulumi.Input[str], str]] = field(default_factory=dict)
    migration_command: Sequence[str]
    migration_secrets: Mapping[str, tuple[pulumi.Input[str], str]] = field(default_factory=dict)
    key_arn: pulumi.Input[str]
    log_group: pulumi.Input[str]
    log_retention_days: pulumi.Input[int]
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    target_group_arn: pulumi.Input[str]
    minimum_healthy_percent: pulumi.Input[int]
    maximum_percent: pulumi.Input[int]
    grace_seconds: pulumi.Input[int]
    boundary_arn: pulumi.Input[str] | None = None
    blue_green: BlueGreen | None = None
    deployment_alarms: Sequence[pulumi.Input[str]] = ()


class EcsService(pulumi.ComponentResource):
    """Starts empty, and stays as the last deployment left it: which task definition runs, and how many, belongs to
    deployments. Otherwise an `up` after a rollback would bring the bad release back."""

    service: pulumi.Output[str]
    log_group: pulumi.Output[str]
    template_arn: pulumi.Output[str]
    migration_template_arn: pulumi.Output[str]

    def __init__(self, name: str, args: EcsServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:EcsService", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=args.log_group,
            kms_key_id=args.key_arn,
            retention_in_days=args.log_retention_days,
            opts=child,
        )
        # Without any permission: the application calls no AWS API. What it comes to need is granted here.
        task_role = aws.iam.Role(
            f"{name}-task",
            name=f"{name}-task",
            description=f"What the application {name} may do on AWS",
            assume_role_policy=assumed_by_tasks(args.account),
            permissions_boundary=args.boundary_arn,
            opts=child,
        )

        def template(
            family: str,
            secrets: Mapping[str, tuple[pulumi.Input[str], str]],
            port: pulumi.Input[int] | None,
            command: Sequence[str] | None,
        ) -> TaskTemplate:
            return TaskTemplate(
                family,
                TaskTemplateArgs(
                    account=args.account,
                    region=args.region,
                    container=args.container,
                    repository_arn=args.repository_arn,
                    repository_url=args.repository_url,
                    cpu=args.cpu,
                    memory=args.memory,
                    architecture=args.architecture,
                    port=port,
                    command=command,
                    variables=args.variables,
                    secrets=secrets,
                    key_arn=args.key_arn,
                    log_group=log_group.name,
                    log_group_arn=log_group.arn,
                    task_role_arn=task_role.arn,
                    boundary_arn=args.boundary_arn,
                ),
                child,
            )

        serving = template(name, args.secrets, args.port, None)
        # A template and an execution role of its own, so that the service never sees what only migrations may use.
        migrating = template(
            f"{name}-migrate", {**args.secrets, **args.migration_secrets}, None, args.migration_command
        )

        sides = args.blue_green
        traffic = _traffic_role(name, args, sides, child) if sides is not None else None

        service = aws.ecs.Service(
            f"{name}-service",
            name=name,
            cluster=args.cluster_arn,
            task_definition=serving.arn,
            desired_count=0,
            launch_type="FARGATE",
            platform_version=PLATFORM_VERSION,
            scheduling_strategy="REPLICA",
            deployment_minimum_healthy_percent=args.minimum_healthy_percent,
            deployment_maximum_percent=args.maximum_percent,
            deployment_circuit_breaker=aws.ecs.ServiceDeploymentCircuitBreakerArgs(enable=True, rollback=True),
            availability_zone_rebalancing="ENABLED",
            health_check_grace_period_seconds=args.grace_seconds,
            network_configuration=aws.ecs.ServiceNetworkConfigurationArgs(
                subnets=list(args.subnet_ids), security_groups=[args.security_group_id], assign_public_ip=False
            ),
            load_balancers=[
                aws.ecs.ServiceLoadBalancerArgs(
                    target_group_arn=args.target_group_arn,
                    container_name=args.container,
                    container_port=args.port,
                    advanced_configuration=aws.ecs.ServiceLoadBalancerAdvancedConfigurationArgs(
                        alternate_target_group_arn=sides.alternate_target_group_arn,
                        production_listener_rule=sides.production_rule_arn,
                        test_listener_rule=sides.test_rule_arn,
                        role_arn=traffic,
                    )
                    if sides is not None and traffic is not None
                    else None,
                )
            ],
            deployment_configuration=aws.ecs.ServiceDeploymentConfigurationArgs(
                strategy="BLUE_GREEN", bake_time_in_minutes=pulumi.Output.from_input(sides.bake_minutes).apply(str)
            )
            if sides is not None
            else None,
            alarms=aws.ecs.ServiceAlarmsArgs(alarm_names=list(args.deployment_alarms), enable=True, rollback=True)
            if args.deployment_alarms
            else None,
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
            enable_execute_command=False,
            # There is nothing to wait for: a new service has no tasks, an old one keeps those it has.
            wait_for_steady_state=False,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["taskDefinition", "desiredCount"]),
        )
        self.service = service.name
        self.log_group = log_group.name
        self.template_arn = serving.arn
        self.migration_template_arn = migrating.arn
        self.register_outputs(
            {
                "service": self.service,
                "log_group": self.log_group,
                "template_arn": self.template_arn,
                "migration_template_arn": self.migration_template_arn,
            }
        )


def _traffic_role(
    name: str, args: EcsServiceArgs, sides: BlueGreen, child: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """The role with which ECS moves traffic from one side to the other; known once it may."""
    role = aws.iam.Role(
        f"{name}-traffic",
        name=f"{name}-traffic",
        description=f"Moves traffic of {name} between its two target groups in deployments",
        assume_role_policy=pulumi.Output.json_dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "ecs.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                        "Condition": {"StringEquals": {"aws:SourceAccount": args.account}},
                    }
                ],
            }
        ),
        permissions_boundary=args.boundary_arn,
        opts=child,
    )
    rules = [sides.production_rule_arn, *([] if sides.test_rule_arn is None else [sides.test_rule_arn])]
    groups = [args.target_group_arn, sides.alternate_target_group_arn]
    policy = aws.iam.RolePolicy(
        f"{name}-traffic",
        name="move",
        role=role.name,
        policy=pulumi.Output.json_dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    # Elastic Load Balancing restricts no Describe to a resource.
                    {
                        "Effect": "Allow",
                        "Action": [
                            "elasticloadbalancing:DescribeListeners",
                            "elasticloadbalancing:DescribeRules",
                            "elasticloadbalancing:DescribeTargetGroups",
                            "elasticloadbalancing:DescribeTargetHealth",
                        ],
                        "Resource": "*",
                    },
                    {"Effect": "Allow", "Action": "elasticloadbalancing:ModifyRule", "Resource": rules},
                    {
                        "Effect": "Allow",
                        "Action": [
                            "elasticloadbalancing:RegisterTargets",
                            "elasticloadbalancing:DeregisterTargets",
                        ],
                        "Resource": groups,
                    },
                ],
            }
        ),
        opts=child,
    )
    return pulumi.Output.all(role.arn, policy.id).apply(lambda known: str(known[0]))
