"""Where alarms speak: a topic for each severity, encrypted, that only CloudWatch of this account may publish to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class NotificationsArgs:
    """`subscribers` are mail addresses by severity, for example `{"page": [...], "ticket": [...]}`. The key's policy
    must let CloudWatch use it: otherwise alarms change their state and nobody hears of it."""

    account: pulumi.Input[str]
    region: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    subscribers: Mapping[str, Sequence[str]]


class Notifications(pulumi.ComponentResource):
    """`topics` are ARNs by severity."""

    topics: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: NotificationsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Notifications", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        alarms = pulumi.Output.concat("arn:aws:cloudwatch:", args.region, ":", args.account, ":alarm:*")
        topics = {}
        for severity, addresses in args.subscribers.items():
            topic = aws.sns.Topic(
                f"{name}-{severity}",
                name=f"{name}-{severity}",
                kms_master_key_id=args.key_arn,
                opts=child,
            )
            aws.sns.TopicPolicy(
                f"{name}-{severity}-policy",
                arn=topic.arn,
                policy=pulumi.Output.json_dumps(
                    {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Sid": "Alarms",
                                "Effect": "Allow",
                                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                                "Action": "sns:Publish",
                                "Resource": topic.arn,
                                "Condition": {
                                    "StringEquals": {"aws:SourceAccount": args.account},
                                    "ArnLike": {"aws:SourceArn": alarms},
                                },
                            },
                            {
                                "Sid": "TlsOnly",
                                "Effect": "Deny",
                                "Principal": "*",
                                "Action": "sns:Publish",
                                "Resource": topic.arn,
                                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                            },
                        ],
                    }
                ),
                opts=child,
            )
            for number, address in enumerate(addresses, 1):
                aws.sns.TopicSubscription(
                    f"{name}-{severity}-{number}", topic=topic.arn, protocol="email", endpoint=address, opts=child
                )
            topics[severity] = topic.arn
        self.topics = topics
        self.register_outputs({"topics": topics})
