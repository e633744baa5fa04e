"""People's roles in an account, and the groups that say who may take them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.boundary import READ, SERVICES, Statement, allow, deny, policy, with_mfa

ROLES = ("admin", "deployer", "developer", "readonly", "database-write", "break-glass")
BREAK_GLASS_SECONDS = 3600
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
# What the program makes roles with.
_MANAGE_ROLES = (
    "iam:AttachRolePolicy",
    "iam:CreatePolicy",
    "iam:CreatePolicyVersion",
    "iam:CreateRole",
    "iam:DeletePolicy",
    "iam:DeletePolicyVersion",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:PutRolePermissionsBoundary",
    "iam:PutRolePolicy",
    "iam:TagPolicy",
    "iam:TagRole",
    "iam:UntagPolicy",
    "iam:UntagRole",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole",
    "iam:UpdateRoleDescription",
)
# What somebody without MFA may do: get it.
_FIRST_STEPS = (
    "iam:CreateVirtualMFADevice",
    "iam:EnableMFADevice",
    "iam:GetUser",
    "iam:ListMFADevices",
    "iam:ListVirtualMFADevices",
    "iam:ResyncMFADevice",
    "sts:GetCallerIdentity",
    "sts:GetSessionToken",
)


@dataclass(frozen=True, kw_only=True)
class PeopleArgs:
    """`environment` is the beginning of the environment's names, `<platform>-<environment>`.

    `accounts`: where people's users are. `developers`: whether developers deploy here. `session_seconds`: how long a
    role is had, 3600 to 43200; break-glass and database-write an hour. `passed`: role names (with `*`) that may be
    handed over, by the service that gets them. `database_secrets`: what writes to the database. `boundary_arn`: of all
    roles but break-glass.
    """

    account: pulumi.Input[str]
    environment: str
    accounts: Sequence[pulumi.Input[str]]
    developers: Literal["deploy", "read"]
    session_seconds: pulumi.Input[int]
    boundary_arn: pulumi.Input[str]
    passed: Mapping[str, Sequence[str]]
    database_secrets: Sequence[pulumi.Input[str]]
    key_arn: pulumi.Input[str]


class People(pulumi.ComponentResource):
    """`<name>-admin-role`, `-deployer-role`, `-developer-role`, `-readonly-role` and, for an hour each,
    `-database-write-role` and `-break-glass-role`; the group `<name>-admin` may take on the first, and so on.

    Without MFA nobody gets a role, and a member of the groups can do nothing but set MFA up.
    """

    role_arns: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: PeopleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:People", name, None, opts)
        self._name = name
        self._args = args
        self._iam = pulumi.Output.concat("arn:aws:iam::", args.account, ":")
        read = [allow("Read", READ)]
        deploying = [*read, *self._deploying()]
        self.role_arns = {
            "admin": self._role("admin", "Everything within the boundary", self._administering()),
            "deployer": self._role("deployer", "Deploys and changes the environment", deploying),
            "developer": self._role(
                "developer",
                "Deploys where data are not real, else reads",
                deploying if args.developers == "deploy" else read,
            ),
            "readonly": self._role("readonly", "Sees how things are, and no data", read),
            "database-write": self._role(
                "database-write", "Writes to the database, for an hour", self._writing(), BREAK_GLASS_SECONDS
            ),
            "break-glass": self._break_glass(),
        }
        for role, arn in self.role_arns.items():
            self._group(role, arn)
        self.register_outputs({"role_arns": self.role_arns})

    def _role(
        self, role: str, description: str, statements: Sequence[Statement], seconds: pulumi.Input[int] | None = None
    ) -> pulumi.Output[str]:
        made = aws.iam.Role(
            f"{self._name}-{role}",
            name=f"{self._name}-{role}-role",
            description=description,
            assume_role_policy=with_mfa(self._args.accounts),
            max_session_duration=seconds or self._args.session_seconds,
            permissions_boundary=self._args.boundary_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.iam.RolePolicy(
            f"{self._name}-{role}",
            name="permissions",
            role=made.name,
            policy=policy(statements),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return made.arn

    def _break_glass(self) -> pulumi.Output[str]:
        """When nothing else helps. It alone has no boundary; whoever takes it on is seen by the audit's alarm."""
        made = aws.iam.Role(
            f"{self._name}-break-glass",
            name=f"{self._name}-break-glass-role",
            description="Everything, for an hour, when nothing else helps; its use is an incident",
            assume_role_policy=with_mfa(self._args.accounts),
            max_session_duration=BREAK_GLASS_SECONDS,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.iam.RolePolicyAttachment(
            f"{self._name}-break-glass",
            role=made.name,
            policy_arn=ADMINISTRATOR,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return made.arn

    def _group(self, role: str, role_arn: pulumi.Output[str]) -> None:
        group = aws.iam.Group(
            f"{self._name}-{role}", name=f"{self._name}-{role}", opts=pulumi.ResourceOptions(parent=self)
        )
        own = [
            pulumi.Output.concat(self._iam, "user/${aws:username}"),
            pulumi.Output.concat(self._iam, "mfa/${aws:username}*"),
        ]
        aws.iam.GroupPolicy(
            f"{self._name}-{role}",
            name="permissions",
            group=group.name,
            policy=policy(
                [
                    allow("TakeOn", ["sts:AssumeRole"], role_arn),
                    allow(
                        "OwnMfa",
                        [
                            "iam:CreateVirtualMFADevice",
                            "iam:DeleteVirtualMFADevice",
                            "iam:EnableMFADevice",
                            "iam:GetUser",
                            "iam:ListMFADevices",
                            "iam:ResyncMFADevice",
                        ],
                        own,
                    ),
                    {
                        "Sid": "NothingWithoutMfa",
                        "Effect": "Deny",
                        "NotAction": list(_FIRST_STEPS),
                        "Resource": "*",
                        # A key of long life has no such context key at all: only …IfExists catches it.
                        "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
                    },
                ]
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    # what they may do

    def _administering(self) -> list[Statement]:
        return [
            allow("Services", [f"{service}:*" for service in SERVICES]),
            allow("People", ["iam:*"]),
            allow("TakeOnRunbooks", ["sts:AssumeRole"], self._roles(f"{self._args.environment}-*")),
        ]

    def _deploying(self) -> list[Statement]:
        handed_over = [
            allow(
                f"HandOver{number}",
                ["iam:PassRole"],
                [self._roles(pattern) for pattern in patterns],
                {"StringEquals": {"iam:PassedToService": service}},
            )
            for number, (service, patterns) in enumerate(sorted(self._args.passed.items()), 1)
        ]
        own_policies = pulumi.Output.concat(self._iam, "policy/", self._args.environment, "-*")
        return [
            allow("Services", [f"{service}:*" for service in SERVICES]),
            allow("OwnRoles", _MANAGE_ROLES, [self._roles(f"{self._args.environment}-*"), own_policies]),
            *handed_over,
            allow("TakeOnRunbooks", ["sts:AssumeRole"], self._roles(f"{self._args.environment}-*")),
            # A deployment's migrations reach the database with a role of their own; people read no secrets.
            deny("NoSecrets", ["secretsmanager:GetSecretValue"]),
            deny("NoData", ["kms:Decrypt"], self._args.key_arn),
            deny(
                "NothingForEver",
                ["kms:DisableKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "secretsmanager:DeleteSecret"],
            ),
            deny("NotPeople", _MANAGE_ROLES, self._roles(f"{self._name}-*-role")),
        ]

    def _writing(self) -> list[Statement]:
        via = {"StringLike": {"kms:ViaService": "secretsmanager.*.amazonaws.com"}}
        return [
            allow("Find", ["rds:DescribeDBInstances", "secretsmanager:DescribeSecret"]),
            allow("Secrets", ["secretsmanager:GetSecretValue"], list(self._args.database_secrets)),
            allow("Decrypt", ["kms:Decrypt"], self._args.key_arn, via),
        ]

    def _roles(self, pattern: str) -> pulumi.Output[str]:
        return pulumi.Output.concat(self._iam, "role/", pattern)
