"""How tasks do, as their service sees it: by their container's health check and the load balancer's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from enum import Enum

from dock.aws.ecs import rolling
from dock.aws.ecs.records import Service, Task
from dock.aws.ecs.rolling import Counts
from dock.aws.ecs.runtime import LoadBalancers
from dock.aws.service import AwsError


class Condition(Enum):
    """A task, as its service sees it."""

    HEALTHY = "healthy"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"
    ENDING = "ending"


Conditions = dict[str, Condition]


class Examiner:
    """Looks at tasks."""

    def __init__(self, balancers: Callable[[], LoadBalancers]) -> None:
        self._balancers = balancers

    def condition(self, service: Service, task: Task) -> Condition:
        if task.desired_status == "STOPPED":
            return Condition.ENDING
        if task.last_status != "RUNNING" or task.started is None:
            return Condition.STARTING
        age = time.time() - task.started
        verdicts = [health for _, health in self._checks(task)]
        if "unhealthy" in verdicts:
            return Condition.STARTING if age < service.grace else Condition.UNHEALTHY
        if "initial" in verdicts:
            return Condition.STARTING
        if not verdicts and age < rolling.SETTLE_SECONDS:
            return Condition.STARTING
        return Condition.HEALTHY

    def failed_check(self, task: Task) -> str:
        """Why an unhealthy task is stopped."""
        for arn, health in self._checks(task):
            if health == "unhealthy":
                return (
                    f"Task failed ELB health checks in (target-group {arn})"
                    if arn
                    else "Task failed container health checks"
                )
        return "Task failed health checks"

    def complaints(self, task: Task) -> list[str]:
        """What the service's events say about an unhealthy task."""
        said = []
        for arn, health in self._checks(task):
            if health == "unhealthy" and arn is not None:
                port = next(target["port"] for target in task.targets if target["arn"] == arn)
                said.append(f"(port {port}) is unhealthy in (target-group {arn}) due to (reason Health checks failed).")
            elif health == "unhealthy":
                said.append(f"(task {task.id}) failed container health checks.")
        return said

    def _checks(self, task: Task) -> list[tuple[str | None, str]]:
        """Every health check of a task: the target group's ARN (None: the container's own) and its verdict."""
        found: list[tuple[str | None, str]] = []
        if any(container.checked and container.essential for container in task.containers):
            found.append((None, {"UNKNOWN": "initial"}.get(task.health, task.health.lower())))
        for target in task.targets:
            try:
                states = self._balancers().health(target["arn"])
            except AwsError:
                # The group was deleted: nobody checks any more.
                continue
            health = states.get((task.address or "", target["port"]), "initial")
            # A group that no listener uses checks nobody.
            found.append((target["arn"], {"unused": "healthy", "draining": "initial"}.get(health, health)))
        return found


def counts(tasks: Iterable[Task], conditions: Mapping[str, Condition]) -> Counts:
    """Tasks by their condition; those that end are no longer counted."""
    found = [conditions[task.id] for task in tasks]
    return Counts(found.count(Condition.HEALTHY), found.count(Condition.STARTING), found.count(Condition.UNHEALTHY))


def listed(tasks: Iterable[Task]) -> str:
    """Tasks as events name them."""
    return " ".join(f"(task {task.id})" for task in tasks)
