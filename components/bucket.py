"""An S3 bucket for what must not be lost or seen: versioned, encrypted, private, reached over TLS alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

# Parts of an upload that nobody finished are paid for until they are removed.
_ABANDONED_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class BucketArgs:
    """`bucket`: its name, unique in all of AWS.

    `old_versions_days`: how long what was overwritten or deleted can still be had. `expire_days`: how long anything is
    kept; None is for ever. `lock_days`: how long nothing can be deleted but by who may bypass governance; None is no
    lock. `statements` join the bucket's policy. `adopt`: the bucket exists already, with the
    provider's tags. `retain`: it stays when the stack goes.
    """

    bucket: str
    key_arn: pulumi.Input[str]
    old_versions_days: pulumi.Input[int]
    protect: bool
    expire_days: pulumi.Input[int] | None = None
    lock_days: pulumi.Input[int] | None = None
    statements: Sequence[Mapping[str, Any]] = ()
    adopt: bool = False
    retain: bool = False


class Bucket(pulumi.ComponentResource):
    """Its owner owns every object; ACLs are off."""

    bucket: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: BucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Bucket", name, None, opts)
        # A bucket that stays keeps what makes it safe.
        stays = args.retain or None
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=stays)
        bucket = aws.s3.Bucket(
            name,
            bucket=args.bucket,
            # A lock can only be had from the beginning.
            object_lock_enabled=True if args.lock_days is not None else None,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                import_=args.bucket if args.adopt else None,
                retain_on_delete=stays,
            ),
        )
        private = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketOwnershipControls(
            name,
            bucket=bucket.bucket,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child,
        )
        versioning = aws.s3.BucketVersioning(
            name,
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                        sse_algorithm="aws:kms", kms_master_key_id=args.key_arn
                    ),
                    # One call to KMS for many objects.
                    bucket_key_enabled=True,
                )
            ],
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[
                aws.s3.BucketLifecycleConfigurationRuleArgs(
                    id="old-versions",
                    status="Enabled",
                    noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                        noncurrent_days=args.old_versions_days
                    ),
                    abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                        days_after_initiation=_ABANDONED_DAYS
                    ),
                    expiration=None
                    if args.expire_days is None
                    else aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=args.expire_days),
                )
            ],
            # Rules for old versions need versions.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning], retain_on_delete=stays),
        )
        if args.lock_days is not None:
            aws.s3.BucketObjectLockConfiguration(
                name,
                bucket=bucket.bucket,
                rule=aws.s3.BucketObjectLockConfigurationRuleArgs(
                    default_retention=aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
                        # Compliance mode would bind the account's root as well: no teardown could ever succeed.
                        mode="GOVERNANCE",
                        days=args.lock_days,
                    )
                ),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning], retain_on_delete=stays),
            )
        aws.s3.BucketPolicy(
            name,
            bucket=bucket.bucket,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "TlsOnly",
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "s3:*",
                            "Resource": [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")],
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        },
                        *args.statements,
                    ],
                }
            ),
            # Both at once are refused by S3, which serialises changes of a bucket's policy.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[private], retain_on_delete=stays),
        )
        self.bucket = bucket.bucket
        self.arn = bucket.arn
        self.register_outputs({"bucket": self.bucket, "arn": self.arn})
