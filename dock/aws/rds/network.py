"""What RDS asks of EC2, which the emulator keeps: subnets and security groups must exist."""

from __future__ import annotations

import asyncio
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dock.aws.service import AwsError, Call
from dock.cloud import Cloud

ZONES = ("a", "b", "c")


def zones(region: str) -> list[str]:
    """The availability zones of a region."""
    return [region + letter for letter in ZONES]


async def find_subnets(cloud: Cloud, call: Call, identifiers: list[str]) -> list[dict[str, Any]]:
    """EC2's descriptions of the subnets, in the order asked for. Raises AwsError."""
    unique = list(dict.fromkeys(identifiers))
    try:
        answer = await asyncio.to_thread(_ask, cloud, call, "describe_subnets", {"SubnetIds": unique})
    except ClientError as problem:
        raise AwsError("InvalidSubnet", f"Some input subnets in {unique} are invalid: {_message(problem)}") from None
    found = {subnet["SubnetId"]: subnet for subnet in answer["Subnets"]}
    if missing := [identifier for identifier in unique if identifier not in found]:
        raise AwsError("InvalidSubnet", f"Some input subnets in {unique} are invalid: {missing}")
    return [found[identifier] for identifier in unique]


async def find_security_groups(cloud: Cloud, call: Call, identifiers: list[str], vpc: str | None) -> None:
    """All must exist, and be of the VPC if one is given. Raises AwsError."""
    if not identifiers:
        return
    try:
        answer = await asyncio.to_thread(_ask, cloud, call, "describe_security_groups", {"GroupIds": identifiers})
    except ClientError as problem:
        raise AwsError("InvalidParameterValue", f"Invalid security group: {_message(problem)}") from None
    found = {group["GroupId"]: group.get("VpcId") for group in answer["SecurityGroups"]}
    for identifier in identifiers:
        if identifier not in found:
            raise AwsError("InvalidParameterValue", f"Invalid security group , groupId= {identifier}, groupName=.")
        if vpc is not None and found[identifier] != vpc:
            raise AwsError(
                "InvalidVPCNetworkStateFault",
                f"The DB instance (in {vpc}) and EC2 security group {identifier} are in different VPCs",
            )


def _ask(cloud: Cloud, call: Call, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = getattr(cloud.client("ec2", call.account, call.region), operation)(**parameters)
        return answer
    except BotoCoreError as problem:
        raise AwsError("InternalFailure", f"EC2 did not answer: {problem}", 500) from None


def _message(problem: ClientError) -> str:
    return str(problem.response.get("Error", {}).get("Message", problem))
