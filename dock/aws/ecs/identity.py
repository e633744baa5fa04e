"""Roles of tasks: ECS acts for a task as its execution role, and the task's own calls are its task role's."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from dock.aws.ecs.records import Task
from dock.aws.service import AwsError
from dock.aws.sts import Sts
from dock.aws.sts.sessions import Issued
from dock.store import Record

if TYPE_CHECKING:
    from dock.cloud import Cloud

PATH = "/v2/credentials/"
SERVICE = "ecs-tasks.amazonaws.com"
# Long before the end, so that no client is left with credentials that end while it uses them.
RENEWED_SECONDS = 1800


class RoleError(Exception):
    """A task's role can't be used; the message is what ECS puts into its stopped reason."""


class Identity:
    """Sessions of tasks' roles, and the endpoint where a container gets the task role's."""

    def __init__(self, cloud: Cloud, tasks: Iterable[Task]) -> None:
        self._cloud = cloud
        self._tasks = tasks
        self._issued: dict[tuple[str, str], Issued] = {}

    def execution(self, task: Task, definition: Record) -> Issued | None:
        """The execution role's session; None when the definition names no such role. Raises RoleError."""
        return self._session(task, role_of(task, definition, "executionRoleArn"))

    def check_task_role(self, task: Task, definition: Record) -> str | None:
        """Raise RoleError unless the task's own role can be taken on. Returns where a container gets it."""
        if self._session(task, role_of(task, definition, "taskRoleArn")) is None:
            return None
        return f"{self._cloud.url}{PATH}{self._secret(task)}"

    async def require(self, task: Task, issued: Issued | None, action: str, resource: str) -> None:
        """Raise RoleError unless the execution role may do this for a task."""
        if issued is not None:
            try:
                await self._cloud.authorizer.check(issued.session.principal(), task.region, action, resource)
            except AwsError as refused:
                raise RoleError(f"{refused.code}: {refused.message}") from None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The container credentials endpoint: a task's are at an address that only it knows."""
        wanted = request.path.removeprefix(PATH)
        for task in self._tasks:
            if task.last_status != "STOPPED" and self._secret(task) == wanted:
                return self._render(task)
        return web.json_response({"code": "InvalidIdInRequest", "message": "there is no such task"}, status=400)

    def _render(self, task: Task) -> web.Response:
        try:
            issued = self._session(task, task.role)
        except RoleError as problem:
            return web.json_response({"code": "AccessDenied", "message": str(problem)}, status=403)
        if issued is None:
            return web.json_response({"code": "NoRole", "message": "the task has no role"}, status=404)
        session = issued.session
        expires = dt.datetime.fromtimestamp(session.expires, dt.UTC).isoformat().replace("+00:00", "Z")
        return web.json_response(
            {
                "RoleArn": session.role_arn,
                "AccessKeyId": session.key,
                "SecretAccessKey": session.secret,
                "Token": issued.token,
                "Expiration": expires,
            }
        )

    def _session(self, task: Task, role: str | None) -> Issued | None:
        if role is None:
            return None
        known = self._issued.get((task.id, role))
        if known is not None and known.session.expires - time.time() > RENEWED_SECONDS:
            return known
        try:
            issued = self._cloud.service(Sts).for_service(role, SERVICE, task.arn, task.id)
        except AwsError:
            raise RoleError(
                f"ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the"
                " role being passed has the proper trust relationship and permissions and that your IAM user has"
                " permissions to pass this role."
            ) from None
        self._issued[task.id, role] = issued
        return issued

    def forget(self, task: Task) -> None:
        """The task has ended."""
        for key in [key for key in self._issued if key[0] == task.id]:
            del self._issued[key]

    def _secret(self, task: Task) -> str:
        return self._cloud.service(Sts).iam.vault.derive(f"ecs/{task.id}")


def role_of(task: Task, definition: Record, name: str) -> str | None:
    """`taskRoleArn` or `executionRoleArn`: what RunTask puts in its place, else the definition's; always an ARN."""
    given: Any = task.overrides.get(name) or definition.get(name)
    if not given:
        return None
    return str(given) if str(given).startswith("arn:") else f"arn:aws:iam::{task.account}:role/{given}"
