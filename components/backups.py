"""What is backed up beside the database's own point-in-time recovery: snapshots in a vault, and copies elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

# UTC, beside the databases' own backup windows.
_DAILY = "cron(0 9 ? * * *)"
_WEEKLY = "cron(0 10 ? * SUN *)"
_MONTHLY = "cron(0 11 1 * ? *)"
_START_MINUTES = 60
_COMPLETION_MINUTES = 360


@dataclass(frozen=True, kw_only=True)
class BackupsArgs:
    """`daily_days`, `weekly_days`, `monthly_days`: how long each kind is kept. `least_days`: the vaults' locks let
    nothing go earlier. `final_after_days`: the locks can be taken back for so long, and by nobody afterwards; None is
    governance mode, where a role that may can always. `tags`: databases that carry all of them are backed up."""

    account: str
    recovery_region: str
    daily_days: int
    weekly_days: int
    monthly_days: int
    least_days: int | None
    final_after_days: int | None
    key_arn: pulumi.Input[str]
    recovery_key_arn: pulumi.Input[str]
    tags: Mapping[str, str]
    protect: bool
    boundary_arn: pulumi.Input[str] | None = None


class Backups(pulumi.ComponentResource):
    """Snapshots every day, week and month, each copied to the recovery region.

    No rule is continuous: the instance's own retention is what point-in-time recovery goes by, and has one owner.
    """

    vault: pulumi.Output[str]
    recovery_vault: pulumi.Output[str]
    plan: pulumi.Output[str]

    def __init__(self, name: str, args: BackupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Backups", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        here = self._vault(f"{name}-vault", name, args.key_arn, None, args)
        there = self._vault(
            f"{name}-recovery-vault", f"{name}-recovery", args.recovery_key_arn, args.recovery_region, args
        )
        role = aws.iam.Role(
            f"{name}-role",
            name=name,
            description="AWS Backup takes snapshots and copies them",
            permissions_boundary=args.boundary_arn,
            assume_role_policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "backup.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                            "Condition": {"StringEquals": {"aws:SourceAccount": args.account}},
                        }
                    ],
                }
            ),
            opts=child,
        )
        may = aws.iam.RolePolicy(
            f"{name}-role",
            name="snapshots",
            role=role.name,
            # AWS's own policy for this lets the role at file systems, disks and tables as well.
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "Snapshots",
                            "Effect": "Allow",
                            "Action": [
                                "rds:AddTagsToResource",
                                "rds:CopyDBSnapshot",
                                "rds:CreateDBSnapshot",
                                "rds:DeleteDBSnapshot",
                                "rds:DescribeDBInstances",
                                "rds:DescribeDBSnapshots",
                                "rds:ListTagsForResource",
                            ],
                            "Resource": [
                                f"arn:aws:rds:*:{args.account}:db:*",
                                f"arn:aws:rds:*:{args.account}:snapshot:awsbackup:*",
                            ],
                        },
                        {
                            "Sid": "Vaults",
                            "Effect": "Allow",
                            "Action": ["backup:CopyIntoBackupVault", "backup:DescribeBackupVault"],
                            "Resource": [here.arn, there.arn],
                        },
                        {
                            "Sid": "Keys",
                            "Effect": "Allow",
                            "Action": ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
                            "Resource": [args.key_arn, args.recovery_key_arn],
                        },
                        # Knows no resources: it is how what carries the tags is found.
                        {"Sid": "Tagged", "Effect": "Allow", "Action": "tag:GetResources", "Resource": "*"},
                    ],
                }
            ),
            opts=child,
        )
        kinds = (("daily", _DAILY, args.daily_days), ("weekly", _WEEKLY, args.weekly_days),
                 ("monthly", _MONTHLY, args.monthly_days))  # fmt: skip
        plan = aws.backup.Plan(
            f"{name}-plan",
            name=name,
            rules=[
                aws.backup.PlanRuleArgs(
                    rule_name=kind,
                    target_vault_name=here.name,
                    schedule=schedule,
                    start_window=_START_MINUTES,
                    completion_window=_COMPLETION_MINUTES,
                    lifecycle=aws.backup.PlanRuleLifecycleArgs(delete_after=days),
                    copy_actions=[
                        aws.backup.PlanRuleCopyActionArgs(
                            destination_vault_arn=there.arn,
                            lifecycle=aws.backup.PlanRuleCopyActionLifecycleArgs(delete_after=days),
                        )
                    ],
                )
                for kind, schedule, days in kinds
            ],
            opts=child,
        )
        aws.backup.Selection(
            f"{name}-databases",
            name=name,
            plan_id=plan.id,
            iam_role_arn=role.arn,
            resources=["arn:aws:rds:*:*:db:*"],
            # Conditions are joined by and, a list of tags by or.
            conditions=[
                aws.backup.SelectionConditionArgs(
                    string_equals=[
                        aws.backup.SelectionConditionStringEqualArgs(key=f"aws:ResourceTag/{key}", value=value)
                        for key, value in sorted(args.tags.items())
                    ]
                )
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[may]),
        )
        self.vault = here.name
        self.recovery_vault = there.name
        self.plan = plan.id
        self.register_outputs({"vault": self.vault, "recovery_vault": self.recovery_vault, "plan": self.plan})

    def _vault(
        self, resource: str, name: str, key_arn: pulumi.Input[str], region: str | None, args: BackupsArgs
    ) -> aws.backup.Vault:
        vault = aws.backup.Vault(
            resource,
            name=name,
            kms_key_arn=key_arn,
            region=region,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        if args.least_days is not None:
            aws.backup.VaultLockConfiguration(
                resource,
                backup_vault_name=vault.name,
                min_retention_days=args.least_days,
                changeable_for_days=args.final_after_days,
                region=region,
                # It is a property of the vault: what is made first would be taken away with the old one.
                opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
            )
        return vault
