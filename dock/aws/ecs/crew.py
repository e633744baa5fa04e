"""Starts and stops a service's tasks, as many as its deployments are to have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from dock.aws.ecs import history, rolling
from dock.aws.ecs.conditions import Condition, Conditions, Examiner, counts, listed
from dock.aws.ecs.placement import NO_CAPACITY
from dock.aws.ecs.records import Deployment, Service, Shelf, Task
from dock.aws.ecs.rolling import Bounds

# How soon a place for a task is looked for again.
_PLACE_SECONDS = 1.0
# A task that was healthy and ran for so long is no sign of a crash loop when it ends.
_LIVED_SECONDS = 15.0


class Crew:
    """`launch` starts a task of a deployment in a zone, `stop` ends one with a code and a reason, `zone` says where the
    next one goes (None: nowhere for now)."""

    def __init__(
        self,
        services: Shelf[Service],
        examiner: Examiner,
        launch: Callable[[Service, Deployment, str], Task],
        stop: Callable[[Task, str, str], None],
        zone: Callable[[Service, Deployment], str | None],
    ) -> None:
        self._services = services
        self._examiner = examiner
        self._launch = launch
        self._stop = stop
        self._zone = zone
        # Tasks in a row that ended soon after they were started, by deployment; and when the next may be started.
        self._streaks: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._stuck: set[str] = set()
        self._unplaced: set[str] = set()

    def reset(self, service: Service) -> None:
        """A new deployment, or one that is returned to, starts with a clean slate."""
        for deployment in service.deployments:
            self._streaks.pop(deployment.id, None)
            self._not_before.pop(deployment.id, None)
        self._stuck.discard(service.arn)

    def hold(
        self,
        service: Service,
        deployment: Deployment,
        new: list[Task],
        old: list[Task],
        conditions: Conditions,
    ) -> bool:
        """Bring a deployment to the desired count, by its live tasks `new`; those in `old` give way. True when anything
        was done."""
        configuration = service.configuration
        bounds = Bounds(service.desired, configuration["minimumHealthyPercent"], configuration["maximumPercent"])
        moves = rolling.moves(bounds, counts(new, conditions), counts(old, conditions))

        def pick(tasks: list[Task], *wanted: Condition) -> list[Task]:
            chosen = [task for task in tasks if conditions[task.id] in wanted]
            return sorted(chosen, key=lambda task: -task.created)

        for task in pick(new, Condition.UNHEALTHY)[: moves.stop_unhealthy_new]:
            self.stop_unhealthy(service, task)
        going = [
            *pick(new, Condition.STARTING)[: moves.stop_starting_new],
            *pick(new, Condition.HEALTHY)[: moves.stop_healthy_new],
            *pick(old, Condition.STARTING, Condition.UNHEALTHY)[: moves.stop_idle_old],
            *pick(old, Condition.HEALTHY)[: moves.stop_healthy_old],
        ]
        self.dismiss(service, deployment, going)
        started = []
        if time.time() >= self._not_before.get(deployment.id, 0.0):
            started = self._start(service, deployment, moves.start)
        self._note_stuck(service, bounds, moves, new, old)
        if going or started or moves.stop_unhealthy_new:
            service.steady = False
            self._services.save(service)
            return True
        return False

    def dismiss(self, service: Service, deployment: Deployment, tasks: Iterable[Task]) -> bool:
        """End tasks in a deployment's favour. True when any was still to run."""
        going = [task for task in tasks if task.desired_status != "STOPPED"]
        for task in going:
            self._stop(task, "ServiceSchedulerInitiated", f"Scaling activity initiated by (deployment {deployment.id})")
        if going:
            service.say(f"has stopped {len(going)} running tasks: {listed(going)}.")
            service.steady = False
            self._services.save(service)
        return bool(going)

    def stop_unhealthy(self, service: Service, task: Task) -> None:
        reason = self._examiner.failed_check(task)
        for complaint in self._examiner.complaints(task):
            service.say(complaint)
        self._stop(task, "ServiceSchedulerInitiated", reason)
        service.say(f"has stopped 1 running tasks: (task {task.id}).")

    def stop_all(self, tasks: Iterable[Task]) -> None:
        """The service is being deleted."""
        for task in tasks:
            if task.desired_status != "STOPPED":
                self._stop(task, "ServiceSchedulerInitiated", "Service is being deleted")

    def failed(self, service: Service, task: Task) -> None:
        """Hold back with more tasks of a deployment whose tasks keep failing."""
        now = time.time()
        lived = now - task.started if task.started is not None else 0.0
        deployment = task.deployment or ""
        if task.was_healthy and lived >= _LIVED_SECONDS:
            self._streaks.pop(deployment, None)
            return
        streak = self._streaks[deployment] = self._streaks.get(deployment, 0) + 1
        self._not_before[deployment] = now + rolling.pause_after(streak)
        if streak == 3 and not history.breaker(service).get("enable"):
            service.say(
                "is unable to consistently start tasks successfully. For more information, see the Troubleshooting"
                " section of the Amazon ECS Developer Guide."
            )

    def _start(self, service: Service, deployment: Deployment, count: int) -> list[Task]:
        """As many tasks as there is a place for."""
        if count == 0:
            return []
        started: list[Task] = []
        while len(started) < count:
            zone = self._zone(service, deployment)
            if zone is None:
                break
            started.append(self._launch(service, deployment, zone))
        if started:
            service.say(f"has started {len(started)} tasks: {listed(started)}.")
        if len(started) < count:
            self._not_before[deployment.id] = time.time() + _PLACE_SECONDS
        if len(started) < count and service.arn not in self._unplaced:
            service.say(f"was unable to place a task. Reason: {NO_CAPACITY}")
            self._services.save(service)
            self._unplaced.add(service.arn)
        elif len(started) == count:
            self._unplaced.discard(service.arn)
        return started

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
