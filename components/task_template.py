"""What a task is made of, except the image: the template from which releases are registered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

# Tags never move, so the registry will never hold an image of this name: a template is not meant to run.
TEMPLATE_TAG = "template"
STOP_SECONDS = 30
# Rather lose a log line than stop serving users when CloudWatch Logs is slow.
LOG_BUFFER = "25m"

TASKS_MAY_ASSUME = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}


def assumed_by_tasks(account: pulumi.Input[str]) -> pulumi.Output[str]:
    """A trust policy for the tasks of this account, and of no other that ECS might be talked into acting for."""
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{**TASKS_MAY_ASSUME, "Condition": {"StringEquals": {"aws:SourceAccount": account}}}],
        }
    )


@dataclass(frozen=True, kw_only=True)
class TaskTemplateArgs:
    """`cpu` in CPU units (1024 are one), `memory` in MiB, as Fargate combines them.

    `variables` are plain; `secrets` names variables whose values the agent reads from Secrets Manager at start, as
    `(secret's ARN, key in its JSON object)`.
    """

    account: pulumi.Input[str]
    region: pulumi.Input[str]
    container: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    repository_url: pulumi.Input[str]
    cpu: pulumi.Input[int]
    memory: pulumi.Input[int]
    architecture: pulumi.Input[str]
    port: pulumi.Input[int] | None = None
    command: Sequence[str] | None = None
    variables: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    secrets: Mapping[str, tuple[pulumi.Input[str], str]] = field(default_factory=dict)
    key_arn: pulumi.Input[str]
    log_group: pulumi.Input[str]
    log_group_arn: pulumi.Input[str]
    task_role_arn: pulumi.Input[str]
    boundary_arn: pulumi.Input[str] | None = None


class TaskTemplate(pulumi.ComponentResource):
    """Family `<name>-template`. Releases go into the family `<name>`, and may use no secret that isn't named here:
    the execution role, which is this template's own, reads no other."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TaskTemplateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:TaskTemplate", name, None, opts)
        execution = aws.iam.Role(
            f"{name}-execution",
            name=f"{name}-execution",
            description=f"Starts tasks of {name}: its image, its secrets, its log",
            assume_role_policy=assumed_by_tasks(args.account),
            permissions_boundary=args.boundary_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        policy = aws.iam.RolePolicy(
            f"{name}-execution",
            name="start",
            role=execution.name,
            policy=self._permissions(args),
            opts=pulumi.ResourceOptions(parent=self),
        )
        template = aws.ecs.TaskDefinition(
            f"{name}-template",
            family=f"{name}-template",
            container_definitions=self._containers(args),
            cpu=pulumi.Output.from_input(args.cpu).apply(str),
            memory=pulumi.Output.from_input(args.memory).apply(str),
            network_mode="awsvpc",
            requires_compatibilities=["FARGATE"],
            runtime_platform=aws.ecs.TaskDefinitionRuntimePlatformArgs(
                cpu_architecture=args.architecture, operating_system_family="LINUX"
            ),
            execution_role_arn=execution.arn,
            task_role_arn=args.task_role_arn,
            # A task that starts before its role may read secrets fails.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.arn = template.arn
        self.register_outputs({"arn": self.arn})

    @staticmethod
    def _containers(args: TaskTemplateArgs) -> pulumi.Output[str]:
        container: dict[str, Any] = {
            "name": args.container,
            "image": pulumi.Output.concat(args.repository_url, ":", TEMPLATE_TAG),
            "essential": True,
            "environment": [{"name": key, "value": value} for key, value in sorted(args.variables.items())],
            "secrets": [
                {"name": variable, "valueFrom": pulumi.Output.concat(arn, ":", key, "::")}
                for variable, (arn, key) in sorted(args.secrets.items())
            ],
            "stopTimeout": STOP_SECONDS,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": args.log_group,
                    "awslogs-region": args.region,
                    "awslogs-stream-prefix": args.container,
                    "mode": "non-blocking",
                    "max-buffer-size": LOG_BUFFER,
                },
            },
        }
        if args.port is not None:
            # In awsvpc mode the host's port is the container's; ECS adds it, and would then differ from what we said.
            container["portMappings"] = [{"containerPort": args.port, "hostPort": args.port, "protocol": "tcp"}]
        if args.command is not None:
            container["command"] = list(args.command)
        return pulumi.Output.json_dumps([container])

    @staticmethod
    def _permissions(args: TaskTemplateArgs) -> pulumi.Output[str]:
        def policy(known: dict[str, str | list[str]]) -> str:
            statements = [
                # The one action that ECR can't restrict to a repository.
                {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
                {
                    "Effect": "Allow",
                    "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                    "Resource": known["repository"],
                },
                {
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": f"{known['log_group']}:*",
                },
            ]
            if known["secrets"]:
                statements += [
                    {
                        "Effect": "Allow",
                        "Action": "secretsmanager:GetSecretValue",
                        "Resource": sorted(set(known["secrets"])),
                    },
                    {
                        "Effect": "Allow",
                        "Action": "kms:Decrypt",
                        "Resource": known["key"],
                        "Condition": {
                            "StringEquals": {"kms:ViaService": f"secretsmanager.{known['region']}.amazonaws.com"}
                        },
                    },
                ]
            return json.dumps({"Version": "2012-10-17", "Statement": statements})

        return pulumi.Output.all(
            repository=args.repository_arn,
            log_group=args.log_group_arn,
            secrets=[arn for arn, _ in args.secrets.values()],
            key=args.key_arn,
            region=args.region,
        ).apply(policy)
