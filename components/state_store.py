"""Where Pulumi keeps the state of an account's stacks, and the key of the secrets in it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.bucket import Bucket, BucketArgs

DESCRIPTION = "Secrets in Pulumi's state"


@dataclass(frozen=True, kw_only=True)
class StateStoreArgs:
    """`bucket`: its name. `key_alias` begins with `alias/`. `adopted_key`: the id of the key that `drydock bootstrap`
    made, with its alias and the bucket, before there was a place for any state; None once they are in the state.
    `old_versions_days`: how far back a state can be restored."""

    account: str
    bucket: str
    key_alias: str
    adopted_key: str | None
    old_versions_days: pulumi.Input[int]
    protect: bool


class StateStore(pulumi.ComponentResource):
    """It holds the state of the stack that it is part of, so it stays even when that stack is destroyed."""

    bucket: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    key_alias: pulumi.Output[str]

    def __init__(self, name: str, args: StateStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:StateStore", name, None, opts)
        key = aws.kms.Key(
            f"{name}-key",
            description=DESCRIPTION,
            enable_key_rotation=True,
            policy=key_policy(args.account),
            opts=pulumi.ResourceOptions(
                parent=self, protect=args.protect, import_=args.adopted_key, retain_on_delete=True
            ),
        )
        alias = aws.kms.Alias(
            f"{name}-alias",
            name=args.key_alias,
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(
                parent=self, import_=args.key_alias if args.adopted_key else None, retain_on_delete=True
            ),
        )
        bucket = Bucket(
            f"{name}-bucket",
            BucketArgs(
                bucket=args.bucket,
                key_arn=key.arn,
                old_versions_days=args.old_versions_days,
                protect=args.protect,
                adopt=args.adopted_key is not None,
                retain=True,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.bucket = bucket.bucket
        self.key_arn = key.arn
        self.key_alias = alias.name
        self.register_outputs({"bucket": self.bucket, "key_arn": self.key_arn, "key_alias": self.key_alias})


def key_policy(account: str) -> str:
    """The account's IAM policies say who may use the key. `drydock bootstrap` makes it with the same words."""
    statement = {
        "Sid": "Account",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
