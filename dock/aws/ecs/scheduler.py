"""Keeps services as they should be: one loop for each, over records that outlive the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time

from dock.aws.ecs import history, stages
from dock.aws.ecs.blue_green import BlueGreen, source
from dock.aws.ecs.conditions import Condition, Conditions, Examiner
from dock.aws.ecs.crew import Crew
from dock.aws.ecs.deployment_alarms import DeploymentAlarms
from dock.aws.ecs.history import History
from dock.aws.ecs.records import Deployment, Service, Shelf, Task
from dock.aws.ecs.rollback import Rollback

log = logging.getLogger(__name__)

FAILURES = ("TaskFailedToStart", "EssentialContainerExited")
BUSY_SECONDS, STEADY_SECONDS, RETRY_SECONDS = 0.2, 1.0, 5.0
# A deployment that failed is listed for at least so long, for those who ask now and then: ECS takes minutes here.
_FAILED_SECONDS = 3.0


class Scheduler:
    """Sees how each service's tasks do, and has the right ones started and stopped."""

    def __init__(
        self,
        services: Shelf[Service],
        tasks: Shelf[Task],
        past: History,
        examiner: Examiner,
        crew: Crew,
        alarms: DeploymentAlarms,
        blue_green: BlueGreen,
    ) -> None:
        self._services = services
        self._tasks = tasks
        self._history = past
        self._examiner = examiner
        self._crew = crew
        self._alarms = alarms
        self._blue_green = blue_green
        self._rollback = Rollback(services, past, crew, alarms)
        self._wakes: dict[str, asyncio.Event] = {}

    def wake(self, service: Service) -> None:
        """Something has changed: look now."""
        self._wakes.setdefault(service.arn, asyncio.Event()).set()

    async def run(self, service: Service) -> None:
        """Until the service is INACTIVE."""
        wake = self._wakes.setdefault(service.arn, asyncio.Event())
        while service.status != "INACTIVE":
            wake.clear()
            try:
                pause = await self.step(service)
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
        self._crew.reset(service)

    def listen(self, service: Service, deployment: Deployment) -> None:
        """A deployment begins: alarms that ring already say nothing about it."""
        deployment.deaf_to = self._alarms.ringing(service.scope, deployment)
        for name in deployment.deaf_to:
            service.say(f"(deployment {deployment.id}) does not listen to (alarm {name}), which is in ALARM already.")
        for name in self._alarms.missing(service.scope, deployment):
            service.say(f"(deployment {deployment.id}) does not hear (alarm {name}) as long as there is no such alarm.")

    async def step(self, service: Service) -> float:
        """Do what is to be done now; returns in how many seconds to look again."""
        mine = [task for task in self._tasks if task.service_key == service.key and task.scope == service.scope]
        live = [task for task in mine if task.last_status != "STOPPED"]
        if service.status == "DRAINING":
            return self._drain(service, live)
        for task in mine:
            if task.desired_status == "STOPPED" and task.stop_code in FAILURES and not task.counted:
                self._count_failure(service, task)
        conditions = {task.id: self._examiner.condition(service, task) for task in live}
        self._note_health(service, live, conditions)
        if self._rollback.look(service, live, conditions):
            return 0.0
        primary, stage = service.primary, service.primary.stage
        moved = False
        if primary.two_sided and primary.rollout != "COMPLETED":
            await self._blue_green.step(service, live, conditions)
            if service.status == "DRAINING" or service.primary is not primary or primary.stage != stage:
                # What was seen is out of date.
                return 0.0
        elif primary.rollout != "FAILED":
            # One that failed launches no task any more, and what still serves goes on.
            new = [task for task in live if task.deployment == primary.id]
            old = [task for task in live if task.deployment != primary.id]
            moved = self._crew.hold(service, primary, new, old, conditions)
        self._conclude(service, live, conditions)
        busy = moved or not service.steady or any(condition != Condition.HEALTHY for condition in conditions.values())
        return BUSY_SECONDS if busy else STEADY_SECONDS

    def _note_health(self, service: Service, live: list[Task], conditions: Conditions) -> None:
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
                self._crew.stop_unhealthy(service, task)
                self._count_failure(service, task)

    def _count_failure(self, service: Service, task: Task) -> None:
        task.counted = True
        self._tasks.save(task)
        primary = service.primary
        if task.deployment == primary.id and primary.rollout == "IN_PROGRESS":
            primary.failed += 1
            primary.updated = time.time()
            self._history.update(service, primary)
        service.steady = False
        self._crew.failed(service, task)
        self._services.save(service)

    def _conclude(self, service: Service, live: list[Task], conditions: Conditions) -> None:
        """Note what is done: deployments without tasks, the rollout, the steady state."""
        primary = service.primary
        # Both sides are known until blue is gone, also one without tasks: who has the traffic hangs on it.
        sided = primary.two_sided and primary.rollout != "COMPLETED" and primary.stage != stages.CLEAN_UP
        blue = source(service) if sided else None
        kept = []
        for deployment in service.deployments:
            tasks = [task for task in live if task.deployment == deployment.id]
            if deployment is primary:
                deployment.desired = service.desired
            else:
                deployment.desired = sum(task.desired_status == "RUNNING" for task in tasks)
            fresh = deployment.rollout == "FAILED" and time.time() - deployment.updated < _FAILED_SECONDS
            needed = deployment is blue or (sided and deployment.production + deployment.test > 0)
            if deployment is primary or tasks or fresh or needed:
                kept.append(deployment)
        changed = len(kept) != len(service.deployments)
        service.deployments = kept
        healthy = [
            task for task in live if conditions[task.id] is Condition.HEALTHY and task.desired_status == "RUNNING"
        ]
        through = len(healthy) == len(live) == service.desired and len(kept) == 1 and not sided
        done = through and primary.rollout != "FAILED" and self._baked(service, primary)
        if done and primary.rollout == "IN_PROGRESS":
            self._complete(service, primary)
            changed = True
        if done != service.steady:
            service.steady = done
            changed = True
            if done:
                service.say("has reached a steady state.")
        if changed:
            self._services.save(service)

    def _baked(self, service: Service, primary: Deployment) -> bool:
        """Whether alarms have had their time with a rolling deployment; one with two sides has its own stage for it."""
        if primary.rollout != "IN_PROGRESS" or primary.two_sided or primary.rollback_of is not None:
            return True
        if primary.hold_until is None:
            primary.hold_until = time.time() + self._alarms.bake_seconds(service.scope, primary)
            self._services.save(service)
        return time.time() >= primary.hold_until

    def _complete(self, service: Service, primary: Deployment) -> None:
        primary.rollout, primary.updated = "COMPLETED", time.time()
        primary.reason = f"ECS deployment {primary.id} completed."
        service.say(f"(deployment {primary.id}) deployment completed.")
        status = "ROLLBACK_SUCCESSFUL" if primary.rollback_of is not None else "SUCCESSFUL"
        self._history.finish(service, primary, status)
        primary.rollback_of = None
        service.completed = {name: getattr(primary, name) for name in Deployment.__dataclass_fields__}

    def _drain(self, service: Service, live: list[Task]) -> float:
        """A service that is being deleted: when its last task has ended, it is INACTIVE."""
        self._crew.stop_all(live)
        if not live:
            service.status, service.inactive_since = "INACTIVE", time.time()
            service.deployments = []
            service.say("has been deleted.")
            self._services.save(service)
        return STEADY_SECONDS
