"""The task metadata endpoint, version 4: what a container may ask about itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from dock.aws.ecs.records import Container, Task
from dock.store import Record, Scope

PATH = "/v4/"


class Metadata:
    """Answers `/v4/<runtime id>` and `/v4/<runtime id>/task`."""

    def __init__(self, tasks: Iterable[Task], definition: Callable[[Scope, str], Record | None]) -> None:
        self._tasks = tasks
        self._definition = definition

    async def answer(self, request: web.Request) -> web.StreamResponse:
        runtime_id, _, rest = request.path.removeprefix(PATH).partition("/")
        for task in self._tasks:
            for container in task.containers:
                if container.runtime_id == runtime_id and task.last_status != "STOPPED":
                    return self._render(task, container, rest.strip("/"))
        return web.json_response({"error": f"no container {runtime_id} runs here"}, status=404)

    def _render(self, task: Task, container: Container, rest: str) -> web.Response:
        definition = self._definition(task.scope, task.definition) or {"containerDefinitions": []}
        definitions = {entry["name"]: entry for entry in definition["containerDefinitions"]}
        match rest:
            case "":
                return web.json_response(_container(task, container, definitions.get(container.name, {})))
            case "task":
                shown = [_container(task, entry, definitions.get(entry.name, {})) for entry in task.containers]
                return web.json_response(_task(task, shown))
        return web.json_response({"error": f"the dock has no {rest!r}; see docs/differences-from-aws.md"}, status=404)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat().replace("+00:00", "Z")


def _present(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None}


def _task(task: Task, containers: list[dict[str, Any]]) -> dict[str, Any]:
    return _present(
        {
            "Cluster": f"arn:aws:ecs:{task.region}:{task.account}:cluster/{task.cluster}",
            "TaskARN": task.arn,
            "Family": task.family,
            "Revision": str(task.revision),
            "ServiceName": task.service,
            "DesiredStatus": task.desired_status,
            "KnownStatus": task.last_status,
            "Limits": {"CPU": int(task.cpu) / 1024, "Memory": int(task.memory)},
            "PullStartedAt": _time(task.pull_started),
            "PullStoppedAt": _time(task.pull_stopped),
            "AvailabilityZone": task.zone,
            "LaunchType": task.launch_type or "FARGATE",
            "Containers": containers,
        }
    )


def _container(task: Task, container: Container, definition: dict[str, Any]) -> dict[str, Any]:
    logging = definition.get("logConfiguration", {})
    health = {"status": container.health} if container.checked else None
    labels = {
        "com.amazonaws.ecs.cluster": f"arn:aws:ecs:{task.region}:{task.account}:cluster/{task.cluster}",
        "com.amazonaws.ecs.container-name": container.name,
        "com.amazonaws.ecs.task-arn": task.arn,
        "com.amazonaws.ecs.task-definition-family": task.family,
        "com.amazonaws.ecs.task-definition-version": str(task.revision),
        **definition.get("dockerLabels", {}),
    }
    return _present(
        {
            "DockerId": container.runtime_id,
            "Name": container.name,
            "DockerName": container.name,
            "Image": container.image,
            "ImageID": container.image_digest,
            "Labels": labels,
            "DesiredStatus": task.desired_status,
            "KnownStatus": container.status,
            "ExitCode": container.exit_code,
            "Limits": _present({"CPU": definition.get("cpu", 0), "Memory": definition.get("memory")}),
            "CreatedAt": _time(container.created),
            "StartedAt": _time(container.started),
            "FinishedAt": _time(container.finished),
            "Type": "NORMAL",
            "Health": health,
            "LogDriver": logging.get("logDriver"),
            "LogOptions": logging.get("options"),
            "ContainerARN": container.arn,
            "Networks": [
                {"NetworkMode": "awsvpc", "IPv4Addresses": [task.address] if task.address else []},
            ],
        }
    )


def uri(base: str, container: Container) -> str:
    """What `ECS_CONTAINER_METADATA_URI_V4` is set to."""
    return f"{base}{PATH}{container.runtime_id}"
