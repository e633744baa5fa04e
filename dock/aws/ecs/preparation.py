"""What must be there before a task's first process: log groups, secrets, images, commands."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from dock.aws.ecs import metadata
from dock.aws.ecs.identity import RoleError, role_of
from dock.aws.ecs.log_driver import Destination
from dock.aws.ecs.records import Container, Task
from dock.aws.ecs.runtime import Runtime
from dock.aws.ecs.secrets import SecretError, SecretReader
from dock.aws.sts.sessions import Issued
from dock.engines.containers import Command, CommandError, command
from dock.engines.images import Image, ImageError
from dock.store import Record, Scope


class StartError(Exception):
    """A task can't be started; the message is its stopped reason."""


def source(task: Task, container: Container) -> str:
    """The name of a container's output."""
    return f"{task.id}/{container.name}"


class Preparation:
    """Makes commands of a task's containers; `definitions` are container definitions by name, with overrides."""

    def __init__(
        self, runtime: Runtime, task: Task, definition: Record, definitions: dict[str, dict[str, Any]]
    ) -> None:
        self._runtime = runtime
        self._task = task
        self._definition = definition
        self._definitions = definitions

    async def commands(self, waiting: list[Container]) -> dict[str, Command]:
        """Commands by container name, with their secrets inside. Raises StartError."""
        task, runtime = self._task, self._runtime
        try:
            execution = runtime.identity.execution(task, self._definition)
            credentials = runtime.identity.check_task_role(task, self._definition)
        except RoleError as problem:
            raise StartError(str(problem)) from None
        task.role = role_of(task, self._definition, "taskRoleArn")
        for container in waiting:
            await self._attach_log(container, execution)
        reader = SecretReader(runtime.cloud, task.account, task.region, execution)
        secrets: dict[str, dict[str, str]] = {}
        try:
            for container in waiting:
                wanted = self._definitions[container.name].get("secrets", [])
                secrets[container.name] = await asyncio.to_thread(reader.environment, wanted) if wanted else {}
        except SecretError as problem:
            raise StartError(str(problem)) from None
        task.pull_started = task.pull_started or time.time()
        commands = {}
        await self._may_pull(waiting, execution)
        for container in waiting:
            try:
                pinned = self._definitions[container.name].get("versionConsistency") != "disabled"
                image = await runtime.pull(task, container, pinned=pinned)
                interpreter = await runtime.interpreter(image)
            except ImageError as problem:
                container.reason = f"CannotPullContainerError: {problem}"
                raise StartError(container.reason) from None
            container.image_digest = image.digest
            folders = {
                "HOME": str(await asyncio.to_thread(runtime.scratch, task.id, container.name)),
                "PYTHONPYCACHEPREFIX": str(await asyncio.to_thread(runtime.bytecode, image)),
            }
            if credentials is not None:
                folders["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = credentials
            try:
                commands[container.name] = self._command(
                    container, image, interpreter, folders | secrets[container.name]
                )
            except CommandError as problem:
                container.reason = f"CannotStartContainerError: {problem}"
                raise StartError(container.reason) from None
        task.pull_stopped = time.time()
        return commands

    def _command(self, container: Container, image: Image, interpreter: Path, given: dict[str, str]) -> Command:
        definition = self._definitions[container.name]
        home = self._runtime.home
        environment = {
            "TMPDIR": given["HOME"],
            "PYTHONNOUSERSITE": "1",
            "SSL_CERT_FILE": str(home.trust_bundle),
            "PGSSLROOTCERT": str(home.certificate_authority),
            "AWS_REGION": self._task.region,
            "AWS_DEFAULT_REGION": self._task.region,
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_ENDPOINT_URL": self._runtime.url,
            **given,
            **{entry["name"]: entry.get("value", "") for entry in definition.get("environment", [])},
            "ECS_CONTAINER_METADATA_URI_V4": metadata.uri(self._runtime.url, container),
        }
        return command(
            image,
            interpreter,
            entry_point=definition.get("entryPoint") or None,
            arguments=definition.get("command") or None,
            environment=environment,
            working_directory=definition.get("workingDirectory"),
        )

    async def _may_pull(self, waiting: list[Container], execution: Issued | None) -> None:
        """Whether the execution role may have the images. Raises StartError."""
        identity, task = self._runtime.identity, self._task
        try:
            await identity.require(task, execution, "ecr:GetAuthorizationToken", "*")
        except RoleError as problem:
            raise StartError(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval"
                f" failed: unable to retrieve ecr registry auth: service call has been retried 1 time(s): {problem}"
            ) from None
        for container in waiting:
            host, _, path = container.image.partition("/")
            owner = host.partition(".")[0] if host.partition(".")[0].isdigit() else task.account
            name = path.partition("@")[0].partition(":")[0]
            try:
                for action in ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"):
                    await identity.require(
                        task, execution, action, f"arn:aws:ecr:{task.region}:{owner}:repository/{name}"
                    )
            except RoleError as problem:
                container.reason = (
                    f"CannotPullContainerError: pull image manifest has been retried 1 time(s): {problem}"
                )
                raise StartError(container.reason) from None

    async def _attach_log(self, container: Container, execution: Issued | None) -> None:
        destination = self.destination(container)
        if destination is not None:
            group = f"arn:aws:logs:{destination.scope.region}:{destination.scope.account}:log-group:{destination.group}"
            try:
                for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                    await self._runtime.identity.require(
                        self._task, execution, action, f"{group}:log-stream:{destination.stream}"
                    )
            except RoleError as problem:
                raise StartError(
                    "ResourceInitializationError: failed to validate logger args: create stream has been retried 1"
                    f" times: failed to create Cloudwatch log stream: {problem}"
                ) from None
            options = self._definitions[container.name]["logConfiguration"]["options"]
            create = options.get("awslogs-create-group", "false") == "true"
            if not await self._runtime.logs.ensure_group(destination.scope, destination.group, create=create):
                raise StartError(
                    "ResourceInitializationError: failed to validate logger args: create stream has been retried 1"
                    " times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log"
                    f" group does not exist: {destination.group}"
                )
        await self._runtime.log_driver.attach(source(self._task, container), destination)

    def destination(self, container: Container) -> Destination | None:
        """Where a container's output goes; None when it has no log configuration."""
        options = self._definitions[container.name].get("logConfiguration", {}).get("options")
        if options is None:
            return None
        scope = Scope(self._task.account, options["awslogs-region"])
        stream = f"{options['awslogs-stream-prefix']}/{container.name}/{self._task.id}"
        return Destination(scope, options["awslogs-group"], stream)
