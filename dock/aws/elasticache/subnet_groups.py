"""Cache subnet groups: which zones nodes may be in."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dock.aws.elasticache.base import Base, arn, page, tags_of
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Scope

_NAME = re.compile(r"[a-zA-Z0-9._ -]{1,255}")
# Where a group without a subnet group has its nodes.
_ZONES = ("a", "b", "c")


class SubnetGroups(Base):
    """The operations on subnet groups. Their subnets must exist in the account's VPC; nodes get zones from them,
    their addresses are the dock's own."""

    @operation("CreateCacheSubnetGroup", acts="CacheSubnetGroupName CacheSubnetGroupDescription SubnetIds Tags")
    async def create_cache_subnet_group(self, call: Call, request: Request) -> Response:
        name = request["CacheSubnetGroupName"].lower()
        if not _NAME.fullmatch(name) or name == "default":
            raise AwsError("InvalidParameterValueException", f"Invalid CacheSubnetGroupName {name!r}.")
        if self.subnet_groups.get(call.scope, name) is not None:
            raise AwsError("CacheSubnetGroupAlreadyExistsFault", f"Cache subnet group {name} already exists.")
        record = {
            "name": name,
            "description": request["CacheSubnetGroupDescription"],
            "tags": tags_of(request),
            **await self._look_up(call, request["SubnetIds"]),
        }
        self.subnet_groups.put(call.scope, name, record)
        return {"CacheSubnetGroup": _shape(call.scope, record)}

    @operation("DescribeCacheSubnetGroups", acts="CacheSubnetGroupName MaxRecords Marker")
    async def describe_cache_subnet_groups(self, call: Call, request: Request) -> Response:
        if name := request.get("CacheSubnetGroupName"):
            return {"CacheSubnetGroups": [_shape(call.scope, self.subnet_group(call.scope, name))]}
        records = self.subnet_groups.list(call.scope)
        return page([(record["name"], _shape(call.scope, record)) for record in records], request, "CacheSubnetGroups")

    @operation("ModifyCacheSubnetGroup", acts="CacheSubnetGroupName CacheSubnetGroupDescription SubnetIds")
    async def modify_cache_subnet_group(self, call: Call, request: Request) -> Response:
        record = self.subnet_group(call.scope, request["CacheSubnetGroupName"])
        if "CacheSubnetGroupDescription" in request:
            record["description"] = request["CacheSubnetGroupDescription"]
        if "SubnetIds" in request:
            record |= await self._look_up(call, request["SubnetIds"])
            zones = {subnet["zone"] for subnet in record["subnets"]}
            for group in self._users(call.scope, record["name"]):
                if lost := {member["zone"] for member in group["members"]} - zones:
                    raise AwsError("SubnetInUse", f"Nodes of {group['id']} are in {', '.join(sorted(lost))}.")
        self.subnet_groups.put(call.scope, record["name"], record)
        return {"CacheSubnetGroup": _shape(call.scope, record)}

    @operation("DeleteCacheSubnetGroup", acts="CacheSubnetGroupName")
    async def delete_cache_subnet_group(self, call: Call, request: Request) -> Response:
        record = self.subnet_group(call.scope, request["CacheSubnetGroupName"])
        if users := self._users(call.scope, record["name"]):
            names = ", ".join(sorted(group["id"] for group in users))
            raise AwsError("CacheSubnetGroupInUse", f"Cache subnet group {record['name']} is used by {names}.")
        self.subnet_groups.delete(call.scope, record["name"])
        return {}

    def subnet_group(self, scope: Scope, name: str) -> Record:
        """A subnet group's record. Raises CacheSubnetGroupNotFoundFault."""
        record = self.subnet_groups.get(scope, name.lower())
        if record is None:
            raise AwsError("CacheSubnetGroupNotFoundFault", f"Cache Subnet Group {name} does not exist.")
        return record

    def zones(self, scope: Scope, name: str | None) -> list[str]:
        """The availability zones of a subnet group; without one, of the region."""
        if name is None:
            return [scope.region + letter for letter in _ZONES]
        return sorted({subnet["zone"] for subnet in self.subnet_group(scope, name)["subnets"]})

    def _users(self, scope: Scope, name: str) -> list[Record]:
        records = [group.record for (where, _), group in self.groups.items() if where == scope]
        return [record for record in records if record["subnet_group"] == name]

    async def _look_up(self, call: Call, identifiers: list[str]) -> dict[str, Any]:
        """The VPC and the subnets' zones, as EC2 knows them."""
        if not identifiers:
            raise AwsError("InvalidParameterValueException", "SubnetIds must name at least one subnet.")

        def ask() -> list[dict[str, Any]]:
            client = self.cloud.client("ec2", call.account, call.region)
            return list(client.describe_subnets(SubnetIds=identifiers)["Subnets"])

        try:
            subnets = await asyncio.to_thread(ask)
        except ClientError as problem:
            raise AwsError("InvalidSubnet", f"Invalid subnets: {problem.response['Error']['Message']}") from None
        except BotoCoreError as problem:
            raise AwsError("InternalFailure", f"EC2 does not answer: {problem}", 500) from None
        if missing := sorted(set(identifiers) - {subnet["SubnetId"] for subnet in subnets}):
            raise AwsError("InvalidSubnet", f"There is no subnet {', '.join(missing)}.")
        if len({subnet["VpcId"] for subnet in subnets}) > 1:
            raise AwsError("InvalidSubnet", "The subnets must be in one VPC.")
        zones = [{"id": subnet["SubnetId"], "zone": subnet["AvailabilityZone"]} for subnet in subnets]
        return {
            "vpc": subnets[0]["VpcId"],
            "subnets": sorted(zones, key=lambda subnet: identifiers.index(subnet["id"])),
        }


def _shape(scope: Scope, record: Record) -> dict[str, Any]:
    return {
        "CacheSubnetGroupName": record["name"],
        "CacheSubnetGroupDescription": record["description"],
        "VpcId": record["vpc"],
        "Subnets": [
            {
                "SubnetIdentifier": subnet["id"],
                "SubnetAvailabilityZone": {"Name": subnet["zone"]},
                "SupportedNetworkTypes": ["ipv4"],
            }
            for subnet in record["subnets"]
        ],
        "ARN": arn(scope, "subnetgroup", record["name"]),
        "SupportedNetworkTypes": ["ipv4"],
    }
