"""Load balancers: created, described, changed and deleted."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from dock.addresses import Pool
from dock.aws.elbv2 import attributes, names, network
from dock.aws.elbv2.part import Part
from dock.aws.elbv2.records import LISTENER, LOAD_BALANCER, RULE, TAGS, Change, page
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

# Route 53's zone for alias records to load balancers, by region, as AWS publishes it.
_HOSTED_ZONES = {"us-east-1": "Z35SXDOTRQ7X7K", "us-west-2": "Z1H1FL5HABSF5"}
_PROVISIONING_SECONDS = 0.5


class LoadBalancers(Part):
    """CreateLoadBalancer and its kin. An address of the dock's own stands where AWS gives a DNS name."""

    @operation(
        "CreateLoadBalancer",
        acts="Name Type Subnets SubnetMappings Tags",
        records="Scheme SecurityGroups IpAddressType",
    )
    async def create_load_balancer(self, call: Call, request: Request) -> Response:
        names.check_name(request["Name"], "Load balancer")
        if request.get("Type", "application") != "application":
            raise AwsError("InvalidConfigurationRequestException", "the dock makes application load balancers only")
        if request.get("IpAddressType", "ipv4") != "ipv4":
            raise AwsError("InvalidConfigurationRequestException", "the dock has no IPv6: IpAddressType must be ipv4")
        vpc, zones = await network.zones(self.cloud, call, request)
        groups = await network.security_groups(self.cloud, call, request.get("SecurityGroups", []), vpc)
        scheme = request.get("Scheme", "internet-facing")
        async with self.fleet.lock:
            for other in self.records.all(call.scope, LOAD_BALANCER):
                if other["LoadBalancerName"] == request["Name"]:
                    same = (other["Scheme"], other["AvailabilityZones"], sorted(other["SecurityGroups"]))
                    if same == (scheme, zones, sorted(groups)):
                        return {"LoadBalancers": [self._load_balancer(other)]}
                    raise AwsError(
                        "DuplicateLoadBalancerNameException",
                        f"A load balancer with the same name '{request['Name']}' exists, but with different settings",
                    )
            arn = names.arn(call.scope, f"loadbalancer/app/{request['Name']}/{names.new_id()}")
            record: Record = {
                "id": arn,
                "LoadBalancerName": request["Name"],
                "Address": self.cloud.addresses.allocate(Pool.LOAD_BALANCER, arn),
                "CreatedTime": time.time(),
                "Scheme": scheme,
                "VpcId": vpc,
                "State": "provisioning",
                "AvailabilityZones": zones,
                "SecurityGroups": groups,
                "Attributes": {},
            }
            change = Change().put(LOAD_BALANCER, arn, record)
            try:
                self.tag_change(change, arn, request.get("Tags", []))
                await self.fleet.commit(call.scope, change)
            except BaseException:
                self.cloud.addresses.release(arn)
                raise
        self.cloud.spawn(self._provision(call, arn), f"provision {request['Name']}")
        return {"LoadBalancers": [self._load_balancer(record)]}

    async def _provision(self, call: Call, arn: str) -> None:
        await asyncio.sleep(_PROVISIONING_SECONDS)
        self._activate(call, arn)

    def _activate(self, call: Call, arn: str) -> None:
        record = self.records.find(call.scope, LOAD_BALANCER, arn)
        if record is not None and record["State"] == "provisioning":
            self.records.commit(call.scope, Change().put(LOAD_BALANCER, arn, {**record, "State": "active"}))

    @operation("DescribeLoadBalancers", acts="LoadBalancerArns Names Marker PageSize")
    async def describe_load_balancers(self, call: Call, request: Request) -> Response:
        arns, wanted = request.get("LoadBalancerArns"), request.get("Names")
        found = self.records.all(call.scope, LOAD_BALANCER)
        if arns:
            found = [self.records.get(call.scope, LOAD_BALANCER, arn) for arn in arns]
        if wanted:
            found = [record for record in found if record["LoadBalancerName"] in wanted]
            if missing := sorted(set(wanted) - {record["LoadBalancerName"] for record in found}):
                raise AwsError("LoadBalancerNotFoundException", f"Load balancers '{missing}' not found")
        shown, more = page(found, request)
        return {"LoadBalancers": [self._load_balancer(record) for record in shown], **more}

    @operation("DeleteLoadBalancer", acts="LoadBalancerArn")
    async def delete_load_balancer(self, call: Call, request: Request) -> Response:
        arn = request["LoadBalancerArn"]
        async with self.fleet.lock:
            record = self.records.find(call.scope, LOAD_BALANCER, arn)
            if record is None:
                return {}
            if (
                attributes.value(record["Attributes"], attributes.LOAD_BALANCER, "deletion_protection.enabled")
                == "true"
            ):
                raise AwsError(
                    "OperationNotPermittedException",
                    f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
                )
            change = Change().delete(LOAD_BALANCER, arn).delete(TAGS, arn)
            for listener in self.records.listeners(call.scope, arn):
                change.delete(LISTENER, listener["id"]).delete(TAGS, listener["id"])
                for rule in self.records.rules(call.scope, listener["id"]):
                    change.delete(RULE, rule["id"]).delete(TAGS, rule["id"])
            # The records go first: an engine without a record is ended at the next start of the dock, at the latest.
            self.records.commit(call.scope, change)
            await self.fleet.remove(arn)
            self.cloud.addresses.release(arn)
        return {}

    @operation("DescribeLoadBalancerAttributes", acts="LoadBalancerArn")
    async def describe_load_balancer_attributes(self, call: Call, request: Request) -> Response:
        record = self.records.get(call.scope, LOAD_BALANCER, request["LoadBalancerArn"])
        return {"Attributes": attributes.shown(record["Attributes"], attributes.LOAD_BALANCER)}

    @operation("ModifyLoadBalancerAttributes", acts="LoadBalancerArn Attributes")
    async def modify_load_balancer_attributes(self, call: Call, request: Request) -> Response:
        async with self.fleet.lock:
            record = self.records.get(call.scope, LOAD_BALANCER, request["LoadBalancerArn"])
            kept = attributes.changed(record["Attributes"], request["Attributes"], attributes.LOAD_BALANCER)
            await self.fleet.commit(
                call.scope, Change().put(LOAD_BALANCER, record["id"], {**record, "Attributes": kept})
            )
        return {"Attributes": attributes.shown(kept, attributes.LOAD_BALANCER)}

    @operation("SetSecurityGroups", acts="LoadBalancerArn", records="SecurityGroups")
    async def set_security_groups(self, call: Call, request: Request) -> Response:
        record = self.records.get(call.scope, LOAD_BALANCER, request["LoadBalancerArn"])
        groups = await network.security_groups(self.cloud, call, request["SecurityGroups"], record["VpcId"])
        async with self.fleet.lock:
            record = self.records.get(call.scope, LOAD_BALANCER, request["LoadBalancerArn"])
            self.records.commit(
                call.scope, Change().put(LOAD_BALANCER, record["id"], {**record, "SecurityGroups": groups})
            )
        return {"SecurityGroupIds": groups}

    @operation("SetSubnets", acts="LoadBalancerArn", records="Subnets SubnetMappings IpAddressType")
    async def set_subnets(self, call: Call, request: Request) -> Response:
        record = self.records.get(call.scope, LOAD_BALANCER, request["LoadBalancerArn"])
        if request.get("IpAddressType", "ipv4") != "ipv4":
            raise AwsError("InvalidConfigurationRequestException", "the dock has no IPv6: IpAddressType must be ipv4")
        vpc, zones = await network.zones(self.cloud, call, request)
        if vpc != record["VpcId"]:
            raise AwsError("InvalidSubnetException", f"The subnets must belong to {record['VpcId']}")
        async with self.fleet.lock:
            record = self.records.get(call.scope, LOAD_BALANCER, request["LoadBalancerArn"])
            self.records.commit(
                call.scope, Change().put(LOAD_BALANCER, record["id"], {**record, "AvailabilityZones": zones})
            )
        return {"AvailabilityZones": zones, "IpAddressType": "ipv4"}

    @operation("SetIpAddressType", acts="LoadBalancerArn", records="IpAddressType")
    async def set_ip_address_type(self, call: Call, request: Request) -> Response:
        self.records.get(call.scope, LOAD_BALANCER, request["LoadBalancerArn"])
        if request["IpAddressType"] != "ipv4":
            raise AwsError("InvalidConfigurationRequestException", "the dock has no IPv6: IpAddressType must be ipv4")
        return {"IpAddressType": "ipv4"}

    @operation("DescribeCapacityReservation", acts="LoadBalancerArn")
    async def describe_capacity_reservation(self, call: Call, request: Request) -> Response:
        self.records.get(call.scope, LOAD_BALANCER, request["LoadBalancerArn"])
        return {"DecreaseRequestsRemaining": 5, "CapacityReservationState": []}

    def _load_balancer(self, record: Record) -> dict[str, Any]:
        state: dict[str, str] = {"Code": record["State"]}
        if (problem := self.fleet.problem(record["id"])) is not None:
            state = {"Code": "failed", "Reason": problem}
        scope = names.scope_of(record["id"])
        return {
            "LoadBalancerArn": record["id"],
            # An address is a name that resolves to itself, also for who doesn't ask the dock's DNS server.
            "DNSName": record["Address"],
            "CanonicalHostedZoneId": _HOSTED_ZONES.get(scope.region, "Z0000000000000"),
            "CreatedTime": record["CreatedTime"],
            "LoadBalancerName": record["LoadBalancerName"],
            "Scheme": record["Scheme"],
            "VpcId": record["VpcId"],
            "State": state,
            "Type": "application",
            "AvailabilityZones": record["AvailabilityZones"],
            "SecurityGroups": record["SecurityGroups"],
            "IpAddressType": "ipv4",
        }
