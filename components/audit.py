"""Who did what in an account: a trail of every call in every region."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.bucket import Bucket, BucketArgs


@dataclass(frozen=True, kw_only=True)
class AuditArgs:
    """`bucket`: its name. `keep_days`: how long log files are locked; afterwards they expire. `log_retention_days`: how
    long they can also be searched in CloudWatch Logs. The key's policy lets CloudTrail and the logs use it."""

    account: str
    region: str
    bucket: str
    keep_days: int
    log_retention_days: pulumi.Input[int]
    key_arn: pulumi.Input[str]
    protect: bool


class Audit(pulumi.ComponentResource):
    """One trail of management events, its files validated by digests, in a bucket where nothing can be deleted."""

    trail: pulumi.Output[str]
    bucket: pulumi.Output[str]
    log_group: pulumi.Output[str]

    def __init__(self, name: str, args: AuditArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Audit", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        arn = f"arn:aws:cloudtrail:{args.region}:{args.account}:trail/{name}"
        service = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
        only_this = {"StringEquals": {"aws:SourceArn": arn}}
        files = Bucket(
            name,
            BucketArgs(
                bucket=args.bucket,
                key_arn=args.key_arn,
                old_versions_days=args.keep_days,
                expire_days=args.keep_days,
                lock_days=args.keep_days,
                statements=[
                    {
                        "Sid": "TrailLooks",
                        **service,
                        "Action": "s3:GetBucketAcl",
                        "Resource": f"arn:aws:s3:::{args.bucket}",
                        "Condition": only_this,
                    },
                    {
                        "Sid": "TrailWrites",
                        **service,
                        "Action": "s3:PutObject",
                        "Resource": f"arn:aws:s3:::{args.bucket}/AWSLogs/{args.account}/*",
                        "Condition": {
                            "StringEquals": {"aws:SourceArn": arn, "s3:x-amz-acl": "bucket-owner-full-control"}
                        },
                    },
                ],
                protect=args.protect,
            ),
            child,
        )
        group = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=f"/{name}",
            retention_in_days=args.log_retention_days,
            kms_key_id=args.key_arn,
            opts=child,
        )
        writer = aws.iam.Role(
            f"{name}-writer",
            name=f"{name}-writer",
            description="CloudTrail writes what was called to CloudWatch Logs",
            assume_role_policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "cloudtrail.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                            "Condition": only_this,
                        }
                    ],
                }
            ),
            opts=child,
        )
        may_write = aws.iam.RolePolicy(
            f"{name}-writer",
            name="write",
            role=writer.name,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                            "Resource": pulumi.Output.concat(group.arn, ":log-stream:*"),
                        }
                    ],
                }
            ),
            opts=child,
        )
        trail = aws.cloudtrail.Trail(
            f"{name}-trail",
            name=name,
            s3_bucket_name=files.bucket,
            kms_key_id=args.key_arn,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_log_file_validation=True,
            enable_logging=True,
            cloud_watch_logs_group_arn=pulumi.Output.concat(group.arn, ":*"),
            cloud_watch_logs_role_arn=writer.arn,
            # AWS tries to write before it agrees to the trail.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[files, may_write]),
        )
        self.trail = trail.arn
        self.bucket = files.bucket
        self.log_group = group.name
        self.register_outputs({"trail": self.trail, "bucket": self.bucket, "log_group": self.log_group})
