"""Keeps services as they should be: one loop for each, over records that outlive the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from enum import Enum

from dock.aws.ecs import history, rolling
from dock.aws.ecs.history import History
from dock.aws.ecs.records import Deployment, Service, Shelf, Task
from dock.aws.ecs.rolling import Bounds, Counts
from dock.aws.ecs.runtime import LoadBalancers
from dock.aws.service import AwsError

log = logging.getLogger(__name__)

FAILURES = ("TaskFailedToStart", "EssentialContainerExited")
BUSY_SECONDS, STEADY_SECONDS, RETRY_SECONDS = 0.2, 1.0, 5.0
# A deployment that failed is listed for at least so long, for those who ask now and then: ECS takes minutes here.
_FAILED_SECONDS = 3.0
# A task that was healthy and ran for so long is no sign of a crash loop when it ends.
_LIVED_SECONDS = 15.0


class Condition(Enum):
    """A task, as its service sees it."""

    HEALTHY = "healthy"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"
    ENDING = "ending"


class Scheduler:
    """`launch` starts a task of a deployment, `stop` ends one with a code and a reason."""

    def __init__(
        self,
        services: Shelf[Service],
        tasks: Shelf[Task],
        past: History,
        balancers: Callable[[], LoadBalancers],
        launch: Callable[[Service, Deployment], Task],
        stop: Callable[[Task, str, str], None],
    ) -> None:
        self._services = services
        self._tasks = tasks
        self._history = past
        self._balancers = balancers
        self._launch = launch
        self._stop = stop
        self._wakes: dict[str, asyncio.Event] = {}
        # Tasks in a row that ended soon after they were started, by service; and when the next may be started.
        self._streaks: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._stuck: set[str] = set()

    def wake(self, service: Service) -> None:
        """Something has changed: look now."""
        self._wakes.setdefault(service.arn, asyncio.Event()).set()

    async def run(self, service: Service) -> None:
        """Until the service is INACTIVE."""
        wake = self._wakes.setdefault(service.arn, asyncio.Event())
        while service.status != "INACTIVE":
            wake.clear()
            try:
                pause = self.step(service)
            except sqlite3.Error as problem:
                log.error("service %s: records could not be stored: %s", service.name, problem)
                pause = RETRY_SECONDS
            except Exception:
                log.exception("service %s", service.name)
                pause = RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await wake.wait()

    def reset(self, service: Service) -> None:
        """A new deployment starts with a clean slate."""
        for memory in (self._streaks, self._not_before):
            memory.pop(service.arn, None)
        self._stuck.discard(service.arn)

    def step(self, service: Service) -> float:
        """Do what is to be done now; returns in how many seconds to look again."""
        mine = [task for task in self._tasks if task.service_key == service.key and task.scope == service.scope]
        live = [task for task in mine if task.last_status != "STOPPED"]
        if service.status == "DRAINING":
            return self._drain(service, live)
        for task in mine:
            if task.desired_status == "STOPPED" and task.stop_code in FAILURES and not task.counted:
                self._count_failure(service, task)
        conditions = {task.id: self._condition(service, task) for task in live}
        self._note_health(service, live, conditions)
        primary = service.primary
        if primary.rollout == "IN_PROGRESS" and history.breaker(service).get("enable"):
            threshold = rolling.failure_threshold(history.breaker(service), service.desired)
            if primary.failed >= threshold and service.desired > 0:
                self._give_up(service, primary)
                return 0.0
        moved = self._move(service, live, conditions)
        self._conclude(service, live, conditions)
        busy = moved or not service.steady or any(condition != Condition.HEALTHY for condition in conditions.values())
        return BUSY_SECONDS if busy else STEADY_SECONDS

    # seeing

    def _condition(self, service: Service, task: Task) -> Condition:
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

    def _failed_check(self, task: Task) -> str:
        for arn, health in self._checks(task):
            if health == "unhealthy":
                return (
                    f"Task failed ELB health checks in (target-group {arn})"
                    if arn
                    else "Task failed container health checks"
                )
        return "Task failed health checks"

    def _note_health(self, service: Service, live: list[Task], conditions: dict[str, Condition]) -> None:
        for task in live:
            condition = conditions[task.id]
            if condition is Condition.HEALTHY and not task.was_healthy:
                task.was_healthy = True
                self._tasks.save(task)
                if task.deployment == service.primary.id and history.breaker(service).get("resetOnHealthyTask", True):
                    service.primary.failed = 0
            if condition is Condition.UNHEALTHY and not task.was_healthy:
                # It never served anybody: no need to find a replacement first.
                conditions[task.id] = Condition.ENDING
                self._stop_unhealthy(service, task)
                self._count_failure(service, task)

    def _stop_unhealthy(self, service: Service, task: Task) -> None:
        reason = self._failed_check(task)
        for arn, health in self._checks(task):
            if health == "unhealthy" and arn is not None:
                port = next(target["port"] for target in task.targets if target["arn"] == arn)
                service.say(f"(port {port}) is unhealthy in (target-group {arn}) due to (reason Health checks failed).")
            elif health == "unhealthy":
                service.say(f"(task {task.id}) failed container health checks.")
        self._stop(task, "ServiceSchedulerInitiated", reason)
        service.say(f"has stopped 1 running tasks: (task {task.id}).")

    def _count_failure(self, service: Service, task: Task) -> None:
        task.counted = True
        self._tasks.save(task)
        now = time.time()
        lived = now - task.started if task.started is not None else 0.0
        primary = service.primary
        if task.deployment == primary.id and primary.rollout == "IN_PROGRESS":
            primary.failed += 1
            primary.updated = now
            self._history.update(service, primary)
        service.steady = False
        if task.was_healthy and lived >= _LIVED_SECONDS:
            self._streaks.pop(service.arn, None)
        elif task.deployment == primary.id:
            streak = self._streaks[service.arn] = self._streaks.get(service.arn, 0) + 1
            self._not_before[service.arn] = now + rolling.pause_after(streak)
            if streak == 3 and not history.breaker(service).get("enable"):
                service.say(
                    "is unable to consistently start tasks successfully. For more information, see the Troubleshooting"
                    " section of the Amazon ECS Developer Guide."
                )
        self._services.save(service)

    # acting

    def _move(self, service: Service, live: list[Task], conditions: dict[str, Condition]) -> bool:
        primary = service.primary
        new = [task for task in live if task.deployment == primary.id]
        old = [task for task in live if task.deployment != primary.id]
        configuration = service.configuration
        bounds = Bounds(service.desired, configuration["minimumHealthyPercent"], configuration["maximumPercent"])
        moves = rolling.moves(bounds, _counts(new, conditions), _counts(old, conditions))
        if primary.rollout == "FAILED":
            # It launches no task any more, and what still serves goes on.
            return False
        scaling = f"Scaling activity initiated by (deployment {primary.id})"

        def pick(tasks: list[Task], *wanted: Condition) -> list[Task]:
            chosen = [task for task in tasks if conditions[task.id] in wanted]
            return sorted(chosen, key=lambda task: -task.created)

        for task in pick(new, Condition.UNHEALTHY)[: moves.stop_unhealthy_new]:
            self._stop_unhealthy(service, task)
        going = [
            *pick(new, Condition.STARTING)[: moves.stop_starting_new],
            *pick(new, Condition.HEALTHY)[: moves.stop_healthy_new],
            *pick(old, Condition.STARTING, Condition.UNHEALTHY)[: moves.stop_idle_old],
            *pick(old, Condition.HEALTHY)[: moves.stop_healthy_old],
        ]
        for task in going:
            self._stop(task, "ServiceSchedulerInitiated", scaling)
        if going:
            service.say(f"has stopped {len(going)} running tasks: {_listed(going)}.")
        started = []
        if time.time() >= self._not_before.get(service.arn, 0.0):
            started = [self._launch(service, primary) for _ in range(moves.start)]
            if started:
                service.say(f"has started {len(started)} tasks: {_listed(started)}.")
        self._note_stuck(service, bounds, moves, new, old)
        if going or started or moves.stop_unhealthy_new:
            service.steady = False
            self._services.save(service)
            return True
        return False

    def _note_stuck(
        self, service: Service, bounds: Bounds, moves: rolling.Moves, new: list[Task], old: list[Task]
    ) -> None:
        waiting = [task for task in (*new, *old) if task.desired_status == "STOPPED" or task.last_status != "RUNNING"]
        stuck = moves == rolling.Moves() and not waiting and bool(old) and len(new) < bounds.desired
        if stuck and service.arn not in self._stuck:
            service.say(
                "was unable to stop or start tasks during a deployment because of the service deployment configuration."
                " Update the minimumHealthyPercent or maximumPercent value and try again."
            )
            self._services.save(service)
            self._stuck.add(service.arn)

    def _give_up(self, service: Service, failed: Deployment) -> None:
        """The circuit breaker: the deployment has failed; back to the last that completed, if the service wants it."""
        failed.rollout = "FAILED"
        failed.reason = "ECS deployment circuit breaker: tasks failed to start."
        failed.updated = time.time()
        service.say(f"(deployment {failed.id}) deployment failed: tasks failed to start.")
        self._history.update(service, failed, breaker="TRIGGERED")
        back = service.completed
        circuit = history.breaker(service)
        if not circuit.get("rollback") or back is None or failed.rollback_of is not None or back["id"] == failed.id:
            status = "ROLLBACK_FAILED" if failed.rollback_of is not None else "STOPPED"
            self._history.finish(service, failed, status, failed.reason)
            self._services.save(service)
            return
        failed.status, failed.desired = "ACTIVE", 0
        target = next((entry for entry in service.deployments if entry.id == back["id"]), None)
        if target is None:
            target = Deployment(**back)
            service.deployments.append(target)
        target.status, target.rollout, target.failed = "PRIMARY", "IN_PROGRESS", 0
        target.reason = f"ECS deployment circuit breaker: rolling back to deploymentId {target.id}."
        target.updated, target.desired, target.rollback_of = time.time(), service.desired, failed.id
        # The rollback is the rest of the service deployment that failed.
        target.service_deployment = failed.service_deployment
        service.deployments.sort(key=lambda entry: (entry.status != "PRIMARY", -entry.created))
        service.definition, service.network = target.definition, target.network
        service.load_balancers = target.load_balancers
        service.say(f"rolling back to deployment {target.id}.")
        rollback = {"reason": failed.reason, "startedAt": time.time(), "serviceRevisionArn": target.revision}
        self._history.update(service, failed, status="ROLLBACK_IN_PROGRESS", reason=failed.reason, rollback=rollback)
        self.reset(service)
        self._services.save(service)

    def _conclude(self, service: Service, live: list[Task], conditions: dict[str, Condition]) -> None:
        """Note what is done: deployments without tasks, the rollout, the steady state."""
        primary = service.primary
        kept = []
        for deployment in service.deployments:
            tasks = [task for task in live if task.deployment == deployment.id]
            if deployment is primary:
                deployment.desired = service.desired
            else:
                deployment.desired = sum(task.desired_status == "RUNNING" for task in tasks)
            fresh = deployment.rollout == "FAILED" and time.time() - deployment.updated < _FAILED_SECONDS
            if deployment is primary or tasks or fresh:
                kept.append(deployment)
        changed = len(kept) != len(service.deployments)
        service.deployments = kept
        healthy = [
            task for task in live if conditions[task.id] is Condition.HEALTHY and task.desired_status == "RUNNING"
        ]
        done = len(healthy) == len(live) == service.desired and len(kept) == 1 and primary.rollout != "FAILED"
        if done and primary.rollout == "IN_PROGRESS":
            primary.rollout, primary.updated = "COMPLETED", time.time()
            primary.reason = f"ECS deployment {primary.id} completed."
            service.say(f"(deployment {primary.id}) deployment completed.")
            self._history.finish(
                service, primary, "ROLLBACK_SUCCESSFUL" if primary.rollback_of is not None else "SUCCESSFUL"
            )
            primary.rollback_of = None
            service.completed = {name: getattr(primary, name) for name in Deployment.__dataclass_fields__}
            changed = True
        if done != service.steady:
            service.steady = done
            changed = True
            if done:
                service.say("has reached a steady state.")
        if changed:
            self._services.save(service)

    def _drain(self, service: Service, live: list[Task]) -> float:
        """A service that is being deleted: when its last task has ended, it is INACTIVE."""
        for task in live:
            if task.desired_status != "STOPPED":
                self._stop(task, "ServiceSchedulerInitiated", "Service is being deleted")
        if not live:
            service.status, service.inactive_since = "INACTIVE", time.time()
            service.deployments = []
            service.say("has been deleted.")
            self._services.save(service)
        return STEADY_SECONDS


def _counts(tasks: list[Task], conditions: dict[str, Condition]) -> Counts:
    found = [conditions[task.id] for task in tasks]
    return Counts(found.count(Condition.HEALTHY), found.count(Condition.STARTING), found.count(Condition.UNHEALTHY))


def _listed(tasks: list[Task]) -> str:
    return " ".join(f"(task {task.id})" for task in tasks)
