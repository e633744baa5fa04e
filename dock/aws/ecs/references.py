"""Whether the things that a request names exist: subnets, security groups, target groups. Asked of their own APIs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dock.aws.service import AwsError, Call
from dock.aws.sts import Sts

if TYPE_CHECKING:
    from dock.aws.sts.sessions import Issued
    from dock.cloud import Cloud


async def check_network(cloud: Cloud, call: Call, network: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The subnets as EC2 describes them. Raises AwsError unless there is a network for awsvpc mode, of subnets and
    security groups that exist."""
    configuration = (network or {}).get("awsvpcConfiguration")
    if not configuration:
        raise AwsError(
            "InvalidParameterException",
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        )
    subnets, groups = configuration["subnets"], configuration.get("securityGroups", [])
    if not subnets:
        raise AwsError("InvalidParameterException", "subnets can not be empty.")

    def ask() -> list[dict[str, Any]]:
        client = cloud.client("ec2", call.account, call.region)
        try:
            found = list(client.describe_subnets(SubnetIds=subnets)["Subnets"])
            if groups:
                client.describe_security_groups(GroupIds=groups)
        finally:
            client.close()
        return found

    try:
        return await asyncio.to_thread(ask)
    except ClientError as problem:
        error = problem.response["Error"]
        what = "security group" if "Group" in error["Code"] else "subnet"
        raise AwsError(
            "InvalidParameterException",
            f"Error retrieving {what} information: {error['Message']} (ErrorCode: {error['Code']})",
        ) from None


async def check_balancers(cloud: Cloud, call: Call, source: str, balancers: list[dict[str, Any]]) -> None:
    """Raise AwsError unless every target group, listener rule and role of loadBalancers can do its part. `source` is
    the service, for example `service/cluster/name`, on whose behalf the role is taken on."""
    groups: list[str] = []
    for entry in balancers:
        groups.append(entry["targetGroupArn"])
        if "advancedConfiguration" in entry:
            advanced = entry["advancedConfiguration"]
            groups.append(advanced["alternateTargetGroupArn"])
            rules = [advanced[name] for name in ("productionListenerRule", "testListenerRule") if name in advanced]
            try:
                role = advanced["roleArn"]
                issued = cloud.service(Sts).for_service(role, "ecs.amazonaws.com", call.arn(source), "ecs-validation")
                await asyncio.to_thread(_check_rules, cloud, call, issued, rules)
            except AwsError as problem:
                raise AwsError(
                    "InvalidParameterException",
                    "Unable to assume role and validate the listeners configured on your load balancer. Please verify"
                    f" that the ECS service role being passed has the proper permissions: {problem.message}",
                ) from None
    await _check_target_groups(cloud, call, groups)


def _check_rules(cloud: Cloud, call: Call, issued: Issued, arns: list[str]) -> None:
    client = cloud.client("elbv2", call.account, call.region, issued)
    try:
        rules = client.describe_rules(RuleArns=arns)["Rules"]
    except ClientError as problem:
        raise AwsError("InvalidParameterException", problem.response["Error"]["Message"]) from None
    finally:
        client.close()
    for rule in rules:
        if rule["IsDefault"]:
            raise AwsError("InvalidParameterException", f"{rule['RuleArn']} is a default rule, whose weights are fixed")
        if rule["Actions"][0]["Type"] != "forward":
            raise AwsError("InvalidParameterException", f"{rule['RuleArn']} does not forward to target groups")


async def _check_target_groups(cloud: Cloud, call: Call, arns: list[str]) -> None:
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
