"""Scalable targets: between how many tasks a service may be scaled, and which scaling is suspended."""

from __future__ import annotations

import secrets
from typing import Any

from dock.aws.application_autoscaling.base import Base, created, page, shared
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

_MOST_TAGS = 50
SUSPENSIONS = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
_LINKED_ROLE = (
    "aws-service-role/ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService"
)


class Targets(Base):
    """Registering a target changes no count: as on AWS, the bounds hold from the next scaling on."""

    @operation(
        "RegisterScalableTarget",
        acts="ServiceNamespace ResourceId ScalableDimension MinCapacity MaxCapacity SuspendedState Tags",
        records="RoleARN",
    )
    async def register_scalable_target(self, call: Call, request: Request) -> Response:
        resource = self.check_resource(request)
        before = self.targets.get(call.scope, resource)
        low = request.get("MinCapacity", before["min"] if before else None)
        high = request.get("MaxCapacity", before["max"] if before else None)
        if low is None or high is None:
            raise AwsError("ValidationException", "MinCapacity and MaxCapacity are needed for a new scalable target.")
        if not 0 <= low <= high:
            raise AwsError("ValidationException", "Maximum capacity cannot be less than minimum capacity.")
        if self.scaled(call.scope, resource) is None:
            raise AwsError("ValidationException", f"ECS service doesn't exist: {resource}")
        if before is not None and "Tags" in request:
            raise AwsError("ValidationException", "Tags can be given to a new scalable target only; use TagResource.")
        suspended = before["suspended"] if before else dict.fromkeys(SUSPENSIONS, False)
        identifier = before["id"] if before else secrets.token_hex(16)
        record = {
            "id": identifier,
            "arn": call.arn(f"scalable-target/{identifier}"),
            "resource": resource,
            "min": low,
            "max": high,
            "role": request.get("RoleARN", f"arn:aws:iam::{call.account}:role/{_LINKED_ROLE}"),
            "suspended": {**suspended, **request.get("SuspendedState", {})},
            "tags": before["tags"] if before else _checked(request.get("Tags", {})),
            "created": created(before),
            "cooldown": before["cooldown"] if before else None,
        }
        self.targets.put(call.scope, resource, record)
        return {"ScalableTargetARN": record["arn"]}

    @operation("DescribeScalableTargets", acts="ServiceNamespace ResourceIds ScalableDimension MaxResults NextToken")
    async def describe_scalable_targets(self, call: Call, request: Request) -> Response:
        wanted = request.get("ResourceIds")
        found = [
            {
                **shared(record),
                "MinCapacity": record["min"],
                "MaxCapacity": record["max"],
                "RoleARN": record["role"],
                "SuspendedState": record["suspended"],
                "ScalableTargetARN": record["arn"],
            }
            for record in self.targets.list(call.scope)
            if request["ServiceNamespace"] == "ecs" and (not wanted or record["resource"] in wanted)
        ]
        return page(found, request, "ScalableTargets")

    @operation("DeregisterScalableTarget", acts="ServiceNamespace ResourceId ScalableDimension")
    async def deregister_scalable_target(self, call: Call, request: Request) -> Response:
        resource = self.check_resource(request)
        self.target(call.scope, resource)
        await self.forget(call, resource)
        return {}

    async def forget(self, call: Call, resource: str) -> None:
        """Remove a target with its policies and scheduled actions."""
        raise NotImplementedError

    @operation("ListTagsForResource", acts="ResourceARN")
    async def list_tags_for_resource(self, call: Call, request: Request) -> Response:
        return {"Tags": self._tagged(call, request)["tags"]}

    @operation("TagResource", acts="ResourceARN Tags")
    async def tag_resource(self, call: Call, request: Request) -> Response:
        record = self._tagged(call, request)
        record["tags"] = _checked({**record["tags"], **request["Tags"]})
        self.targets.put(call.scope, record["resource"], record)
        return {}

    @operation("UntagResource", acts="ResourceARN TagKeys")
    async def untag_resource(self, call: Call, request: Request) -> Response:
        record = self._tagged(call, request)
        record["tags"] = {key: value for key, value in record["tags"].items() if key not in request["TagKeys"]}
        self.targets.put(call.scope, record["resource"], record)
        return {}

    def _tagged(self, call: Call, request: Request) -> Record:
        for record in self.targets.list(call.scope):
            if record["arn"] == request["ResourceARN"]:
                return record
        raise AwsError("ResourceNotFoundException", f"No scalable target has the ARN {request['ResourceARN']}")


def _checked(tags: dict[str, Any]) -> dict[str, Any]:
    if len(tags) > _MOST_TAGS:
        raise AwsError("TooManyTagsException", f"A scalable target has at most {_MOST_TAGS} tags.")
    return tags
