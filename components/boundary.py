"""The permissions boundary: the most that any role of an environment can ever do; and the words of roles' policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

Statement = Mapping[str, Any]

VERSION = "2012-10-17"
# What the program makes, and what watches over it.
SERVICES = (
    "acm",
    "application-autoscaling",
    "backup",
    "backup-storage",
    "budgets",
    "cloudtrail",
    "cloudwatch",
    "dynamodb",
    "ec2",
    "ecr",
    "ecs",
    "elasticache",
    "elasticloadbalancing",
    "events",
    "kms",
    "logs",
    "rds",
    "route53",
    "s3",
    "scheduler",
    "secretsmanager",
    "servicequotas",
    "sns",
    "sqs",
    "ssm",
    "tag",
)
# What shows how things are, and none of what they hold.
READ = (
    "acm:Describe*",
    "acm:List*",
    "application-autoscaling:Describe*",
    "backup:Describe*",
    "backup:GetBackup*",
    "backup:List*",
    "budgets:View*",
    "cloudtrail:Describe*",
    "cloudtrail:GetTrailStatus",
    "cloudtrail:LookupEvents",
    "cloudwatch:Describe*",
    "cloudwatch:Get*",
    "cloudwatch:List*",
    "dynamodb:Describe*",
    "dynamodb:List*",
    "ec2:Describe*",
    "ecr:BatchGetRepositoryScanningConfiguration",
    "ecr:Describe*",
    "ecr:GetLifecyclePolicy",
    "ecr:GetRepositoryPolicy",
    "ecr:List*",
    "ecs:Describe*",
    "ecs:List*",
    "elasticache:Describe*",
    "elasticache:List*",
    "elasticloadbalancing:Describe*",
    "iam:Get*",
    "iam:List*",
    "iam:SimulatePrincipalPolicy",
    "kms:Describe*",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:List*",
    "logs:Describe*",
    "logs:FilterLogEvents",
    "logs:GetLogEvents",
    "logs:List*",
    "rds:Describe*",
    "rds:List*",
    "route53:Get*",
    "route53:List*",
    "route53:TestDNSAnswer",
    "s3:GetBucket*",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:ListAllMyBuckets",
    "s3:ListBucket",
    "secretsmanager:Describe*",
    "secretsmanager:GetResourcePolicy",
    "secretsmanager:List*",
    "sns:Get*",
    "sns:List*",
    "ssm:DescribeParameters",
    "ssm:ListTagsForResource",
    "tag:Get*",
)


def policy(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """A policy document; values may still be unknown."""
    return pulumi.Output.json_dumps({"Version": VERSION, "Statement": list(statements)})


def allow(sid: str, actions: Sequence[str], resources: Any = "*", condition: Statement | None = None) -> Statement:
    return _statement("Allow", sid, actions, resources, condition)


def deny(sid: str, actions: Sequence[str], resources: Any = "*", condition: Statement | None = None) -> Statement:
    return _statement("Deny", sid, actions, resources, condition)


def _statement(effect: str, sid: str, actions: Sequence[str], resources: Any, condition: Statement | None) -> Statement:
    statement = {"Sid": sid, "Effect": effect, "Action": list(actions), "Resource": resources}
    return {**statement, "Condition": condition} if condition is not None else statement


def with_mfa(accounts: Sequence[pulumi.Input[str]]) -> pulumi.Output[str]:
    """A trust policy for people of these accounts who have just proved to have their MFA device.

    It is asked for here, and not in the roles' own policies: a role's session doesn't carry it along (IAM user guide,
    id_credentials_mfa_configure-api-require), so that a Deny there would lock everybody out.
    """
    return policy(
        [
            {
                "Sid": "PeopleWithMfa",
                "Effect": "Allow",
                "Principal": {"AWS": [pulumi.Output.concat("arn:aws:iam::", account, ":root") for account in accounts]},
                "Action": "sts:AssumeRole",
                "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
            }
        ]
    )


def assumed_by(arns: Sequence[pulumi.Input[str]]) -> pulumi.Output[str]:
    """A trust policy for other roles."""
    return policy([{"Sid": "Roles", "Effect": "Allow", "Principal": {"AWS": list(arns)}, "Action": "sts:AssumeRole"}])


@dataclass(frozen=True, kw_only=True)
class BoundaryArgs:
    """`people`: the beginning of people's roles' and groups' names. `regions`: nothing is made elsewhere."""

    account: pulumi.Input[str]
    people: pulumi.Input[str]
    regions: Sequence[pulumi.Input[str]]


class Boundary(pulumi.ComponentResource):
    """`<name>-boundary`. Who has it can make roles with it alone, can neither take it off nor change it, and can't
    become, or hand anything to, somebody who has it not."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: BoundaryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Boundary", name, None, opts)
        iam = pulumi.Output.concat("arn:aws:iam::", args.account, ":")
        # Made of its name, since it speaks of itself.
        own = pulumi.Output.concat(iam, "policy/", name, "-boundary")
        boundary = aws.iam.Policy(
            f"{name}-boundary",
            name=f"{name}-boundary",
            description=f"The most that a role of {name} may do",
            policy=policy(
                [
                    allow(
                        "Services",
                        [f"{service}:*" for service in SERVICES],
                        condition={"StringEquals": {"aws:RequestedRegion": sorted({*args.regions, "us-east-1"})}},
                    ),
                    allow("Roles", ["iam:*", "sts:*"]),
                    deny(
                        "OnlyWithBoundary",
                        [
                            "iam:CreateRole",
                            "iam:CreateUser",
                            "iam:PutRolePermissionsBoundary",
                            "iam:PutUserPermissionsBoundary",
                        ],
                        condition={"StringNotEquals": {"iam:PermissionsBoundary": own}},
                    ),
                    deny(
                        "BoundaryStays",
                        ["iam:DeleteRolePermissionsBoundary", "iam:DeleteUserPermissionsBoundary"],
                    ),
                    deny(
                        "BoundaryIsFixed",
                        [
                            "iam:CreatePolicyVersion",
                            "iam:DeletePolicy",
                            "iam:DeletePolicyVersion",
                            "iam:SetDefaultPolicyVersion",
                        ],
                        pulumi.Output.concat(iam, "policy/*-boundary"),
                    ),
                    # People have no boundary: who could give them more, or speak as them, would have none either.
                    deny(
                        "NobodyElse",
                        [
                            "iam:AttachGroupPolicy",
                            "iam:AttachUserPolicy",
                            "iam:CreateAccessKey",
                            "iam:CreateLoginProfile",
                            "iam:DeactivateMFADevice",
                            "iam:PutGroupPolicy",
                            "iam:PutUserPolicy",
                            "iam:UpdateLoginProfile",
                        ],
                    ),
                    deny(
                        "BreakGlassIsSealed",
                        [
                            "iam:AddUserToGroup",
                            "iam:Delete*",
                            "iam:Attach*",
                            "iam:Detach*",
                            "iam:PassRole",
                            "iam:Put*",
                            "iam:Update*",
                            "sts:AssumeRole",
                        ],
                        [
                            pulumi.Output.concat(iam, "role/", args.people, "-break-glass-role"),
                            pulumi.Output.concat(iam, "group/", args.people, "-break-glass"),
                        ],
                    ),
                    deny("AuditGoesOn", ["cloudtrail:DeleteTrail", "cloudtrail:StopLogging", "cloudtrail:UpdateTrail"]),
                ]
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = boundary.arn
        self.register_outputs({"arn": self.arn})
