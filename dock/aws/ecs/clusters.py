"""Clusters: names under which services and tasks are kept, and tags of everything."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from dock.aws.ecs import names
from dock.aws.ecs.records import Service as ServiceRecord
from dock.aws.ecs.records import Shelf, Task
from dock.aws.service import AwsError, Call, Request, Response, Service, operation
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
_PROVIDERS = ("FARGATE", "FARGATE_SPOT")
# How long what was deleted or has stopped can still be described.
MEMORY_SECONDS = 3600.0


class Clusters(Service):
    """Handlers of clusters; the tables that the other parts of ECS share."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.clusters = cloud.store.table("ecs/cluster")
        self.tasks = Shelf(cloud.store.table("ecs/task"), Task.load)
        self.services = Shelf(cloud.store.table("ecs/service"), ServiceRecord.load)

    def cluster(self, call: Call, request: Request) -> str:
        """The name of the active cluster that a request means. Raises AwsError ClusterNotFoundException."""
        name = names.cluster_name(request.get("cluster"))
        found = self.clusters.get(call.scope, name)
        if found is None or found["status"] != "ACTIVE":
            raise AwsError("ClusterNotFoundException", "Cluster not found.")
        return name

    def tasks_of(self, scope: Scope, cluster: str) -> list[Task]:
        return [task for task in self.tasks if task.scope == scope and task.cluster == cluster]

    @operation(
        "CreateCluster",
        acts="clusterName tags",
        records="settings configuration capacityProviders defaultCapacityProviderStrategy",
    )
    async def create_cluster(self, call: Call, request: Request) -> Response:
        name = request.get("clusterName", "default")
        if not _NAME.fullmatch(name):
            raise AwsError("InvalidParameterException", "Invalid cluster name: letters, digits, _ and -, up to 255.")
        _check_providers(request)
        found = self.clusters.get(call.scope, name)
        if found is None or found["status"] != "ACTIVE":
            found = {
                "name": name,
                "arn": names.arn(call, "cluster", name),
                "status": "ACTIVE",
                "created": time.time(),
                "tags": _tags(request),
                "settings": request.get("settings", [{"name": "containerInsights", "value": "disabled"}]),
                "configuration": request.get("configuration"),
                "providers": request.get("capacityProviders", []),
                "strategy": request.get("defaultCapacityProviderStrategy", []),
            }
            self.clusters.put(call.scope, name, found)
        return {"cluster": self._view(found, {"SETTINGS", "CONFIGURATIONS", "TAGS"})}

    @operation("DescribeClusters", acts="clusters include")
    async def describe_clusters(self, call: Call, request: Request) -> Response:
        clusters, failures = [], []
        for given in request.get("clusters") or ["default"]:
            name = names.cluster_name(given)
            found = self.clusters.get(call.scope, name)
            if found is None:
                failures.append({"arn": names.arn(call, "cluster", name), "reason": "MISSING"})
            else:
                clusters.append(self._view(found, set(request.get("include", []))))
        return {"clusters": clusters, "failures": failures}

    @operation("ListClusters", acts="nextToken maxResults")
    async def list_clusters(self, call: Call, request: Request) -> Response:
        arns = [found["arn"] for found in self.clusters.list(call.scope) if found["status"] == "ACTIVE"]
        page, token = paginate(arns, request)
        return {"clusterArns": page, "nextToken": token}

    @operation("DeleteCluster", acts="cluster")
    async def delete_cluster(self, call: Call, request: Request) -> Response:
        name = self.cluster(call, request)
        if any(s.cluster == name and s.status != "INACTIVE" for s in self.services.of(call.scope)):
            raise AwsError(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        if any(task.last_status != "STOPPED" for task in self.tasks_of(call.scope, name)):
            raise AwsError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
        found = self.clusters.get(call.scope, name) or {}
        found |= {"status": "INACTIVE", "deleted": time.time()}
        self.clusters.put(call.scope, name, found)
        return {"cluster": self._view(found, set())}

    @operation("UpdateCluster", acts="cluster", records="settings configuration")
    async def update_cluster(self, call: Call, request: Request) -> Response:
        return self._update(call, request, {"settings": "settings", "configuration": "configuration"})

    @operation("UpdateClusterSettings", acts="cluster", records="settings")
    async def update_cluster_settings(self, call: Call, request: Request) -> Response:
        return self._update(call, request, {"settings": "settings"})

    @operation(
        "PutClusterCapacityProviders", acts="cluster", records="capacityProviders defaultCapacityProviderStrategy"
    )
    async def put_cluster_capacity_providers(self, call: Call, request: Request) -> Response:
        _check_providers(request)
        keys = {"capacityProviders": "providers", "defaultCapacityProviderStrategy": "strategy"}
        return self._update(call, request, keys)

    def _update(self, call: Call, request: Request, keys: dict[str, str]) -> Response:
        name = self.cluster(call, request)
        found = self.clusters.get(call.scope, name) or {}
        found |= {column: request[key] for key, column in keys.items() if key in request}
        self.clusters.put(call.scope, name, found)
        return {"cluster": self._view(found, {"SETTINGS", "CONFIGURATIONS", "TAGS"})}

    def _view(self, found: Record, include: set[str]) -> dict[str, Any]:
        _, _, _, region, account, _ = found["arn"].split(":", 5)
        scope = Scope(account, region)
        tasks = self.tasks_of(scope, found["name"])
        services = [s for s in self.services.of(scope) if s.cluster == found["name"] and s.status != "INACTIVE"]
        pending = ("PROVISIONING", "PENDING", "ACTIVATING")
        return {
            "clusterArn": found["arn"],
            "clusterName": found["name"],
            "status": found["status"],
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": sum(task.last_status == "RUNNING" for task in tasks),
            "pendingTasksCount": sum(task.last_status in pending for task in tasks),
            "activeServicesCount": len(services),
            "statistics": [],
            "tags": tag_list(found["tags"]) if "TAGS" in include else [],
            "settings": found["settings"] if "SETTINGS" in include else [],
            "configuration": found["configuration"] if "CONFIGURATIONS" in include else None,
            "capacityProviders": found["providers"],
            "defaultCapacityProviderStrategy": found["strategy"],
        }

    def forget_deleted_clusters(self, before: float) -> None:
        """Forget clusters that were deleted before this time."""
        for scope, name, found in self.clusters.all():
            if found["status"] == "INACTIVE" and found["deleted"] < before:
                self.clusters.delete(scope, name)


def paginate(items: list[str], request: Request) -> tuple[list[str], str | None]:
    """One page, and the token of the next: the last item of this one."""
    start = 0
    if token := request.get("nextToken"):
        if token not in items:
            raise AwsError("InvalidParameterException", "Invalid token: it is of another list.")
        start = items.index(token) + 1
    limit = request.get("maxResults") or 100
    page = items[start : start + limit]
    return page, page[-1] if start + limit < len(items) else None


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]


def _tags(request: Request) -> dict[str, str]:
    return tag_dict(request.get("tags", []))


def tag_dict(tags: list[dict[str, str]]) -> dict[str, str]:
    """Tags of a request. Raises AwsError when they are too many or reserved."""
    found = {tag["key"]: tag.get("value", "") for tag in tags if "key" in tag}
    if len(found) > 50:
        raise AwsError("InvalidParameterException", "A resource can have 50 tags.")
    if any(key.lower().startswith("aws:") for key in found):
        raise AwsError("InvalidParameterException", "A tag's key can't start with aws:.")
    return found


def _check_providers(request: Request) -> None:
    strategy = request.get("defaultCapacityProviderStrategy", [])
    for name in [*request.get("capacityProviders", []), *(entry["capacityProvider"] for entry in strategy)]:
        if name not in _PROVIDERS:
            raise AwsError(
                "InvalidParameterException", f"The dock has the capacity providers FARGATE and FARGATE_SPOT: {name}"
            )
