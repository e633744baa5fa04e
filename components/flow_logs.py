"""Which connections a VPC's network took and refused."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class FlowLogsArgs:
    """`traffic`: `ACCEPT`, `REJECT` or `ALL`. `log_retention_days` as CloudWatch Logs offers them. Only flow logs of
    this account and region can have their records written."""

    account: str
    region: str
    vpc_id: pulumi.Input[str]
    traffic: pulumi.Input[str]
    log_group: pulumi.Input[str]
    log_retention_days: pulumi.Input[int]
    key_arn: pulumi.Input[str]
    boundary_arn: pulumi.Input[str] | None = None


class FlowLogs(pulumi.ComponentResource):
    """Records of ten minutes, in CloudWatch Logs."""

    log_group: pulumi.Output[str]

    def __init__(self, name: str, args: FlowLogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:FlowLogs", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        group = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=args.log_group,
            retention_in_days=args.log_retention_days,
            kms_key_id=args.key_arn,
            opts=child,
        )
        writer = aws.iam.Role(
            f"{name}-writer",
            name=f"{name}-writer",
            description="The network's flow logs go to CloudWatch Logs",
            permissions_boundary=args.boundary_arn,
            assume_role_policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                            "Condition": {
                                "StringEquals": {"aws:SourceAccount": args.account},
                                "ArnLike": {
                                    "aws:SourceArn": f"arn:aws:ec2:{args.region}:{args.account}:vpc-flow-log/*"
                                },
                            },
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
                            "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                            "Resource": [group.arn, pulumi.Output.concat(group.arn, ":log-stream:*")],
                        }
                    ],
                }
            ),
            opts=child,
        )
        aws.ec2.FlowLog(
            f"{name}-flows",
            vpc_id=args.vpc_id,
            traffic_type=args.traffic,
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=writer.arn,
            max_aggregation_interval=600,
            tags={"Name": name},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[may_write]),
        )
        self.log_group = group.name
        self.register_outputs({"log_group": self.log_group})
