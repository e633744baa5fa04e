"""A role for each runbook, with what its steps need and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.boundary import Statement, allow, assumed_by, policy

RUNBOOKS = ("deploy", "push_image", "verify")


@dataclass(frozen=True, kw_only=True)
class RunbookRolesArgs:
    """`assumed_by`: the ARNs of the roles that may run each runbook. `family`: of the service's releases, and with
    `-migrate` of its migrations. `secrets`: what verify logs in with. `task_roles`: names (with `*`) of the roles that
    tasks get."""

    account: pulumi.Input[str]
    region: pulumi.Input[str]
    recovery_region: pulumi.Input[str]
    boundary_arn: pulumi.Input[str]
    assumed_by: Mapping[str, Sequence[pulumi.Input[str]]]
    manifest: pulumi.Input[str]
    cluster: pulumi.Input[str]
    service: pulumi.Input[str]
    family: pulumi.Input[str]
    task_roles: Sequence[pulumi.Input[str]]
    repository_arn: pulumi.Input[str]
    log_group: pulumi.Input[str]
    database: pulumi.Input[str]
    replication_group: pulumi.Input[str]
    secrets: Sequence[pulumi.Input[str]]
    key_arn: pulumi.Input[str]
    alarm_namespace: pulumi.Input[str]


class RunbookRoles(pulumi.ComponentResource):
    """`<name>-run-deploy`, `<name>-run-verify`, …: taken on by whoever may run the runbook, from a role with MFA."""

    role_arns: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: RunbookRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:RunbookRoles", name, None, opts)
        self._args = args
        statements = {"deploy": self._deploy(), "push_image": self._push_image(), "verify": self._verify()}
        self.role_arns = {}
        for runbook in RUNBOOKS:
            word = runbook.replace("_", "-")
            role = aws.iam.Role(
                f"{name}-{word}",
                name=f"{name}-run-{word}",
                description=f"The steps of the runbook {runbook}",
                assume_role_policy=assumed_by(args.assumed_by[runbook]),
                permissions_boundary=args.boundary_arn,
                opts=pulumi.ResourceOptions(parent=self),
            )
            aws.iam.RolePolicy(
                f"{name}-{word}",
                name="steps",
                role=role.name,
                policy=policy(statements[runbook]),
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.role_arns[runbook] = role.arn
        self.register_outputs({"role_arns": self.role_arns})

    def _arn(self, service: str, *parts: pulumi.Input[str]) -> pulumi.Output[str]:
        return pulumi.Output.concat("arn:aws:", service, ":", self._args.region, ":", self._args.account, ":", *parts)

    def _manifest(self) -> Statement:
        args = self._args
        return allow(
            "Manifest",
            ["ssm:GetParameter"],
            [
                pulumi.Output.concat("arn:aws:ssm:", region, ":", args.account, ":parameter", args.manifest)
                for region in (args.region, args.recovery_region)
            ],
        )

    def _deploy(self) -> list[Statement]:
        args = self._args
        service = self._arn("ecs", "service/", args.cluster, "/", args.service)
        families = [
            self._arn("ecs", "task-definition/", args.family, ":*"),
            self._arn("ecs", "task-definition/", args.family, "-migrate:*"),
        ]
        tasks = self._arn("ecs", "task/", args.cluster, "/*")
        return [
            self._manifest(),
            allow("Service", ["ecs:DescribeServices", "ecs:UpdateService"], service),
            allow("Releases", ["ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:TagResource"], [*families, tasks]),
            # ECS can't restrict these two to a resource.
            allow("Look", ["ecs:DescribeTaskDefinition", "ecs:ListTasks"]),
            allow("Tasks", ["ecs:DescribeTasks"], tasks),
            allow(
                "HandOver",
                ["iam:PassRole"],
                [pulumi.Output.concat("arn:aws:iam::", args.account, ":role/", name) for name in args.task_roles],
                {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
            ),
            allow("Image", ["ecr:DescribeImages"], args.repository_arn),
            allow("Log", ["logs:GetLogEvents"], self._arn("logs", "log-group:", args.log_group, ":*")),
            allow(
                "QuietAlarms",
                ["cloudwatch:PutMetricData"],
                condition={"StringEquals": {"cloudwatch:namespace": args.alarm_namespace}},
            ),
        ]

    def _push_image(self) -> list[Statement]:
        actions = [
            "ecr:BatchCheckLayerAvailability",
            "ecr:CompleteLayerUpload",
            "ecr:DescribeImages",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
            "ecr:UploadLayerPart",
        ]
        return [allow("Images", actions, self._args.repository_arn)]

    def _verify(self) -> list[Statement]:
        args = self._args
        return [
            self._manifest(),
            allow("Service", ["ecs:DescribeServices"], self._arn("ecs", "service/", args.cluster, "/", args.service)),
            # Elastic Load Balancing can't restrict it to a resource.
            allow("Targets", ["elasticloadbalancing:DescribeTargetHealth"]),
            allow("Database", ["rds:DescribeDBInstances"], self._arn("rds", "db:", args.database)),
            allow(
                "Cache",
                ["elasticache:DescribeReplicationGroups"],
                self._arn("elasticache", "replicationgroup:", args.replication_group),
            ),
            allow("LogIn", ["secretsmanager:GetSecretValue"], list(args.secrets)),
            allow(
                "Decrypt",
                ["kms:Decrypt"],
                args.key_arn,
                {
                    "StringEquals": {
                        "kms:ViaService": pulumi.Output.concat("secretsmanager.", args.region, ".amazonaws.com")
                    }
                },
            ),
        ]
