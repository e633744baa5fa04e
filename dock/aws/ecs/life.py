"""One task's life: from PROVISIONING to STOPPED, over restarts of the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from dock.addresses import Pool
from dock.aws.ecs import fargate
from dock.aws.ecs.preparation import Preparation, StartError, source
from dock.aws.ecs.records import Container, Task
from dock.aws.ecs.runtime import Runtime
from dock.aws.service import AwsError
from dock.engines import health
from dock.engines.containers import Command, CommandError, exit_status
from dock.engines.memory import Limit
from dock.engines.supervisor import Process
from dock.store import Record

log = logging.getLogger(__name__)

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
UNSEEN = "the container ended while the dock was not running; its exit code is unknown"
DEPENDENCY_SECONDS = 180
STOP_SECONDS = 30
_HURRY_SECONDS = 1.0
_LISTEN_SECONDS, _LISTEN_PAUSE = 10.0, 0.05


class Observer(Protocol):
    """Who wants to know what becomes of a task."""

    def changed(self, task: Task) -> None:
        """Its record is another now."""

    def say(self, task: Task, message: str) -> None:
        """Something for its service's events."""


class Life:
    """Carries one task on from whatever its record says.

    `run` may be cancelled at any moment (the daemon leaves): containers then go on, and the next daemon's `Life` adopts
    them. Every step is recorded before the next, and finds what a killed daemon did but did not record.
    """

    def __init__(self, runtime: Runtime, task: Task, definition: Record, observer: Observer) -> None:
        self._runtime = runtime
        self.task = task
        self._definitions: dict[str, dict[str, Any]] = {
            entry["name"]: _overridden(entry, task.overrides) for entry in definition["containerDefinitions"]
        }
        self._preparation = Preparation(runtime, task, definition, self._definitions)
        self._order = fargate.start_order(definition["containerDefinitions"])
        self._observer = observer
        self._stop = asyncio.Event()
        self._moved = asyncio.Event()
        self._attending: dict[str, asyncio.Task[None]] = {}
        self._out_of_memory: set[str] = set()
        self._hurry = asyncio.Event()
        if task.desired_status == "STOPPED":
            self._stop.set()

    # what others ask for

    def stop(self, code: str, reason: str) -> None:
        """Ask for the end; the first who asks gives the reason."""
        if self.task.desired_status != "STOPPED":
            self.task.desired_status = "STOPPED"
            self.task.stop_code, self.task.stopped_reason = code, reason
            self.task.stopping = time.time()
            self._stop.set()
            self._save()
        self._stop.set()

    def hurry(self) -> None:
        """The dock goes down: connections are not drained any longer."""
        self._hurry.set()

    async def run(self) -> None:
        """Until the task is STOPPED."""
        started = asyncio.create_task(self._start())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if started.done() and (problem := started.exception()) is not None:
                self._failed_to_start(problem)
            elif started.done():
                await stopped
            started.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await started
            await self._wind_down()
        finally:
            for background in (started, stopped, *self._attending.values()):
                background.cancel()

    def _failed_to_start(self, problem: BaseException) -> None:
        if isinstance(problem, StartError):
            reason = str(problem)
        else:
            log.error("task %s could not be started", self.task.id, exc_info=problem)
            reason = f"InternalError: the dock could not start the task: {problem}"
        self.stop("TaskFailedToStart", reason)

    def _save(self) -> None:
        self.task.version += 1
        self._moved.set()
        self._runtime.save(self.task)
        self._observer.changed(self.task)

    def _to(self, status: str) -> None:
        self.task.last_status = status
        self._save()

    # starting

    async def _start(self) -> None:
        task = self.task
        for container in task.containers:
            await self._adopt(container)
        if self._stop.is_set():
            return
        waiting = [container for container in task.containers if container.status == "PENDING"]
        if waiting:
            if task.address is None:
                task.address = self._runtime.addresses.allocate(Pool.TASK, f"ecs/{task.id}")
            self._to("PENDING")
            commands = await self._preparation.commands(waiting)
            self._save()
            by_name = {container.name: container for container in waiting}
            for name in self._order:
                if name in by_name:
                    await self._dependencies(name)
                    self._launch(by_name[name], commands[name])
        if task.load_balancers and task.last_status != "RUNNING":
            self._to("ACTIVATING")
            await self._register()
        if task.last_status != "RUNNING":
            task.started = task.started or time.time()
            self._to("RUNNING")

    async def _adopt(self, container: Container) -> None:
        process = self._runtime.containers.find(self._name(container))
        if process is not None or container.status != "PENDING":
            # What it wrote while no daemon was there is copied now.
            name = source(self.task, container)
            await self._runtime.log_driver.attach(name, self._preparation.destination(container))
        if process is not None:
            if container.status == "PENDING":
                container.status, container.started = "RUNNING", time.time()
            self._attend(container, process)
        elif container.status == "RUNNING":
            # It ended between two daemons.
            self._ended(container, None, UNSEEN)

    async def _dependencies(self, name: str) -> None:
        containers = {container.name: container for container in self.task.containers}
        for entry in self._definitions[name].get("dependsOn", []):
            other = containers[entry["containerName"]]
            seconds = self._definitions[other.name].get("startTimeout", DEPENDENCY_SECONDS)
            try:
                async with asyncio.timeout(seconds):
                    await self._reached(other, entry["condition"])
            except TimeoutError:
                raise StartError(
                    f"dependency not met: {name} waited {seconds} s for {other.name} to be {entry['condition']}"
                ) from None

    async def _reached(self, other: Container, condition: str) -> None:
        while True:
            ended = other.status == "STOPPED"
            if condition == "SUCCESS" and ended and other.exit_code != 0:
                raise StartError(f"dependency not met: {other.name} ended with exit code {other.exit_code}")
            if condition == "HEALTHY" and ended:
                raise StartError(f"dependency not met: {other.name} ended before it was healthy")
            reached = {
                "START": other.status != "PENDING",
                "COMPLETE": ended,
                "SUCCESS": ended,
                "HEALTHY": other.health == health.HEALTHY,
            }
            if reached[condition]:
                return
            self._moved.clear()
            await self._moved.wait()

    def _launch(self, container: Container, what: Command) -> None:
        definition = self._definitions[container.name]
        limits = {entry["name"]: (entry["softLimit"], entry["hardLimit"]) for entry in definition.get("ulimits", [])}
        container.created = time.time()
        container.checked = definition.get("healthCheck", {}).get("command", ["NONE"])[0] != "NONE"
        log_path = self._runtime.log_driver.path(source(self.task, container))
        try:
            process = self._runtime.containers.start(self._name(container), what, log_path, limits)
        except CommandError as problem:
            container.reason = f"CannotStartContainerError: {problem}"
            raise StartError(container.reason) from None
        container.status, container.started = "RUNNING", time.time()
        self._save()
        self._attend(container, process)

    async def _register(self) -> None:
        balancers = self._runtime.load_balancers()
        for entry in self.task.load_balancers:
            await self._listens(entry["containerPort"])
            target = {"arn": entry["targetGroupArn"], "port": entry["containerPort"]}
            if target not in self.task.targets:
                # Recorded first: a target that was registered must be deregistered, whatever happens between.
                self.task.targets.append(target)
                self._save()
            try:
                await balancers.register(target["arn"], self.task.address or "", target["port"])
            except AwsError as problem:
                group = f"(target-group {target['arn']})"
                raise StartError(f"failed to register targets in {group} with (error {problem.message})") from None
            self._observer.say(self.task, f"registered 1 targets in (target-group {target['arn']})")

    async def _listens(self, port: int) -> None:
        """Wait a little for the container to listen: a first health check that comes too early costs an interval."""
        for _ in range(int(_LISTEN_SECONDS / _LISTEN_PAUSE)):
            try:
                async with asyncio.timeout(1):
                    _, writer = await asyncio.open_connection(self.task.address, port)
            except (OSError, TimeoutError):
                await asyncio.sleep(_LISTEN_PAUSE)
            else:
                writer.close()
                return

    # running

    def _attend(self, container: Container, process: Process) -> None:
        self._attending[container.name] = asyncio.create_task(
            self._watch(container, process), name=f"container {self._name(container)}"
        )
        limit = self._definitions[container.name].get("memory")
        if limit is not None:
            self._limit(self._name(container), limit, [container])
        self._limit(self.task.id, int(self.task.memory), self.task.containers)

    def _limit(self, name: str, mebibytes: int, containers: list[Container]) -> None:
        def roots() -> list[int]:
            found = (self._runtime.containers.find(self._name(container)) for container in containers)
            return [process.pid for process in found if process is not None]

        def exceeded(pid: int) -> None:
            for container in containers:
                process = self._runtime.containers.find(self._name(container))
                if process is not None and process.pid == pid:
                    self._out_of_memory.add(container.name)
                    process.kill_group()

        self._runtime.memory.set(name, Limit(mebibytes * 1024 * 1024, roots, exceeded))

    async def _watch(self, container: Container, process: Process) -> None:
        checking = None
        if container.checked:
            checking = asyncio.create_task(self._check(container, process))
        try:
            code = exit_status(await process.wait())
        finally:
            if checking is not None:
                checking.cancel()
        reason = None
        if container.name in self._out_of_memory:
            reason = OUT_OF_MEMORY
        elif code is None:
            reason = "the container outlived a daemon of the dock that was its parent; its exit code is unknown"
        self._ended(container, code, reason)
        await self._runtime.containers.sweep(self._name(container), process)

    async def _check(self, container: Container, process: Process) -> None:
        definition = self._definitions[container.name]["healthCheck"]
        kind, *rest = definition["command"]

        def changed(state: str) -> None:
            container.health = state
            self._save()

        check = health.HealthCheck(
            argv=rest if kind == "CMD" else ["/bin/sh", "-c", *rest],
            interval=definition.get("interval", 30),
            timeout=definition.get("timeout", 5),
            retries=definition.get("retries", 3),
            start_period=definition.get("startPeriod", 0),
        )
        await health.check(check, process, self._runtime.containers.user, changed)

    def _ended(self, container: Container, code: int | None, reason: str | None) -> None:
        container.status, container.exit_code, container.finished = "STOPPED", code, time.time()
        container.reason = reason
        if container.essential and self.task.desired_status != "STOPPED":
            self.stop("EssentialContainerExited", "Essential container in task exited")
        else:
            self._save()

    # ending

    async def _wind_down(self) -> None:
        task = self.task
        serving = any(container.status == "RUNNING" for container in task.containers)
        if task.targets and serving:
            self._to("DEACTIVATING")
            self._observer.say(task, f"has begun draining connections on 1 tasks: (task {task.id}).")
            await self._deregister()
        self._to("STOPPING")
        for level in _levels(self._order, self._definitions):
            await asyncio.gather(*(self._end(container) for container in task.containers if container.name in level))
        task.execution_stopped = time.time()
        self._runtime.memory.unset(task.id)
        self._to("DEPROVISIONING")
        for container in task.containers:
            with contextlib.suppress(OSError, sqlite3.Error):
                name = source(task, container)
                await self._runtime.log_driver.attach(name, self._preparation.destination(container))
                await self._runtime.log_driver.finish(name)
        await asyncio.to_thread(shutil.rmtree, self._runtime.scratch_folder / task.id, ignore_errors=True)
        if not task.targets:
            self._release()
        task.stopped = time.time()
        self._to("STOPPED")

    async def _end(self, container: Container) -> None:
        name = self._name(container)
        if container.status == "RUNNING":
            grace = self._definitions[container.name].get("stopTimeout", STOP_SECONDS)
            await self._runtime.containers.stop(name, self._runtime.stop_signal(container), grace)
        elif container.status == "PENDING":
            # A daemon that was killed may have started it without living to record it.
            await self._runtime.containers.sweep(name, None)
        attending = self._attending.get(container.name)
        if attending is not None:
            await attending
        self._runtime.memory.unset(name)
        if container.status != "STOPPED":
            container.status = "STOPPED"
            self._save()

    async def _deregister(self) -> None:
        """Take the task out of its target groups; returns when its connections have drained."""
        task, balancers = self.task, self._runtime.load_balancers()
        for target in list(task.targets):
            try:
                await self._unless_hurried(balancers.deregister(target["arn"], task.address or "", target["port"]))
            except Exception as problem:  # the group may be gone: the task must end nevertheless
                log.warning("task %s could not be deregistered from %s: %s", task.id, target["arn"], problem)
            task.targets.remove(target)
            self._save()
            self._observer.say(task, f"deregistered 1 targets in (target-group {target['arn']})")

    async def _unless_hurried(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for the work's end; once in a hurry, only a second more."""
        working = asyncio.ensure_future(work)
        hurried = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait({working, hurried}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({working}, timeout=_HURRY_SECONDS)
            if working.done():
                working.result()
        finally:
            hurried.cancel()
            working.cancel()

    async def aftercare(self) -> None:
        """For a task that ended by itself: its targets are taken out behind it, and its address is free only then."""
        if self.task.last_status == "STOPPED" and self.task.targets:
            await self._deregister()
            self._release()
            self._save()

    def _release(self) -> None:
        self._runtime.addresses.release(f"ecs/{self.task.id}")

    def _name(self, container: Container) -> str:
        return f"ecs/{self.task.id}/{container.name}"


def _overridden(definition: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """A container definition with what RunTask puts in its place."""
    for override in overrides.get("containerOverrides", []):
        if override["name"] == definition["name"]:
            environment = {entry["name"]: entry for entry in definition.get("environment", [])}
            environment |= {entry["name"]: entry for entry in override.get("environment", [])}
            return {
                **definition,
                **{key: override[key] for key in ("command", "memory") if key in override},
                "environment": list(environment.values()),
            }
    return definition


def _levels(order: list[str], definitions: dict[str, dict[str, Any]]) -> list[set[str]]:
    """Names to stop together, those on which others depend later."""
    depth: dict[str, int] = {}
    for name in order:
        needs = [depth[entry["containerName"]] for entry in definitions[name].get("dependsOn", [])]
        depth[name] = 1 + max(needs, default=-1)
    return [{name for name in order if depth[name] == level} for level in sorted(set(depth.values()), reverse=True)]
