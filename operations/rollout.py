"""What ECS does over time: a task that runs once, and a service whose tasks are replaced. Both are waited
for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from operations.deadline import Deadline
from operations.errors import OperationError
from operations.manifest import Service
from operations.redaction import redact

Progress = Callable[[str], None]

POLL_SECONDS = 1.0
LOG_LINES = 20


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


class MigrationFailed(OperationError):
    """The migration's task did not end with exit code 0; the service was not touched."""


class RolloutFailed(OperationError):
    """ECS gave the rollout up. `events` are its own, oldest first."""

    def __init__(self, what: str, why: str, next: str, events: list[str]) -> None:
        told = "".join(f"\n    {event}" for event in events[-8:])
        super().__init__(what, why + (f"; ECS says:{told}" if events else ""), next)
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


def run_once(
    ecs: Any,
    logs: Any,
    service: Service,
    task_definition: str,
    family: str,
    deadline: Deadline,
    progress: Progress,
) -> None:
    """Run one task in the service's network and wait for its exit code 0, else raise MigrationFailed.

    A task of this family that runs already, from a deployment that was interrupted, is waited for instead of
    starting a second one beside it. At the deadline the task is left running: to kill it in the middle is
    worse.
    """
    running = ecs.list_tasks(cluster=service.cluster, family=family, desiredStatus="RUNNING")["taskArns"]
    if running:
        task = running[0]
        progress(f"a migration runs already: waiting for {_short(task)}")
        found = _await_stop(ecs, service, task, deadline, progress)
        _require_success(ecs, logs, found)
        if found["taskDefinitionArn"] == task_definition:
            return
    answer = ecs.run_task(
        cluster=service.cluster,
        taskDefinition=task_definition,
        count=1,
        launchType="FARGATE",
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": list(service.subnets),
                "securityGroups": list(service.security_groups),
                "assignPublicIp": "DISABLED",
            }
        },
        startedBy="drydock-deploy",
    )
    if not answer["tasks"]:
        reasons = "; ".join(failure.get("reason", "unknown") for failure in answer.get("failures", []))
        raise MigrationFailed(
            "the migration did not start",
            reasons or "ECS gave no reason",
            "remove the reason, then deploy again",
        )
    task = answer["tasks"][0]["taskArn"]
    progress(f"migration {_short(task)} started")
    _require_success(ecs, logs, _await_stop(ecs, service, task, deadline, progress))
    progress("migration done")


def replace(
    ecs: Any,
    service: Service,
    task_definition: str,
    count: int,
    deadline: Deadline,
    progress: Progress,
    *,
    anew: bool = False,
) -> list[str]:
    """Point the service at the task definition and wait until ECS has rolled it out; its events, oldest
    first.

    Raises RolloutFailed when ECS gives up; when it rolls back, that is waited for too, so that what the error
    says of the service is how it is now. `anew` starts a rollout even when the service is on this task
    definition already.
    """
    answer = ecs.update_service(
        cluster=service.cluster,
        service=service.service,
        taskDefinition=task_definition,
        desiredCount=count,
        forceNewDeployment=anew,
    )["service"]
    earlier = {event["id"] for event in answer.get("events", [])}
    ours = current(answer)
    if ours is None or ours.task_definition != task_definition:
        raise RolloutFailed(
            f"the rollout of {_short(task_definition)} did not start",
            "ECS accepted the update but is on another task definition",
            _look(service),
            _events(answer, earlier),
        )
    told: set[str] = set()
    while True:
        found = describe(ecs, service.cluster, service.service)
        if found is None:
            raise RolloutFailed(f"the service {service.service} is gone", "it was deleted meanwhile", "`pulumi up`", [])
        for event in found.get("events", [])[::-1]:
            if event["id"] not in earlier | told:
                told.add(event["id"])
                progress(redact(event["message"]))
        now = current(found)
        if now is not None and now.id == ours.id:
            # In ECS a deployment is complete when its own tasks stand; tasks of older ones may still drain.
            if now.state == "COMPLETED" and now.running == count == found["desiredCount"]:
                return _events(found, earlier)
            if now.state == "FAILED":
                raise _gave_up(found, earlier, service, now, "it is not rolled back: the failed release stays")
        elif now is not None and now.state != "IN_PROGRESS":
            mine = [_rollout(entry) for entry in found["deployments"] if entry["id"] == ours.id]
            outcome = f"the service is on {_short(now.task_definition)} again ({now.running} of {now.desired} tasks)"
            raise _gave_up(found, earlier, service, mine[0] if mine else ours, outcome)
        if deadline.passed:
            state = (
                f"{now.running} of {now.desired} tasks run, {now.failed} failed" if now else "there is no deployment"
            )
            raise RolloutFailed(
                f"the rollout of {_short(task_definition)} is not done after {deadline.seconds:g} s",
                f"{state}; ECS goes on with it",
                _look(service),
                _events(found, earlier),
            )
        deadline.pause(POLL_SECONDS)


def _await_stop(ecs: Any, service: Service, task: str, deadline: Deadline, progress: Progress) -> dict[str, Any]:
    last = ""
    while True:
        answer = ecs.describe_tasks(cluster=service.cluster, tasks=[task])
        if not answer["tasks"]:
            raise MigrationFailed(
                "the migration can't be judged",
                f"ECS does not know its task {_short(task)} any more",
                f"read its log in {service.log_group}, then deploy again: migrations can be repeated",
            )
        found: dict[str, Any] = answer["tasks"][0]
        if found["lastStatus"] == "STOPPED":
            return found
        if found["lastStatus"] != last:
            last = found["lastStatus"]
            progress(f"migration {_short(task)}: {last}")
        if deadline.passed:
            raise MigrationFailed(
                f"the migration is not done after {deadline.seconds:g} s",
                f"its task {task} is {last} and was left running",
                "deploy again with a later deadline: it waits for this task",
            )
        deadline.pause(POLL_SECONDS)


def _require_success(ecs: Any, logs: Any, task: dict[str, Any]) -> None:
    containers = task.get("containers", [])
    codes = [container.get("exitCode") for container in containers]
    if codes and all(code == 0 for code in codes):
        return
    reasons = [task.get("stoppedReason", ""), *(container.get("reason", "") for container in containers)]
    ended = f"exit code {codes[0]}" if codes and codes[0] is not None else "it never ran"
    why = "; ".join([ended, *dict.fromkeys(redact(reason) for reason in reasons if reason)])
    said = _last_lines(ecs, logs, task)
    raise MigrationFailed(
        f"the migration {_short(task['taskArn'])} failed",
        why + (f"; its last words:\n    {said}" if said else ""),
        "the service still runs its old release; mend the migration, push, and deploy again",
    )


def _last_lines(ecs: Any, logs: Any, task: dict[str, Any]) -> str:
    """The end of the task's log, or why it can't be had: an addition to an error, which must not become
    another.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        described = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])
        container = described["taskDefinition"]["containerDefinitions"][0]
        options = container.get("logConfiguration", {}).get("options", {})
        stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{_short(task['taskArn'])}"
        answer = logs.get_log_events(
            logGroupName=options["awslogs-group"], logStreamName=stream, limit=LOG_LINES, startFromHead=False
        )
    except KeyError:
        return ""
    except (BotoCoreError, ClientError) as error:
        return f"(its log can't be read: {redact(str(error))})"
    return "\n    ".join(redact(event["message"].rstrip()) for event in answer["events"])


def _gave_up(found: dict[str, Any], earlier: set[str], service: Service, failed: Rollout, then: str) -> RolloutFailed:
    return RolloutFailed(
        f"the rollout of {_short(failed.task_definition)} failed",
        f"{failed.reason or f'{failed.failed} of its tasks failed'}; {then}",
        f"read the log of its tasks: aws logs tail {service.log_group} --since 15m",
        _events(found, earlier),
    )


def _events(service: dict[str, Any], earlier: set[str]) -> list[str]:
    # ECS lists the newest first.
    return [redact(event["message"]) for event in service.get("events", [])[::-1] if event["id"] not in earlier]


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
