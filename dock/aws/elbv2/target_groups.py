"""Target groups: created, described, changed and deleted."""

from __future__ import annotations

import re
from typing import Any

from dock.aws.elbv2 import attributes, names
from dock.aws.elbv2.part import Part
from dock.aws.elbv2.records import LOAD_BALANCER, TAGS, TARGET, TARGET_GROUP, Change, groups_of, page
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

_CODES = re.compile(r"[2-4]\d\d(-[2-4]\d\d)?(,[2-4]\d\d(-[2-4]\d\d)?)*")
_PATH = re.compile(r"/[\x21-\x7e]{0,1023}")
_HEALTH = (
    "HealthCheckProtocol",
    "HealthCheckPort",
    "HealthCheckPath",
    "HealthCheckEnabled",
    "HealthCheckIntervalSeconds",
    "HealthCheckTimeoutSeconds",
    "HealthyThresholdCount",
    "UnhealthyThresholdCount",
    "Matcher",
)
_DEFAULTS: dict[str, Any] = {
    "HealthCheckProtocol": "HTTP",
    "HealthCheckPort": "traffic-port",
    "HealthCheckPath": "/",
    "HealthCheckEnabled": True,
    "HealthCheckIntervalSeconds": 30,
    "HealthCheckTimeoutSeconds": 5,
    "HealthyThresholdCount": 5,
    "UnhealthyThresholdCount": 2,
    "Matcher": {"HttpCode": "200"},
}


class TargetGroups(Part):
    """CreateTargetGroup and its kin: HTTP, with targets by IP address."""

    @operation(
        "CreateTargetGroup",
        acts="Name Protocol ProtocolVersion Port TargetType IpAddressType Tags " + " ".join(_HEALTH),
        records="VpcId",
    )
    async def create_target_group(self, call: Call, request: Request) -> Response:
        names.check_name(request["Name"], "Target group")
        self._refuse(request)
        record: Record = {
            "TargetGroupName": request["Name"],
            "Protocol": "HTTP",
            "Port": request["Port"],
            "VpcId": request["VpcId"],
            **_health_check(_DEFAULTS, request),
            "Attributes": {},
        }
        async with self.fleet.lock:
            for other in self.records.all(call.scope, TARGET_GROUP):
                if other["TargetGroupName"] == request["Name"]:
                    if {**other, "id": None, "Attributes": None} == {**record, "id": None, "Attributes": None}:
                        return {"TargetGroups": [self._target_group(call, other)]}
                    raise AwsError(
                        "DuplicateTargetGroupNameException",
                        f"A target group with the same name '{request['Name']}' exists, but with different settings",
                    )
            arn = names.arn(call.scope, f"targetgroup/{request['Name']}/{names.new_id()}")
            record = {"id": arn, **record}
            change = Change().put(TARGET_GROUP, arn, record)
            self.tag_change(change, arn, request.get("Tags", []))
            self.records.commit(call.scope, change)
        return {"TargetGroups": [self._target_group(call, record)]}

    @operation("DescribeTargetGroups", acts="LoadBalancerArn TargetGroupArns Names Marker PageSize")
    async def describe_target_groups(self, call: Call, request: Request) -> Response:
        found = self.records.all(call.scope, TARGET_GROUP)
        if arns := request.get("TargetGroupArns"):
            found = [self.records.get(call.scope, TARGET_GROUP, arn) for arn in arns]
        if wanted := request.get("Names"):
            found = [record for record in found if record["TargetGroupName"] in wanted]
            if missing := sorted(set(wanted) - {record["TargetGroupName"] for record in found}):
                raise AwsError("TargetGroupNotFoundException", f"Target groups '{missing}' not found")
        if owner := request.get("LoadBalancerArn"):
            self.records.get(call.scope, LOAD_BALANCER, owner)
            found = [each for each in found if owner in self.records.load_balancers_of(call.scope, each["id"])]
        shown, more = page(found, request)
        return {"TargetGroups": [self._target_group(call, record) for record in shown], **more}

    @operation("ModifyTargetGroup", acts="TargetGroupArn " + " ".join(_HEALTH))
    async def modify_target_group(self, call: Call, request: Request) -> Response:
        async with self.fleet.lock:
            record = self.records.get(call.scope, TARGET_GROUP, request["TargetGroupArn"])
            record.update(_health_check(record, request))
            await self.fleet.commit(call.scope, Change().put(TARGET_GROUP, record["id"], record))
        return {"TargetGroups": [self._target_group(call, record)]}

    @operation("DeleteTargetGroup", acts="TargetGroupArn")
    async def delete_target_group(self, call: Call, request: Request) -> Response:
        arn = request["TargetGroupArn"]
        async with self.fleet.lock:
            if self.records.find(call.scope, TARGET_GROUP, arn) is None:
                return {}
            if self.records.load_balancers_of(call.scope, arn):
                raise AwsError(
                    "ResourceInUseException", f"Target group '{arn}' is currently in use by a listener or a rule"
                )
            change = Change().delete(TARGET_GROUP, arn).delete(TAGS, arn)
            for target in self.records.targets(call.scope, arn):
                change.delete(TARGET, target["id"])
            self.records.commit(call.scope, change)
        return {}

    @operation("DescribeTargetGroupAttributes", acts="TargetGroupArn")
    async def describe_target_group_attributes(self, call: Call, request: Request) -> Response:
        record = self.records.get(call.scope, TARGET_GROUP, request["TargetGroupArn"])
        return {"Attributes": attributes.shown(record["Attributes"], attributes.TARGET_GROUP)}

    @operation("ModifyTargetGroupAttributes", acts="TargetGroupArn Attributes")
    async def modify_target_group_attributes(self, call: Call, request: Request) -> Response:
        async with self.fleet.lock:
            record = self.records.get(call.scope, TARGET_GROUP, request["TargetGroupArn"])
            kept = attributes.changed(record["Attributes"], request["Attributes"], attributes.TARGET_GROUP)
            change = Change().put(TARGET_GROUP, record["id"], {**record, "Attributes": kept})
            await self.fleet.commit(call.scope, change)
        return {"Attributes": attributes.shown(kept, attributes.TARGET_GROUP)}

    def _refuse(self, request: Request) -> None:
        """Raise AwsError for the kinds of target groups that the dock doesn't have."""
        if request.get("TargetType", "instance") != "ip":
            kind = request.get("TargetType", "instance")
            raise AwsError(
                "InvalidConfigurationRequestException",
                f"the dock has target groups of TargetType ip only, not {kind}: targets are ECS tasks with addresses",
            )
        if request.get("Protocol") != "HTTP" or request.get("ProtocolVersion", "HTTP1") != "HTTP1":
            raise AwsError(
                "UnsupportedProtocolException", "the dock speaks HTTP/1.1 to targets: Protocol HTTP, version HTTP1"
            )
        if request.get("IpAddressType", "ipv4") != "ipv4":
            raise AwsError("InvalidConfigurationRequestException", "the dock has no IPv6: IpAddressType must be ipv4")
        if "VpcId" not in request:
            raise AwsError("ValidationError", "A VPC ID must be specified for a target group of type 'ip'")
        if not 1 <= request.get("Port", 0) <= 65535:
            raise AwsError("ValidationError", "A Port from 1 to 65535 must be specified")

    def _target_group(self, call: Call, record: Record) -> dict[str, Any]:
        return {
            "TargetGroupArn": record["id"],
            "TargetGroupName": record["TargetGroupName"],
            "Protocol": record["Protocol"],
            "ProtocolVersion": "HTTP1",
            "Port": record["Port"],
            "VpcId": record["VpcId"],
            **{name: record[name] for name in _HEALTH},
            "LoadBalancerArns": self.records.load_balancers_of(call.scope, record["id"]),
            "TargetType": "ip",
            "IpAddressType": "ipv4",
        }

    def check_groups(self, call: Call, actions: list[dict[str, Any]], load_balancer: str) -> None:
        """The groups of actions must exist, and no other load balancer may use them. Raises AwsError."""
        for arn in groups_of(actions):
            self.records.get(call.scope, TARGET_GROUP, arn)
            if set(self.records.load_balancers_of(call.scope, arn)) - {load_balancer}:
                raise AwsError(
                    "TargetGroupAssociationLimitException",
                    f"Target group '{arn}' cannot be associated with more than one load balancer",
                )


def _health_check(kept: Record, request: Request) -> Record:
    """The settings of a health check: those kept with those asked for. Raises AwsError."""
    done: dict[str, Any] = {name: request.get(name, kept[name]) for name in _HEALTH}
    if done["HealthCheckProtocol"] != "HTTP":
        raise AwsError("InvalidConfigurationRequestException", "the dock checks health over HTTP only")
    if not done["HealthCheckEnabled"]:
        raise AwsError("InvalidConfigurationRequestException", "Health checks must be enabled for target type 'ip'")
    port = done["HealthCheckPort"]
    if port != "traffic-port" and not (port.isdigit() and 1 <= int(port) <= 65535):
        raise AwsError("ValidationError", f"Health check port '{port}' must be 'traffic-port' or from 1 to 65535")
    if not _PATH.fullmatch(done["HealthCheckPath"]):
        raise AwsError("ValidationError", f"Health check path '{done['HealthCheckPath']}' must begin with '/'")
    if done["HealthCheckTimeoutSeconds"] >= done["HealthCheckIntervalSeconds"]:
        raise AwsError(
            "ValidationError",
            f"Health check timeout '{done['HealthCheckTimeoutSeconds']}' must be smaller than or equal to the interval "
            f"'{done['HealthCheckIntervalSeconds']}'",
        )
    codes = done["Matcher"].get("HttpCode", "")
    if "GrpcCode" in done["Matcher"] or not _CODES.fullmatch(codes):
        raise AwsError(
            "InvalidConfigurationRequestException",
            f"Health check matcher '{codes}' must be HTTP codes from 200 to 499, such as '200,202' or '200-299'",
        )
    return done
