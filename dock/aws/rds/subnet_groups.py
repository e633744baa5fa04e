"""DB subnet groups: which zones an instance may be in."""

from __future__ import annotations

from typing import Any

from dock.aws.rds import checks, description, network
from dock.aws.rds.part import Part
from dock.aws.rds.records import page, tag_list
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record


class SubnetGroups(Part):
    """CreateDBSubnetGroup and its like."""

    @operation("CreateDBSubnetGroup", acts="DBSubnetGroupName DBSubnetGroupDescription SubnetIds Tags")
    async def create_db_subnet_group(self, call: Call, request: Request) -> Response:
        name = request["DBSubnetGroupName"].lower()
        if not 1 <= len(name) <= 255 or name == "default" or not all(c.isalnum() or c in "-_. " for c in name):
            raise checks.invalid(
                f"DBSubnetGroupName {name!r}: 1 to 255 letters, digits, '-', '_', '.', and not 'default'"
            )
        network_part = await self._network(call, request["SubnetIds"])
        if self.records.subnet_groups.get(call.scope, name) is not None:
            raise AwsError("DBSubnetGroupAlreadyExistsFault", f"The DB subnet group '{name}' already exists.")
        record = {
            "DBSubnetGroupName": name,
            "DBSubnetGroupDescription": request["DBSubnetGroupDescription"],
            "SubnetGroupStatus": "Complete",
            "DBSubnetGroupArn": description.arn(call.scope, "subgrp", name),
            "SupportedNetworkTypes": ["IPV4"],
            **network_part,
            "tags": tag_list(request.get("Tags")),
        }
        self.records.subnet_groups.put(call.scope, name, record)
        return {"DBSubnetGroup": record}

    @operation("DescribeDBSubnetGroups", acts="DBSubnetGroupName Filters MaxRecords Marker")
    async def describe_db_subnet_groups(self, call: Call, request: Request) -> Response:
        if "DBSubnetGroupName" in request:
            found = [self.subnet_group(call, request["DBSubnetGroupName"])]
        else:
            found = self.records.subnet_groups.list(call.scope)
        shown, more = page(found, request)
        return {"DBSubnetGroups": shown, **more}

    @operation("ModifyDBSubnetGroup", acts="DBSubnetGroupName DBSubnetGroupDescription SubnetIds")
    async def modify_db_subnet_group(self, call: Call, request: Request) -> Response:
        self.subnet_group(call, request["DBSubnetGroupName"])
        network_part = await self._network(call, request["SubnetIds"])
        record = self.subnet_group(call, request["DBSubnetGroupName"])
        if network_part["VpcId"] != record["VpcId"]:
            raise AwsError("InvalidSubnet", f"The subnets are not in the group's VPC {record['VpcId']}.")
        zones = {subnet["SubnetAvailabilityZone"]["Name"] for subnet in network_part["Subnets"]}
        for instance in self._members(call, record):
            used = {instance["shape"]["AvailabilityZone"], instance["shape"].get("SecondaryAvailabilityZone")} - {None}
            if used - zones:
                raise AwsError("SubnetAlreadyInUse", f"A DB instance is in {', '.join(sorted(used - zones))}")
        record |= network_part
        if "DBSubnetGroupDescription" in request:
            record["DBSubnetGroupDescription"] = request["DBSubnetGroupDescription"]
        self.records.subnet_groups.put(call.scope, record["DBSubnetGroupName"], record)
        return {"DBSubnetGroup": record}

    @operation("DeleteDBSubnetGroup", acts="DBSubnetGroupName")
    async def delete_db_subnet_group(self, call: Call, request: Request) -> Response:
        record = self.subnet_group(call, request["DBSubnetGroupName"])
        if self._members(call, record):
            raise AwsError(
                "InvalidDBSubnetGroupStateFault",
                f"Cannot delete the subnet group '{record['DBSubnetGroupName']}' because at least one database instance"
                " is still using it.",
            )
        self.records.subnet_groups.delete(call.scope, record["DBSubnetGroupName"])
        return {}

    def subnet_group(self, call: Call, name: str) -> Record:
        """A group's record. Raises AwsError."""
        record = self.records.subnet_groups.get(call.scope, name.lower())
        if record is None:
            raise AwsError("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.")
        return record

    def _members(self, call: Call, group: Record) -> list[Record]:
        name = group["DBSubnetGroupName"]
        return [record for record in self.records.instances.list(call.scope) if record["subnet_group"] == name]

    async def _network(self, call: Call, identifiers: list[str]) -> dict[str, Any]:
        subnets = await network.find_subnets(self.cloud, call, identifiers)
        vpcs = {subnet["VpcId"] for subnet in subnets}
        if len(vpcs) > 1:
            raise AwsError("InvalidSubnet", f"The subnets are in several VPCs: {', '.join(sorted(vpcs))}")
        if len({subnet["AvailabilityZone"] for subnet in subnets}) < 2:
            raise AwsError(
                "DBSubnetGroupDoesNotCoverEnoughAZs",
                "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: "
                + ", ".join(sorted({subnet["AvailabilityZone"] for subnet in subnets}))
                + ". Add subnets to cover at least 2 AZs.",
            )
        return {
            "VpcId": vpcs.pop(),
            "Subnets": [
                {
                    "SubnetIdentifier": subnet["SubnetId"],
                    "SubnetAvailabilityZone": {"Name": subnet["AvailabilityZone"]},
                    "SubnetStatus": "Active",
                }
                for subnet in subnets
            ],
        }
