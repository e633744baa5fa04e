"""What Fargate allows: sizes, and what a task definition must and must not have. Pure."""

from __future__ import annotations

import re
from typing import Any

from dock.aws.service import AwsError
from dock.engines.containers import ULIMITS

# CPU units → MiB.
SIZES: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}
MAX_STOP_TIMEOUT = 120
LOG_OPTIONS = frozenset({"awslogs-group", "awslogs-region", "awslogs-stream-prefix", "awslogs-create-group"})
# Taken by the driver; shipping here never blocks the container.
RECORDED_LOG_OPTIONS = frozenset({"mode", "max-buffer-size"})
_CONTAINER_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


def units(text: str, per_whole: int, names: str) -> int:
    """`"256"`, `".25 vCPU"` or `"0.5 GB"` in CPU units or MiB."""
    match = re.fullmatch(rf"([0-9]*\.?[0-9]+)\s*({names})?", text.strip(), re.IGNORECASE)
    if match is None or (match[2] is None and not match[1].isdigit()):
        raise AwsError("ClientException", f"Invalid 'cpu' or 'memory' setting: {text!r}")
    return int(float(match[1]) * per_whole) if match[2] else int(match[1])


def size(request: dict[str, Any]) -> tuple[str, str]:
    """CPU units and MiB of a task definition, normalised. Raises AwsError for a combination that Fargate hasn't got."""
    for name in ("cpu", "memory"):
        if name not in request:
            raise AwsError("ClientException", f"Fargate requires that '{name}' be defined at the task level.")
    cpu, memory = units(request["cpu"], 1024, "vcpu"), units(request["memory"], 1024, "gb")
    if memory not in SIZES.get(cpu, ()):
        raise AwsError("ClientException", "No Fargate configuration exists for given values.")
    return str(cpu), str(memory)


def check(request: dict[str, Any]) -> None:
    """Raise AwsError ClientException for the first thing that a Fargate task can't be."""
    if request.get("networkMode", "awsvpc") != "awsvpc":
        raise AwsError("ClientException", "Fargate only supports network mode awsvpc.")
    if set(request.get("requiresCompatibilities", ["FARGATE"])) != {"FARGATE"}:
        raise AwsError("ClientException", "The dock runs tasks as Fargate does: requiresCompatibilities is [FARGATE].")
    platform = request.get("runtimePlatform", {})
    if platform.get("operatingSystemFamily", "LINUX") != "LINUX":
        raise AwsError("ClientException", "The dock runs tasks on Linux.")
    containers = request["containerDefinitions"]
    if not containers:
        raise AwsError("ClientException", "Container list cannot be empty.")
    names = [container.get("name") for container in containers]
    for name in names:
        if not name or not _CONTAINER_NAME.fullmatch(name):
            raise AwsError("ClientException", f"Container.name {name!r} is not 1 to 255 letters, digits, _ and -.")
    if len(set(names)) != len(names):
        raise AwsError("ClientException", f"Container names must be unique: {', '.join(sorted(names))}")
    if not any(container.get("essential", True) for container in containers):
        raise AwsError("ClientException", "A task definition must have at least one essential container.")
    memory = int(size(request)[1])
    used = sum(container.get("memory") or container.get("memoryReservation") or 0 for container in containers)
    if used > memory:
        raise AwsError("ClientException", "Total memory of the containers must not exceed the task's memory.")
    for container in containers:
        _check_container(container, set(names))
        if not request.get("executionRoleArn") and (container.get("secrets") or container.get("logConfiguration")):
            raise AwsError(
                "ClientException",
                "Fargate requires task definition to have execution role ARN to support log driver awslogs and"
                " secrets.",
            )
    start_order(containers)


def _check_container(container: dict[str, Any], names: set[str]) -> None:
    name = container["name"]
    if not container.get("image"):
        raise AwsError("ClientException", f"Container.image of {name} should not be null or empty.")
    for mapping in container.get("portMappings", []):
        if mapping.get("hostPort") not in (None, 0, mapping.get("containerPort")):
            raise AwsError(
                "ClientException",
                "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
            )
    if not 0 <= container.get("stopTimeout", 0) <= MAX_STOP_TIMEOUT:
        raise AwsError("ClientException", f"stopTimeout of {name} must be between 0 and {MAX_STOP_TIMEOUT} seconds.")
    for limit in container.get("ulimits", []):
        if limit["name"] not in ULIMITS:
            raise AwsError("ClientException", f"The dock does not set the ulimit {limit['name']} of {name}.")
    for dependency in container.get("dependsOn", []):
        if dependency["containerName"] not in names - {name}:
            raise AwsError("ClientException", f"{name} depends on {dependency['containerName']}, which is not there.")
    variables = [entry.get("name") for entry in container.get("environment", []) + container.get("secrets", [])]
    repeated = sorted({str(variable) for variable in variables if variables.count(variable) > 1})
    if repeated:
        raise AwsError(
            "ClientException",
            f"The secret name must be unique and not shared with any new or existing environment variables: {repeated}",
        )
    _check_log_configuration(name, container.get("logConfiguration"))
    if (health := container.get("healthCheck")) is not None:
        _check_health(name, health)


def _check_log_configuration(name: str, configuration: dict[str, Any] | None) -> None:
    if configuration is None:
        return
    if configuration["logDriver"] != "awslogs":
        raise AwsError("ClientException", f"The dock has the log driver awslogs alone; {name} asks for another.")
    options = configuration.get("options", {})
    unknown = sorted(set(options) - LOG_OPTIONS - RECORDED_LOG_OPTIONS)
    if unknown:
        raise AwsError("ClientException", f"The dock does not act on the log option {unknown[0]} of {name}.")
    missing = sorted(LOG_OPTIONS - {"awslogs-create-group"} - set(options))
    if missing:
        raise AwsError("ClientException", f"Log driver awslogs requires options: {', '.join(missing)}")


def _check_health(name: str, health: dict[str, Any]) -> None:
    command = health["command"]
    if not command or command[0] not in ("CMD", "CMD-SHELL", "NONE") or (len(command) < 2 and command[0] != "NONE"):
        raise AwsError("ClientException", f"healthCheck.command of {name} must start with CMD or CMD-SHELL.")
    for key, low, high in (("interval", 5, 300), ("timeout", 2, 120), ("retries", 1, 10), ("startPeriod", 0, 300)):
        if key in health and not low <= health[key] <= high:
            raise AwsError("ClientException", f"healthCheck.{key} of {name} must be between {low} and {high}.")


def start_order(containers: list[dict[str, Any]]) -> list[str]:
    """Names in an order in which every container comes after those that it depends on. Raises AwsError for a cycle."""
    left = {
        container["name"]: {entry["containerName"] for entry in container.get("dependsOn", [])}
        for container in containers
    }
    order: list[str] = []
    while left:
        ready = [name for name, needs in left.items() if needs <= set(order)]
        if not ready:
            raise AwsError("ClientException", f"dependsOn of {', '.join(sorted(left))} is a circle.")
        order += ready
        for name in ready:
            del left[name]
    return order
