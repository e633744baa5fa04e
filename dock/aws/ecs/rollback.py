"""When a deployment is given up, and how its service goes back to what it ran before."""

from __future__ import annotations

import time
from typing import NamedTuple

from dock.aws.ecs import history, rolling, stages
from dock.aws.ecs.conditions import Condition, Conditions
from dock.aws.ecs.crew import Crew
from dock.aws.ecs.deployment_alarms import DeploymentAlarms
from dock.aws.ecs.history import History
from dock.aws.ecs.records import Deployment, Service, Shelf, Task


class Verdict(NamedTuple):
    """Why a deployment ends, and whether the service goes back."""

    reason: str
    said: str
    rollback: bool
    breaker: bool = False
    alarms: tuple[str, ...] = ()


class Rollback:
    """Watches the deployments that are under way."""

    def __init__(self, services: Shelf[Service], past: History, crew: Crew, alarms: DeploymentAlarms) -> None:
        self._services = services
        self._history = past
        self._crew = crew
        self._alarms = alarms

    def look(self, service: Service, live: list[Task], conditions: Conditions) -> bool:
        """Give the deployment up when there is a reason to. True when that was done."""
        primary = service.primary
        verdict = self._verdict(service, primary) if primary.rollout == "IN_PROGRESS" else None
        if verdict is None:
            return False
        self._give_up(service, primary, verdict, live, conditions)
        return True

    def _verdict(self, service: Service, primary: Deployment) -> Verdict | None:
        if primary.stop == "ABORT":
            return Verdict("The service deployment was stopped by a user.", "was stopped by a user.", rollback=False)
        if primary.stop == "ROLLBACK" and primary.rollback_of is None:
            why = "Service deployment rolled back because of a user request."
            return Verdict(why, "was stopped by a user.", rollback=True)
        breaker = history.breaker(service)
        armed = breaker.get("enable") and service.desired > 0
        if armed and primary.failed >= rolling.failure_threshold(breaker, service.desired):
            return Verdict(
                "ECS deployment circuit breaker: tasks failed to start.",
                "deployment failed: tasks failed to start.",
                rollback=bool(breaker.get("rollback")),
                breaker=True,
            )
        watched = primary.rollback_of is None and primary.stage != stages.CLEAN_UP
        if watched and (ringing := self._alarms.ringing(service.scope, primary)):
            return Verdict(
                f"ECS deployment alarms: {', '.join(ringing)} went into ALARM.",
                f"deployment failed: alarm detected: {', '.join(ringing)}.",
                rollback=bool(primary.configuration["alarms"].get("rollback")),
                alarms=tuple(ringing),
            )
        if primary.broken:
            return Verdict(f"ECS deployment failed: {primary.broken}", f"deployment failed: {primary.broken}", True)
        if primary.stage == stages.SCALE_UP and time.time() - primary.stage_since > stages.STAGE_SECONDS:
            why = f"The stage {primary.stage} was not through after {stages.STAGE_SECONDS / 3600:.0f} hours."
            return Verdict(why, f"deployment failed: {why}", rollback=True)
        return None

    def _give_up(
        self, service: Service, failed: Deployment, verdict: Verdict, live: list[Task], conditions: Conditions
    ) -> None:
        failed.rollout, failed.reason, failed.updated = "FAILED", verdict.reason, time.time()
        service.say(f"(deployment {failed.id}) {verdict.said}")
        if verdict.breaker:
            self._history.update(service, failed, breaker="TRIGGERED")
        if verdict.alarms:
            self._history.update(service, failed, alarms="TRIGGERED", triggered=list(verdict.alarms))
        back = service.completed
        if not verdict.rollback or back is None or failed.rollback_of is not None or back["id"] == failed.id:
            status = "ROLLBACK_FAILED" if failed.rollback_of is not None else "STOPPED"
            self._history.finish(service, failed, status, failed.reason)
            self._services.save(service)
            return
        target = self._target(service, failed, live, conditions)
        service.say(f"rolling back to deployment {target.id}.")
        rollback = {"reason": failed.reason, "startedAt": time.time(), "serviceRevisionArn": target.revision}
        self._history.update(service, failed, status="ROLLBACK_IN_PROGRESS", reason=failed.reason, rollback=rollback)
        self._crew.reset(service)
        self._services.save(service)

    def _target(self, service: Service, failed: Deployment, live: list[Task], conditions: Conditions) -> Deployment:
        """The last deployment that completed, PRIMARY again."""
        back = service.completed
        assert back is not None
        failed.status, failed.desired = "ACTIVE", 0
        target = next((entry for entry in service.deployments if entry.id == back["id"]), None)
        if target is None:
            # Made anew: nothing of it runs, so it has no traffic.
            target = Deployment(**{**back, "production": 0.0, "test": 0.0})
            service.deployments.append(target)
        now = time.time()
        why = "ECS deployment circuit breaker" if "circuit breaker" in failed.reason else "ECS deployment"
        target.status, target.rollout, target.failed = "PRIMARY", "IN_PROGRESS", 0
        target.reason = f"{why}: rolling back to deploymentId {target.id}."
        target.updated, target.desired, target.rollback_of = now, service.desired, failed.id
        # The rollback is the rest of the service deployment that failed, and goes the way that it went.
        target.service_deployment, target.configuration = failed.service_deployment, failed.configuration
        target.hooks, target.hold_until, target.stop, target.broken = [], None, None, None
        target.stage, target.stage_since = None, now
        if target.two_sided:
            target.stage = _way_back(service, target, live, conditions)
        service.deployments.sort(key=lambda entry: (entry.status != "PRIMARY", -entry.created))
        service.definition, service.network = target.definition, target.network
        service.load_balancers = target.load_balancers
        return target


def _way_back(service: Service, target: Deployment, live: list[Task], conditions: Conditions) -> str:
    """Where a rollback begins: while blue still runs, traffic goes back to it at once."""
    mine = [task for task in live if task.deployment == target.id and conditions[task.id] is not Condition.ENDING]
    if service.desired == 0 or target.production == 100:
        return stages.PRODUCTION_SHIFT
    if any(conditions[task.id] is Condition.HEALTHY for task in mine):
        return stages.PRODUCTION_SHIFT
    return stages.SCALE_UP if mine else stages.RECONCILE
