"""Tasks: run, stopped, described."""

from __future__ import annotations

import functools
import secrets
import time
import uuid
from typing import Any

from dock.aws.ecs import names
from dock.aws.ecs.clusters import paginate, tag_dict
from dock.aws.ecs.declared import check_nested
from dock.aws.ecs.placement import NO_CAPACITY, Placement
from dock.aws.ecs.records import Container, Task
from dock.aws.ecs.references import check_network
from dock.aws.ecs.task_definitions import TaskDefinitions
from dock.aws.ecs.views import task_view
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Scope

_MAX_TASKS = 10
_MAX_REASON = 1024


class Tasks(TaskDefinitions):
    """Handlers of tasks."""

    def begin(self, task: Task) -> None:
        """Start the life of a task that was recorded. The service that is put together from this does it."""
        raise NotImplementedError

    def end(self, task: Task, code: str, reason: str) -> None:
        """Ask for the end of a task."""
        raise NotImplementedError

    @functools.cached_property
    def placement(self) -> Placement:
        """Where tasks run."""
        return Placement(self.cloud, self.tasks)

    def new_task(self, scope: Scope, cluster: str, definition: Record, **columns: Any) -> Task:
        """A task that is not recorded yet; `zone` is where it was placed."""
        task_id = secrets.token_hex(16)
        prefix = f"arn:aws:ecs:{scope.region}:{scope.account}:container/{cluster}/{task_id}"
        containers = [
            Container(
                name=entry["name"],
                image=entry["image"],
                essential=entry["essential"],
                runtime_id=f"{task_id}-{secrets.randbelow(9 * 10**9) + 10**9}",
                arn=f"{prefix}/{uuid.uuid4()}",
            )
            for entry in definition["containerDefinitions"]
        ]
        return Task(
            id=task_id,
            account=scope.account,
            region=scope.region,
            cluster=cluster,
            definition=definition["taskDefinitionArn"],
            family=definition["family"],
            revision=definition["revision"],
            cpu=definition["cpu"],
            memory=columns.pop("memory", definition["memory"]),
            created=time.time(),
            containers=containers,
            ephemeral_storage=definition.get("ephemeralStorage", {}).get("sizeInGiB", 20),
            **columns,
        )

    @operation(
        "RunTask",
        acts="cluster taskDefinition count startedBy group overrides tags propagateTags launchType clientToken"
        " enableECSManagedTags enableExecuteCommand networkConfiguration",
        records="capacityProviderStrategy platformVersion referenceId",
    )
    async def run_task(self, call: Call, request: Request) -> Response:
        cluster = self.cluster(call, request)
        definition = self.runnable_definition(call, request["taskDefinition"])
        token = request.get("clientToken")
        if token:
            before = [task for task in self.tasks_of(call.scope, cluster) if task.client_token == token]
            if before:
                if any(task.definition != definition["taskDefinitionArn"] for task in before):
                    raise AwsError("ConflictException", "The client token was used for another request.")
                return {"tasks": [task_view(task, tags=True) for task in before], "failures": []}
        count = request.get("count", 1)
        if not 1 <= count <= _MAX_TASKS:
            raise AwsError("InvalidParameterException", f"count must be between 1 and {_MAX_TASKS}")
        check_launch(request)
        self.placement.learn(call.scope, await check_network(self.cloud, call, request.get("networkConfiguration")))
        overrides = request.get("overrides", {})
        check_nested("overrides", overrides)
        known = {entry["name"] for entry in definition["containerDefinitions"]}
        for override in overrides.get("containerOverrides", []):
            if override.get("name") not in known:
                raise AwsError(
                    "InvalidParameterException",
                    f"Override for container named {override.get('name')} is not a container in the TaskDefinition.",
                )
        tags = tag_dict(request.get("tags", []))
        if request.get("propagateTags") == "TASK_DEFINITION":
            tags = definition["tags"] | tags
        if request.get("enableECSManagedTags"):
            tags["aws:ecs:clusterName"] = cluster
        strategy = request.get("capacityProviderStrategy")
        group, network = request.get("group", f"family:{definition['family']}"), request["networkConfiguration"]
        zone = self.placement.zone(call.scope, network, group)
        if zone is None:
            return {"tasks": [], "failures": [{"reason": NO_CAPACITY}] * count}
        tasks = [
            self.new_task(
                call.scope,
                cluster,
                definition,
                zone=zone,
                group=group,
                network=network,
                overrides=overrides,
                memory=overrides.get("memory", definition["memory"]),
                tags=tags,
                launch_type=None if strategy else "FARGATE",
                capacity_provider=strategy[0]["capacityProvider"] if strategy else None,
                started_by=request.get("startedBy"),
                client_token=token,
            )
            for _ in range(count)
        ]
        with self.cloud.store.transaction():
            for task in tasks:
                self.tasks.save(task)
        for task in tasks:
            self.begin(task)
        return {"tasks": [task_view(task, tags=True) for task in tasks], "failures": []}

    @operation("StopTask", acts="cluster task reason")
    async def stop_task(self, call: Call, request: Request) -> Response:
        cluster = self.cluster(call, request)
        task = self._task(call, cluster, request["task"])
        if task is None:
            raise AwsError("InvalidParameterException", "The referenced task was not found.")
        self.end(task, "UserInitiated", request.get("reason", "Task stopped by user")[:_MAX_REASON])
        return {"task": task_view(task, tags=True)}

    @operation("DescribeTasks", acts="cluster tasks include")
    async def describe_tasks(self, call: Call, request: Request) -> Response:
        cluster = self.cluster(call, request)
        if len(request["tasks"]) > 100:
            raise AwsError("InvalidParameterException", "Tasks cannot have more than 100 elements.")
        tasks, failures = [], []
        for given in request["tasks"]:
            task = self._task(call, cluster, given)
            if task is None:
                arn = names.arn(call, "task", cluster, names.last(given))
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                tasks.append(task_view(task, tags="TAGS" in request.get("include", [])))
        return {"tasks": tasks, "failures": failures}

    @operation(
        "ListTasks",
        acts="cluster containerInstance family nextToken maxResults startedBy serviceName desiredStatus launchType",
    )
    async def list_tasks(self, call: Call, request: Request) -> Response:
        cluster = self.cluster(call, request)
        wanted_service = request.get("serviceName")
        if wanted_service is not None:
            wanted_service = names.last(wanted_service)
            if self.services.get(call.scope, f"{cluster}/{wanted_service}") is None:
                raise AwsError("ServiceNotFoundException", "Service not found.")
        if request.get("containerInstance"):
            raise AwsError("InvalidParameterException", "The dock has no container instances.")
        # PENDING is no desired status of any task, in ECS either.
        desired = request.get("desiredStatus", "RUNNING")
        found = [
            task
            for task in self.tasks_of(call.scope, cluster)
            if task.desired_status == desired
            and task.family == request.get("family", task.family)
            and task.started_by == request.get("startedBy", task.started_by)
            and (wanted_service is None or task.service == wanted_service)
            and (task.launch_type or "FARGATE") == request.get("launchType", task.launch_type or "FARGATE")
        ]
        page, token = paginate([task.arn for task in sorted(found, key=lambda task: task.created)], request)
        return {"taskArns": page, "nextToken": token}

    def _task(self, call: Call, cluster: str, given: str) -> Task | None:
        task = self.tasks.get(call.scope, names.last(given))
        return task if task is not None and task.cluster == cluster else None


def check_launch(request: Request) -> None:
    """Raise AwsError unless what is asked for runs as Fargate does."""
    if request.get("launchType", "FARGATE") != "FARGATE":
        raise AwsError("InvalidParameterException", "The dock has the launch type FARGATE alone.")
    if request.get("launchType") and request.get("capacityProviderStrategy"):
        raise AwsError(
            "InvalidParameterException",
            "Specifying both a launch type and capacity provider strategy is not supported.",
        )
    for entry in request.get("capacityProviderStrategy", []):
        if entry["capacityProvider"] not in ("FARGATE", "FARGATE_SPOT"):
            raise AwsError(
                "InvalidParameterException", f"The dock has no capacity provider {entry['capacityProvider']}."
            )
    if request.get("enableExecuteCommand"):
        raise AwsError(
            "InvalidParameterException",
            "The dock has no ExecuteCommand: a task is a process of this machine, use a shell.",
        )
