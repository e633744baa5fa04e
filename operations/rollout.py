"""A rollout: ECS replaces a service's tasks, and is watched until it is done with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from operations.errors import OperationError
from operations.manifest import Service
from operations.mark_deployment import deployment_marked
from operations.operation import Absent, Acted, Context, Observation, Result
from operations.redaction import redact

POLL_SECONDS = 1.0
# Between the store's clock, which says since when a step may have acted, and ECS's.
_CLOCKS_APART = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Rollout:
    """The deployment that the service is on. `state` is ECS's: IN_PROGRESS, COMPLETED or FAILED."""

    id: str
    task_definition: str
    state: str
    reason: str
    desired: int
    running: int
    failed: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a service is to be on. `anew`: start a rollout even when it is on this task definition already."""

    service: Service
    task_definition: str
    count: int
    anew: bool = False


class RolloutFailed(OperationError):
    """ECS gave the rollout up. `events` are its own, oldest first."""

    def __init__(self, what: str, why: str, next: str, events: list[str], *, ended: bool = True) -> None:
        told = "".join(f"\n    {event}" for event in events[-8:])
        super().__init__(what, why + (f"; ECS says:{told}" if events else ""), next, ended=ended)
        self.events = events


def describe(ecs: Any, cluster: str, service: str) -> dict[str, Any] | None:
    """ECS's description of the service, None when there is none."""
    answer = ecs.describe_services(cluster=cluster, services=[service])
    found = [entry for entry in answer["services"] if entry["status"] != "INACTIVE"]
    return found[0] if found else None


def current(service: dict[str, Any]) -> Rollout | None:
    """The PRIMARY deployment in a service's description."""
    for deployment in service.get("deployments", []):
        if deployment["status"] == "PRIMARY":
            return _rollout(deployment)
    return None


def observe(context: Context, wanted: Wanted) -> Observation:
    """Whether the service was pointed at the task definition: it is on it, or was, and ECS took it back since."""
    ecs, service = context.target.client("ecs"), wanted.service
    found = describe(ecs, service.cluster, service.service)
    if found is None:
        return Absent()
    on_it = found["taskDefinition"] == wanted.task_definition and found["desiredCount"] == wanted.count
    if on_it and not wanted.anew:
        return Acted(_started(found, wanted))
    if context.begun is None:
        return Absent()
    began = datetime.fromisoformat(context.begun) - _CLOCKS_APART
    if wanted.anew:
        since = [
            entry for entry in found["deployments"] if entry["status"] == "PRIMARY" and entry["createdAt"] >= began
        ]
        return Acted(_started(found, wanted)) if on_it and since else Absent()
    return Acted({"rollout": "", "last_event": ""}) if _was_begun(ecs, wanted, began) else Absent()


def act(context: Context, wanted: Wanted) -> Result:
    """Point the service at the task definition. Raises RolloutFailed when ECS is on another one right after it."""
    service = wanted.service
    answer = context.target.acting("ecs").update_service(
        cluster=service.cluster,
        service=service.service,
        taskDefinition=wanted.task_definition,
        desiredCount=wanted.count,
        forceNewDeployment=wanted.anew,
    )["service"]
    ours = current(answer)
    if ours is None or ours.task_definition != wanted.task_definition:
        raise RolloutFailed(
            f"the rollout of {_short(wanted.task_definition)} did not start",
            "ECS accepted the update but is on another task definition",
            _look(service),
            [],
        )
    return _started(answer, wanted)


def confirm(context: Context, wanted: Wanted, started: Result) -> Result:
    """Wait until ECS has rolled it out; its events, oldest first, are in the result.

    Raises RolloutFailed when ECS gives up; when it rolls back, that is waited for too, so that what the error says of
    the service is how it is now.
    """
    with deployment_marked(context.target, context.progress):
        return _follow(context, wanted, started)


def _follow(context: Context, wanted: Wanted, started: Result) -> Result:
    ecs, service, deadline = context.target.client("ecs"), wanted.service, context.deadline
    told: set[str] = set()
    while True:
        found = describe(ecs, service.cluster, service.service)
        if found is None:
            raise RolloutFailed(f"the service {service.service} is gone", "it was deleted meanwhile", "`pulumi up`", [])
        events = _since(found, started["last_event"])
        for event in events:
            if event["id"] not in told:
                told.add(event["id"])
                context.progress(redact(event["message"]))
        said = [redact(event["message"]) for event in events]
        now = current(found)
        if now is not None and _is_ours(now, wanted, started):
            # In ECS a deployment is complete when its own tasks stand; tasks of older ones may still drain.
            if now.state == "COMPLETED" and now.running == wanted.count == found["desiredCount"]:
                return {**started, "events": said}
            if now.state == "FAILED":
                raise _gave_up(service, now, "it is not rolled back: the failed release stays", said)
        elif now is not None and now.state != "IN_PROGRESS":
            entries = [_rollout(entry) for entry in found["deployments"]]
            mine = [entry for entry in entries if _is_ours(entry, wanted, started)]
            outcome = f"the service is on {_short(now.task_definition)} again ({now.running} of {now.desired} tasks)"
            unseen = Rollout("", wanted.task_definition, "FAILED", "", 0, 0, 0)
            raise _gave_up(service, mine[0] if mine else unseen, outcome, said)
        if deadline.passed:
            state = (
                f"{now.running} of {now.desired} tasks run, {now.failed} failed" if now else "there is no deployment"
            )
            raise RolloutFailed(
                f"the rollout of {_short(wanted.task_definition)} is not done after {deadline.seconds:g} s",
                f"{state}; ECS goes on with it",
                _look(service),
                said,
                ended=False,
            )
        deadline.pause(POLL_SECONDS)


def _started(service: dict[str, Any], wanted: Wanted) -> Result:
    """What tells this rollout from others, and its events from those before it."""
    ours = current(service)
    events = service.get("events", [])
    on_it = ours is not None and ours.task_definition == wanted.task_definition
    return {"rollout": ours.id if ours and on_it else "", "last_event": events[0]["id"] if events else ""}


def _is_ours(rollout: Rollout, wanted: Wanted, started: Result) -> bool:
    if started["rollout"]:
        return bool(rollout.id == started["rollout"])
    return rollout.task_definition == wanted.task_definition


def _was_begun(ecs: Any, wanted: Wanted, began: datetime) -> bool:
    """Whether ECS has had a rollout of this task definition since, also one that it took back."""
    cluster = wanted.service.cluster
    listed = ecs.list_service_deployments(service=wanted.service.service, cluster=cluster, createdAt={"after": began})[
        "serviceDeployments"
    ]
    revisions = [entry["targetServiceRevisionArn"] for entry in listed]
    if not revisions:
        return False
    described = ecs.describe_service_revisions(serviceRevisionArns=revisions)["serviceRevisions"]
    return any(entry["taskDefinition"] == wanted.task_definition for entry in described)


def _since(service: dict[str, Any], last: str) -> list[dict[str, Any]]:
    """The events after the one of this id, oldest first. ECS lists the newest first, and keeps a hundred."""
    newer = []
    for event in service.get("events", []):
        if event["id"] == last:
            break
        newer.append(event)
    return newer[::-1]


def _gave_up(service: Service, failed: Rollout, then: str, events: list[str]) -> RolloutFailed:
    why = failed.reason or (f"{failed.failed} of its tasks failed" if failed.failed else "ECS took it back")
    return RolloutFailed(
        f"the rollout of {_short(failed.task_definition)} failed",
        f"{why}; {then}",
        f"read the log of its tasks: aws logs tail {service.log_group} --since 15m",
        events,
    )


def _rollout(deployment: dict[str, Any]) -> Rollout:
    return Rollout(
        id=deployment["id"],
        task_definition=deployment["taskDefinition"],
        state=deployment.get("rolloutState", ""),
        reason=redact(deployment.get("rolloutStateReason", "")),
        desired=deployment["desiredCount"],
        running=deployment["runningCount"],
        failed=deployment.get("failedTasks", 0),
    )


def _look(service: Service) -> str:
    return f"aws ecs describe-services --cluster {service.cluster} --services {service.service}"


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]
