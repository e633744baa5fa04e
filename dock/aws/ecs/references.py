"""Whether the things that a request names exist: subnets, security groups, target groups. Asked of their own APIs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dock.aws.service import AwsError, Call

if TYPE_CHECKING:
    from dock.cloud import Cloud


async def check_network(cloud: Cloud, call: Call, network: dict[str, Any] | None) -> None:
    """Raise AwsError unless there is a network for awsvpc mode, of subnets and security groups that exist."""
    configuration = (network or {}).get("awsvpcConfiguration")
    if not configuration:
        raise AwsError(
            "InvalidParameterException",
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        )
    subnets, groups = configuration["subnets"], configuration.get("securityGroups", [])
    if not subnets:
        raise AwsError("InvalidParameterException", "subnets can not be empty.")

    def ask() -> None:
        client = cloud.client("ec2", call.account, call.region)
        try:
            client.describe_subnets(SubnetIds=subnets)
            if groups:
                client.describe_security_groups(GroupIds=groups)
        finally:
            client.close()

    try:
        await asyncio.to_thread(ask)
    except ClientError as problem:
        error = problem.response["Error"]
        what = "security group" if "Group" in error["Code"] else "subnet"
        raise AwsError(
            "InvalidParameterException",
            f"Error retrieving {what} information: {error['Message']} (ErrorCode: {error['Code']})",
        ) from None


async def check_target_groups(cloud: Cloud, call: Call, arns: list[str]) -> None:
    """Raise AwsError unless each of these target groups exists and a load balancer uses it."""
    if not arns:
        return
    if "elbv2" not in cloud.services:
        raise AwsError("InvalidParameterException", "this dock has no load balancers")

    def ask() -> list[dict[str, Any]]:
        client = cloud.client("elbv2", call.account, call.region)
        try:
            return list(client.describe_target_groups(TargetGroupArns=arns)["TargetGroups"])
        finally:
            client.close()

    try:
        groups = await asyncio.to_thread(ask)
    except ClientError:
        raise AwsError("InvalidParameterException", f"The target group {', '.join(arns)} does not exist.") from None
    for group in groups:
        arn = group["TargetGroupArn"]
        if not group["LoadBalancerArns"]:
            raise AwsError(
                "InvalidParameterException",
                f"The target group with targetGroupArn {arn} does not have an associated load balancer.",
            )
        if group.get("TargetType") != "ip":
            raise AwsError(
                "InvalidParameterException",
                f"The provided target group {arn} has target type {group.get('TargetType')}, which is incompatible with"
                " the awsvpc network mode specified in the task definition.",
            )
