"""The KMS key that data of a region are encrypted with."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class EncryptionArgs:
    """`deletion_window_days`: 7 to 30. `protect`: the key can't be deleted; without it, nothing can be read again.
    `trails`: CloudTrail may encrypt the account's trails with it."""

    account: pulumi.Input[str]
    region: pulumi.Input[str]
    deletion_window_days: pulumi.Input[int]
    protect: bool
    trails: bool = False


class Encryption(pulumi.ComponentResource):
    """`alias/<name>`; rotated every year. Roles of the account use it as their own policies allow, CloudWatch Logs
    for log groups of this account and region only."""

    key_arn: pulumi.Output[str]
    alias: pulumi.Output[str]

    def __init__(self, name: str, args: EncryptionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Encryption", name, None, opts)
        logs = pulumi.Output.concat("logs.", args.region, ".amazonaws.com")
        groups = pulumi.Output.concat("arn:aws:logs:", args.region, ":", args.account, ":log-group:*")
        trails = pulumi.Output.concat("arn:aws:cloudtrail:*:", args.account, ":trail/*")
        key = aws.kms.Key(
            f"{name}-key",
            region=args.region,
            description=f"Data of {name}",
            enable_key_rotation=True,
            deletion_window_in_days=args.deletion_window_days,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            # Hands the decision to IAM: without it nobody could ever change the key again.
                            "Sid": "Account",
                            "Effect": "Allow",
                            "Principal": {"AWS": pulumi.Output.concat("arn:aws:iam::", args.account, ":root")},
                            "Action": "kms:*",
                            "Resource": "*",
                        },
                        {
                            "Sid": "Logs",
                            "Effect": "Allow",
                            "Principal": {"Service": logs},
                            "Action": [
                                "kms:Encrypt*",
                                "kms:Decrypt*",
                                "kms:ReEncrypt*",
                                "kms:GenerateDataKey*",
                                "kms:Describe*",
                            ],
                            "Resource": "*",
                            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
                        },
                        {
                            # Without it an alarm could not publish to an encrypted topic, and nobody would notice.
                            "Sid": "Alarms",
                            "Effect": "Allow",
                            "Principal": {"Service": "cloudwatch.amazonaws.com"},
                            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                            "Resource": "*",
                            "Condition": {"StringEquals": {"aws:SourceAccount": args.account}},
                        },
                        *(
                            [
                                {
                                    "Sid": "Trails",
                                    "Effect": "Allow",
                                    "Principal": {"Service": "cloudtrail.amazonaws.com"},
                                    "Action": ["kms:GenerateDataKey*", "kms:DescribeKey"],
                                    "Resource": "*",
                                    "Condition": {
                                        "ArnLike": {
                                            "aws:SourceArn": trails,
                                            "kms:EncryptionContext:aws:cloudtrail:arn": trails,
                                        }
                                    },
                                }
                            ]
                            if args.trails
                            else []
                        ),
                    ],
                }
            ),
            tags={"Name": name},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        alias = aws.kms.Alias(
            f"{name}-alias",
            name=f"alias/{name}",
            target_key_id=key.key_id,
            region=args.region,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.key_arn = key.arn
        self.alias = alias.name
        self.register_outputs({"key_arn": self.key_arn, "alias": self.alias})
