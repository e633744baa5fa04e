"""What load balancers ask of EC2, which the emulator keeps: subnets and security groups must exist."""

from __future__ import annotations

import asyncio
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dock.aws.service import AwsError, Call
from dock.cloud import Cloud


async def zones(cloud: Cloud, call: Call, request: dict[str, Any]) -> tuple[str, list[dict[str, str]]]:
    """The VPC and the zones of the subnets asked for: two at least, each in a zone of its own. Raises AwsError."""
    mappings = request.get("SubnetMappings", [])
    if mappings and request.get("Subnets"):
        raise AwsError("ValidationError", "Specify either Subnets or SubnetMappings, not both")
    if any(set(mapping) - {"SubnetId"} for mapping in mappings):
        raise AwsError("InvalidConfigurationRequestException", "the dock takes nothing but SubnetId in SubnetMappings")
    asked = request.get("Subnets") or [mapping["SubnetId"] for mapping in mappings]
    if len(asked) < 2:
        raise AwsError("ValidationError", "At least two subnets in two different Availability Zones must be specified")
    answer = await _ask(cloud, call, "describe_subnets", {"SubnetIds": asked}, "SubnetNotFoundException")
    found = {subnet["SubnetId"]: subnet for subnet in answer["Subnets"]}
    if missing := [subnet for subnet in asked if subnet not in found]:
        raise AwsError("SubnetNotFoundException", f"The subnets {missing} do not exist")
    if len({subnet["AvailabilityZone"] for subnet in found.values()}) < len(asked):
        raise AwsError(
            "InvalidConfigurationRequestException", "A load balancer takes one subnet of an Availability Zone"
        )
    vpcs = {subnet["VpcId"] for subnet in found.values()}
    if len(vpcs) > 1:
        raise AwsError("InvalidConfigurationRequestException", "The subnets must belong to one VPC")
    shown = [{"ZoneName": found[subnet]["AvailabilityZone"], "SubnetId": subnet} for subnet in asked]
    return vpcs.pop(), sorted(shown, key=lambda zone: zone["ZoneName"])


async def security_groups(cloud: Cloud, call: Call, asked: list[str], vpc: str) -> list[str]:
    """The security groups asked for, or the VPC's default one. Raises AwsError when one doesn't exist there."""
    if not asked:
        filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
        answer = await _ask(
            cloud, call, "describe_security_groups", {"Filters": filters}, "InvalidSecurityGroupException"
        )
        return [group["GroupId"] for group in answer["SecurityGroups"]]
    answer = await _ask(cloud, call, "describe_security_groups", {"GroupIds": asked}, "InvalidSecurityGroupException")
    found = {group["GroupId"] for group in answer["SecurityGroups"] if group.get("VpcId") == vpc}
    if missing := [group for group in asked if group not in found]:
        raise AwsError("InvalidSecurityGroupException", f"The security groups {missing} do not exist in {vpc}")
    return asked


async def _ask(cloud: Cloud, call: Call, operation: str, parameters: dict[str, Any], code: str) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        answer: dict[str, Any] = getattr(cloud.client("ec2", call.account, call.region), operation)(**parameters)
        return answer

    try:
        return await asyncio.to_thread(ask)
    except ClientError as problem:
        raise AwsError(code, str(problem.response.get("Error", {}).get("Message", problem))) from None
    except BotoCoreError as problem:
        raise AwsError("InternalFailure", f"EC2 did not answer: {problem}", 500) from None
