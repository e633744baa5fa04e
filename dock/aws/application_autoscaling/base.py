"""What the parts of the service share: what can be scaled, records, listings."""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING, Any

from dock.aws.ecs import Ecs
from dock.aws.ecs.records import Service as EcsService
from dock.aws.service import AwsError, Call, Request, Response, Service
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

NAMESPACE, DIMENSION = "ecs", "ecs:service:DesiredCount"
_RESOURCE = re.compile(r"service/([A-Za-z0-9_-]{1,255})/([A-Za-z0-9_-]{1,255})")
_PAGE = 50
# As long as AWS shows them: six weeks.
ACTIVITY_SECONDS = 6 * 7 * 86400


class Base(Service):
    """Tables by resource id (`service/CLUSTER/NAME`): targets; policies and actions by `resource id|name`."""

    name = "application-autoscaling"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.targets = cloud.store.table("application-autoscaling/target")
        self.policies = cloud.store.table("application-autoscaling/policy")
        self.actions = cloud.store.table("application-autoscaling/scheduled-action")
        self.activities = cloud.store.table("application-autoscaling/activity")

    def target(self, scope: Scope, resource: str) -> Record:
        """A scalable target. Raises AwsError ObjectNotFoundException."""
        found = self.targets.get(scope, resource)
        if found is None:
            raise AwsError(
                "ObjectNotFoundException",
                f"No scalable target registered for service namespace: {NAMESPACE}, resource ID: {resource}, scalable"
                f" dimension: {DIMENSION}",
            )
        return found

    def scaled(self, scope: Scope, resource: str) -> EcsService | None:
        """The ECS service of a resource id, while it is there."""
        match = _RESOURCE.fullmatch(resource)
        found = self.cloud.service(Ecs).services.get(scope, f"{match[1]}/{match[2]}") if match else None
        return found if found is not None and found.status == "ACTIVE" else None

    async def set_desired(self, scope: Scope, resource: str, count: int) -> None:
        """Have ECS run so many tasks. Raises AwsError when it refuses."""
        ecs = self.cloud.service(Ecs)
        _, cluster, name = resource.split("/")
        call = Call(scope.account, scope.region, "ecs", "UpdateService", str(uuid.uuid4()))
        await ecs.update_service(call, {"cluster": cluster, "service": name, "desiredCount": count})

    def check_resource(self, request: Request) -> str:
        """The resource id of a request. Raises AwsError for what the dock can't scale."""
        if request["ServiceNamespace"] != NAMESPACE:
            raise AwsError("ValidationException", f"The dock scales ECS services, not {request['ServiceNamespace']}.")
        if request.get("ScalableDimension", DIMENSION) != DIMENSION:
            raise AwsError("ValidationException", f"Unsupported scalable dimension: {request['ScalableDimension']}")
        resource = str(request["ResourceId"])
        if not _RESOURCE.fullmatch(resource):
            raise AwsError(
                "ValidationException", f"Unsupported service namespace, resource type or scalable dimension: {resource}"
            )
        return resource


def page(items: list[Any], request: Request, member: str) -> Response:
    """One page of a listing after `MaxResults` and `NextToken`."""
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise AwsError("InvalidNextTokenException", f"Invalid NextToken: {token}")
    start = int(token)
    end = start + min(request.get("MaxResults", _PAGE), _PAGE)
    return {member: items[start:end], "NextToken": str(end) if end < len(items) else None}


def shared(record: Record) -> dict[str, Any]:
    """What every description begins with."""
    return {
        "ServiceNamespace": NAMESPACE,
        "ResourceId": record["resource"],
        "ScalableDimension": DIMENSION,
        "CreationTime": record["created"],
    }


def created(before: Record | None) -> float:
    """When a record was made that is put again."""
    return float(before["created"]) if before is not None else time.time()
