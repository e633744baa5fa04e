"""A release's migration: one task that runs once, to its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from operations.errors import OperationError
from operations.manifest import Service
from operations.operation import Absent, Acted, Context, Observation, Result, Unclear
from operations.redaction import redact

POLL_SECONDS = 1.0
LOG_LINES = 20
#: ECS shows a stopped task for at least an hour
#: (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html); with a margin for two clocks.
REMEMBERED_SECONDS = 50 * 60


class MigrationFailed(OperationError):
    """The migration's task did not end with exit code 0; the service was not touched."""


def observe(context: Context, service: Service, task_definition: str) -> Observation:
    """The task that an earlier attempt started, running or stopped; else one of the same definition that runs already,
    from a deployment that was interrupted: it is waited for instead of starting a second one beside it."""
    ecs = context.target.client("ecs")
    for status in ("RUNNING", "STOPPED"):
        answer = ecs.list_tasks(cluster=service.cluster, startedBy=context.key, desiredStatus=status)
        if answer["taskArns"]:
            return Acted({"task": answer["taskArns"][0]})
    running = _running(ecs, service)
    if running is not None and running["taskDefinitionArn"] == task_definition:
        context.progress(f"a migration runs already: waiting for {_short(running['taskArn'])}")
        return Acted({"task": running["taskArn"]})
    if context.begun is not None:
        began = datetime.fromisoformat(context.begun)
        if datetime.now(UTC) - began > timedelta(seconds=REMEMBERED_SECONDS):
            return Unclear(
                f"a migration may have been started at {context.begun}, and ECS has forgotten tasks of that time",
                f"read the log group {service.log_group} and the schema's version in the database",
            )
    return Absent()


def act(context: Context, service: Service, task_definition: str) -> Result:
    """Start the task, in the service's network. A migration of another release that runs is waited for first."""
    ecs = context.target.client("ecs")
    running = _running(ecs, service)
    if running is not None:
        context.progress(f"a migration of another release runs: waiting for {_short(running['taskArn'])}")
        _require_success(context, _await_stop(context, service, running["taskArn"]))
    answer = context.target.acting("ecs").run_task(
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
        # ECS runs one task for a token; by `startedBy` it is found again.
        clientToken=context.key,
        startedBy=context.key,
    )
    if not answer["tasks"]:
        reasons = "; ".join(failure.get("reason", "unknown") for failure in answer.get("failures", []))
        raise MigrationFailed(
            "the migration did not start",
            reasons or "ECS gave no reason",
            "remove the reason, then deploy again",
            ended=True,
        )
    task = answer["tasks"][0]["taskArn"]
    context.progress(f"migration {_short(task)} started")
    return {"task": task}


def confirm(context: Context, service: Service, started: Result) -> Result:
    """Wait for its exit code 0, else raise MigrationFailed. At the deadline the task is left running: to kill it in the
    middle is worse."""
    _require_success(context, _await_stop(context, service, started["task"]))
    context.progress("migration done")
    return started


def _running(ecs: Any, service: Service) -> dict[str, Any] | None:
    """A migration of the service that runs now."""
    found = ecs.list_tasks(cluster=service.cluster, family=service.migration_family, desiredStatus="RUNNING")
    if not found["taskArns"]:
        return None
    described = ecs.describe_tasks(cluster=service.cluster, tasks=found["taskArns"][:1])["tasks"]
    return described[0] if described else None


def _await_stop(context: Context, service: Service, task: str) -> dict[str, Any]:
    ecs, deadline, last = context.target.client("ecs"), context.deadline, ""
    while True:
        answer = ecs.describe_tasks(cluster=service.cluster, tasks=[task])
        if not answer["tasks"]:
            raise MigrationFailed(
                "the migration can't be judged",
                f"ECS does not know its task {_short(task)} any more",
                f"read its log in {service.log_group}, then deploy again: migrations can be repeated",
                ended=True,
            )
        found: dict[str, Any] = answer["tasks"][0]
        if found["lastStatus"] == "STOPPED":
            return found
        if found["lastStatus"] != last:
            last = found["lastStatus"]
            context.progress(f"migration {_short(task)}: {last}")
        if deadline.passed:
            raise MigrationFailed(
                f"the migration is not done after {deadline.seconds:g} s",
                f"its task {task} is {last} and was left running",
                "deploy again with a later deadline: it waits for this task",
            )
        deadline.pause(POLL_SECONDS)


def _require_success(context: Context, task: dict[str, Any]) -> None:
    containers = task.get("containers", [])
    codes = [container.get("exitCode") for container in containers]
    if codes and all(code == 0 for code in codes):
        return
    reasons = [task.get("stoppedReason", ""), *(container.get("reason", "") for container in containers)]
    ended = f"exit code {codes[0]}" if codes and codes[0] is not None else "it never ran"
    why = "; ".join([ended, *dict.fromkeys(redact(reason) for reason in reasons if reason)])
    said = _last_lines(context, task)
    raise MigrationFailed(
        f"the migration {_short(task['taskArn'])} failed",
        why + (f"; its last words:\n    {said}" if said else ""),
        "the service still runs its old release; mend the migration, push, and deploy again",
        ended=True,
    )


def _last_lines(context: Context, task: dict[str, Any]) -> str:
    """The end of the task's log, or why it can't be had: an addition to an error, which must not become
    another.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    ecs, logs = context.target.client("ecs"), context.target.client("logs")
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


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]
