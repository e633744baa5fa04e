"""Task definitions: registered once, never changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dock.aws.ecs import fargate, names
from dock.aws.ecs.clusters import Clusters, paginate, tag_dict, tag_list
from dock.aws.ecs.declared import check_nested
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

_KEPT = ["taskRoleArn", "executionRoleArn", "runtimePlatform", "ephemeralStorage", "enableFaultInjection"]


class TaskDefinitions(Clusters):
    """Handlers of task definitions."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.definitions = cloud.store.table("ecs/task-definition")
        # The newest revision of each family, also of one whose revisions were all deleted: a number is used once.
        self.families = cloud.store.table("ecs/family")

    def definition(self, call: Call, given: str) -> Record:
        """A task definition by ARN, `family:revision`, or `family` for its newest active revision."""
        family, revision = names.family_and_revision(given)
        if revision is None:
            found = self._revisions(call.scope, family, "ACTIVE")
            if not found:
                raise AwsError("ClientException", "Unable to describe task definition.")
            return found[-1]
        definition = self.definitions.get(call.scope, f"{family}:{revision}")
        if definition is None:
            raise AwsError("ClientException", "Unable to describe task definition.")
        return definition

    def runnable_definition(self, call: Call, given: str) -> Record:
        """As `definition`, for a new task or service: it must be active."""
        try:
            definition = self.definition(call, given)
        except AwsError:
            raise AwsError("ClientException", "TaskDefinition not found.") from None
        if definition["status"] != "ACTIVE":
            raise AwsError("ClientException", "TaskDefinition is inactive")
        return definition

    def definition_by_arn(self, scope: Scope, arn: str) -> Record | None:
        """The definition of a task or service that is already there, active or not."""
        return self.definitions.get(scope, names.last(arn))

    def roles_of_definition(self, account: str, region: str, given: str) -> list[str]:
        """The roles that a task of a definition gets; none when there is no such definition."""
        scope = Scope(account, region)
        try:
            family, revision = names.family_and_revision(given)
        except AwsError:
            return []
        if revision is None:
            found = self._revisions(scope, family, "ACTIVE")
            definition = found[-1] if found else None
        else:
            definition = self.definitions.get(scope, f"{family}:{revision}")
        return [definition[key] for key in ("taskRoleArn", "executionRoleArn") if definition and definition.get(key)]

    def _revisions(self, scope: Scope, family: str, status: str) -> list[Record]:
        found = [
            record
            for record in self.definitions.list(scope)
            if record["family"] == family and record["status"] == status
        ]
        return sorted(found, key=lambda record: int(record["revision"]))

    @operation(
        "RegisterTaskDefinition",
        acts="family containerDefinitions cpu memory networkMode requiresCompatibilities tags runtimePlatform"
        " volumes placementConstraints taskRoleArn executionRoleArn",
        records="ephemeralStorage enableFaultInjection",
    )
    async def register_task_definition(self, call: Call, request: Request) -> Response:
        family, revision = names.family_and_revision(request["family"])
        if revision is not None or request["family"] != family:
            raise AwsError("ClientException", "Family should not be null or empty, and has no revision.")
        for name in ("volumes", "placementConstraints"):
            if request.get(name):
                raise AwsError("ClientException", f"The dock's tasks have no {name}; see docs/differences-from-aws.md")
        check_nested("containerDefinitions", request["containerDefinitions"])
        fargate.check(request)
        cpu, memory = fargate.size(request)
        latest = (self.families.get(call.scope, family) or {"revision": 0})["revision"] + 1
        tags = tag_dict(request.get("tags", []))
        definition = {
            "taskDefinitionArn": names.arn(call, "task-definition", f"{family}:{latest}"),
            "family": family,
            "revision": latest,
            "status": "ACTIVE",
            "containerDefinitions": [_with_defaults(container) for container in request["containerDefinitions"]],
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "compatibilities": ["EC2", "FARGATE"],
            "cpu": cpu,
            "memory": memory,
            "volumes": [],
            "placementConstraints": [],
            "requiresAttributes": [],
            "registeredAt": time.time(),
            "registeredBy": call.caller.arn if call.caller is not None else f"arn:aws:iam::{call.account}:root",
            "tags": tags,
            **{key: request[key] for key in _KEPT if key in request},
        }
        with self.cloud.store.transaction():
            self.families.put(call.scope, family, {"revision": latest})
            self.definitions.put(call.scope, f"{family}:{latest}", definition)
        return {"taskDefinition": _view(definition), "tags": tag_list(tags)}

    @operation("DescribeTaskDefinition", acts="taskDefinition include")
    async def describe_task_definition(self, call: Call, request: Request) -> Response:
        definition = self.definition(call, request["taskDefinition"])
        tags = tag_list(definition["tags"]) if "TAGS" in request.get("include", []) else None
        return {"taskDefinition": _view(definition), "tags": tags}

    @operation("DeregisterTaskDefinition", acts="taskDefinition")
    async def deregister_task_definition(self, call: Call, request: Request) -> Response:
        if names.family_and_revision(request["taskDefinition"])[1] is None:
            raise AwsError("ClientException", "A revision is needed: family:revision")
        definition = self.definition(call, request["taskDefinition"])
        if definition["status"] == "ACTIVE":
            definition |= {"status": "INACTIVE", "deregisteredAt": time.time()}
            self.definitions.put(call.scope, names.last(definition["taskDefinitionArn"]), definition)
        return {"taskDefinition": _view(definition)}

    @operation("DeleteTaskDefinitions", acts="taskDefinitions")
    async def delete_task_definitions(self, call: Call, request: Request) -> Response:
        deleted, failures = [], []
        for given in request["taskDefinitions"]:
            try:
                definition = self.definition(call, given)
            except AwsError as problem:
                failures.append({"arn": given, "reason": "MISSING", "detail": problem.message})
                continue
            arn = definition["taskDefinitionArn"]
            if definition["status"] == "ACTIVE":
                detail = "The specified task definition is still in ACTIVE status. Deregister it first."
                failures.append({"arn": arn, "reason": "The task definition is ACTIVE", "detail": detail})
                continue
            definition |= {"status": "DELETE_IN_PROGRESS", "deleteRequestedAt": time.time()}
            self.definitions.put(call.scope, names.last(arn), definition)
            deleted.append(_view(definition))
        return {"taskDefinitions": deleted, "failures": failures}

    def forget_deleted_definitions(self) -> None:
        """Remove the definitions whose deletion was asked for and that no task or service needs any more."""
        used = {task.definition for task in self.tasks if task.last_status != "STOPPED"}
        used |= {deployment.definition for service in self.services for deployment in service.deployments}
        for scope, key, definition in self.definitions.all():
            if definition["status"] == "DELETE_IN_PROGRESS" and definition["taskDefinitionArn"] not in used:
                self.definitions.delete(scope, key)

    @operation("ListTaskDefinitions", acts="familyPrefix status sort nextToken maxResults")
    async def list_task_definitions(self, call: Call, request: Request) -> Response:
        found = [
            record
            for record in self.definitions.list(call.scope)
            if record["status"] == request.get("status", "ACTIVE")
            and record["family"] == request.get("familyPrefix", record["family"])
        ]
        found.sort(key=lambda record: (record["family"], record["revision"]), reverse=request.get("sort") == "DESC")
        page, token = paginate([record["taskDefinitionArn"] for record in found], request)
        return {"taskDefinitionArns": page, "nextToken": token}

    @operation("ListTaskDefinitionFamilies", acts="familyPrefix status nextToken maxResults")
    async def list_task_definition_families(self, call: Call, request: Request) -> Response:
        status, prefix = request.get("status", "ACTIVE"), request.get("familyPrefix", "")
        families: dict[str, bool] = {}
        for record in self.definitions.list(call.scope):
            if record["family"].startswith(prefix):
                families[record["family"]] = families.get(record["family"], False) or record["status"] == "ACTIVE"
        wanted = sorted(name for name, active in families.items() if status == "ALL" or active == (status == "ACTIVE"))
        page, token = paginate(wanted, request)
        return {"families": page, "nextToken": token}


def _with_defaults(container: dict[str, Any]) -> dict[str, Any]:
    """A container definition as ECS shows it afterwards."""
    mappings = [
        {**mapping, "hostPort": mapping["containerPort"], "protocol": mapping.get("protocol", "tcp")}
        for mapping in container.get("portMappings", [])
    ]
    shown = {
        "cpu": 0,
        "essential": True,
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
        "systemControls": [],
        **container,
        "portMappings": mappings,
    }
    if (health := container.get("healthCheck")) is not None:
        shown["healthCheck"] = {"interval": 30, "timeout": 5, "retries": 3, **health}
    return shown


def _view(definition: Record) -> dict[str, Any]:
    return {key: value for key, value in definition.items() if key != "tags"}
