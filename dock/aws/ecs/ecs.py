"""ECS, put together: what starts, adopts and stops tasks and services."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from dock.aws.ecs import fargate, identity, metadata
from dock.aws.ecs.blue_green import BlueGreen
from dock.aws.ecs.clusters import MEMORY_SECONDS
from dock.aws.ecs.conditions import Examiner
from dock.aws.ecs.crew import Crew
from dock.aws.ecs.deployment_alarms import DeploymentAlarms
from dock.aws.ecs.life import Life
from dock.aws.ecs.records import Deployment, Service, Task
from dock.aws.ecs.runtime import Runtime
from dock.aws.ecs.scheduler import Scheduler
from dock.aws.ecs.service_deployments import ServiceDeployments
from dock.aws.ecs.traffic import Traffic
from dock.faults.engines import Engine, Part
from dock.store import Record

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 30
_RETRY_SECONDS = 5


class Ecs(ServiceDeployments):
    """Clusters, task definitions, services, tasks. It has no EC2 instances and no ExecuteCommand."""

    name = "ecs"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._runtime: Runtime | None = None
        self._lives: dict[str, Life] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._keeping: set[asyncio.Task[None]] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.scheduler = self._scheduler(cloud)

    def _scheduler(self, cloud: Cloud) -> Scheduler:
        examiner = Examiner(lambda: self.runtime.load_balancers())
        crew = Crew(
            self.services,
            examiner,
            launch=self._launch,
            stop=self.end,
            zone=lambda service, deployment: self.placement.zone(
                service.scope, deployment.network, f"service:{service.name}"
            ),
        )
        blue_green = BlueGreen(self.services, self.history, crew, Traffic(cloud))
        return Scheduler(self.services, self.tasks, self.history, examiner, crew, DeploymentAlarms(cloud), blue_green)

    @property
    def runtime(self) -> Runtime:
        """What tasks run on; made when it is first needed, since other services are made after this one."""
        if self._runtime is None:
            self._runtime = Runtime(self.cloud, self.tasks, self.services)
        return self._runtime

    async def start(self) -> None:
        """Carry on with every task that an earlier daemon left, then with every service."""
        if self._background:
            return
        self._stopping = False
        self.runtime.create()
        endpoint = metadata.Metadata(self.tasks, self.definition_by_arn)
        self.cloud.front_door.add_path(metadata.PATH, endpoint.answer)
        self.cloud.front_door.add_path(identity.PATH, self.runtime.identity.answer)
        self._spawn(self.runtime.log_driver.run(), "container logs")
        self._spawn(self.runtime.memory.run(), "container memory")
        self._spawn(self._sweep(), "ecs sweep")
        for task in self.tasks:
            if task.last_status != "STOPPED" or task.targets:
                self.begin(task)
        for service in self.services:
            if service.status != "INACTIVE":
                self.keep(service)

    async def stop(self) -> None:
        """End every task; services keep their desired count, so that the next start brings theirs back."""
        self._stopping = True
        for keeping in self._keeping:
            keeping.cancel()
        ending = []
        for task_id, life in self._lives.items():
            life.hurry()
            life.stop("ServiceSchedulerInitiated", "the dock was taken down")
            ending.append(self._running[task_id])
        if ending:
            await asyncio.wait(ending, timeout=fargate.MAX_STOP_TIMEOUT + 30)
        for background in list(self._background):
            background.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._lives.clear()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = self.cloud.spawn(work, name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    # tasks

    def begin(self, task: Task) -> None:
        definition = self.definition_by_arn(task.scope, task.definition)
        if definition is None:
            log.error("task %s: its definition %s is gone", task.id, task.definition)
            return
        # Made here and now, so that nobody can ask for the end of a task that isn't known yet.
        self._lives[task.id] = Life(self.runtime, task, definition, self)
        self._running[task.id] = self._spawn(self._live(task, definition), f"task {task.id}")

    def end(self, task: Task, code: str, reason: str) -> None:
        life = self._lives.get(task.id)
        if life is not None:
            life.stop(code, reason)

    async def _live(self, task: Task, definition: Record) -> None:
        """A task's life, taken up again when the dock itself failed in it (a full disk, for example)."""
        while True:
            life = self._lives[task.id]
            if self._stopping:
                life.hurry()
            try:
                if task.last_status != "STOPPED":
                    await life.run()
                await life.aftercare()
            except (OSError, sqlite3.Error) as problem:
                log.error("task %s: %s; trying again in %d s", task.id, problem, _RETRY_SECONDS)
                await asyncio.sleep(_RETRY_SECONDS)
                self._lives[task.id] = Life(self.runtime, task, definition, self)
            else:
                break
        self._lives.pop(task.id, None)
        self._running.pop(task.id, None)
        self.runtime.identity.forget(task)

    def changed(self, task: Task) -> None:
        """A task's record has changed: its service looks."""
        service = self._service_of(task)
        if service is not None:
            self.scheduler.wake(service)

    def say(self, task: Task, message: str) -> None:
        """Add an event to the task's service."""
        service = self._service_of(task)
        if service is not None:
            service.say(message)
            self.services.save(service)

    def _service_of(self, task: Task) -> Service | None:
        key = task.service_key
        return self.services.get(task.scope, key) if key is not None else None

    # services

    def keep(self, service: Service) -> None:
        keeping = self._spawn(self.scheduler.run(service), f"service {service.name}")
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)

    def _launch(self, service: Service, deployment: Deployment, zone: str) -> Task:
        definition = self.definition_by_arn(service.scope, deployment.definition)
        if definition is None:
            raise RuntimeError(f"the task definition {deployment.definition} is gone")
        tags = {"SERVICE": service.tags, "TASK_DEFINITION": definition["tags"]}.get(service.propagate_tags, {})
        if service.managed_tags:
            tags = {**tags, "aws:ecs:clusterName": service.cluster, "aws:ecs:serviceName": service.name}
        strategy = service.recorded.get("capacityProviderStrategy")
        task = self.new_task(
            service.scope,
            service.cluster,
            definition,
            zone=zone,
            group=f"service:{service.name}",
            network=deployment.network,
            service=service.name,
            deployment=deployment.id,
            load_balancers=deployment.registrations,
            tags=dict(tags),
            launch_type=None if strategy else "FARGATE",
            capacity_provider=strategy[0]["capacityProvider"] if strategy else None,
            started_by=deployment.id,
        )
        self.tasks.save(task)
        self.begin(task)
        return task

    # housekeeping

    async def _sweep(self) -> None:
        while True:
            with contextlib.suppress(OSError, sqlite3.Error):
                await self._forget_the_old()
            await asyncio.sleep(_SWEEP_SECONDS)

    async def _forget_the_old(self) -> None:
        before = time.time() - MEMORY_SECONDS
        for task in self.tasks:
            if task.last_status == "STOPPED" and not task.targets and (task.stopped or 0) < before:
                for container in task.containers:
                    await self.runtime.log_driver.forget(f"{task.id}/{container.name}")
                self.tasks.remove(task)
        for service in self.services:
            if service.status == "INACTIVE" and (service.inactive_since or 0) < before:
                self.history.forget(service)
                self.services.remove(service)
        self.forget_deleted_clusters(before)
        self.forget_deleted_definitions()
        await self.runtime.remove_unused_images()

    def engines(self) -> list[Engine]:
        found = []
        live = [task for task in self.tasks if task.last_status != "STOPPED"]
        for service in self.services:
            if service.status != "INACTIVE":
                parts = [
                    Part(f"ecs/{task.id}", task.id, task.zone)
                    for task in live
                    if task.service_key == service.key and task.scope == service.scope
                ]
                found.append(Engine("service", service.name, service.scope, parts, aliases=(service.arn,)))
        return found + [
            Engine("task", task.id, task.scope, [Part(f"ecs/{task.id}", "task", task.zone)], aliases=(task.arn,))
            for task in live
        ]

    def status(self) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = []
        for service in self.services:
            if service.status == "INACTIVE":
                continue
            view = self.describe(service, tags=False)
            shown.append(
                {
                    "kind": "service",
                    "name": service.name,
                    "cluster": service.cluster,
                    "account": service.account,
                    "region": service.region,
                    "state": "steady" if service.steady else service.primary.rollout.lower(),
                    "desired": service.desired,
                    "running": view["runningCount"],
                    "pending": view["pendingCount"],
                    "task_definition": service.definition.rpartition("/")[2],
                    "last_event": service.events[0]["message"] if service.events else None,
                }
            )
        for task in self.tasks:
            if task.last_status != "STOPPED":
                shown.append(
                    {
                        "kind": "task",
                        "name": task.id,
                        "group": task.group,
                        "account": task.account,
                        "region": task.region,
                        "state": task.last_status.lower(),
                        "health": task.health.lower(),
                        "zone": task.zone,
                        "address": task.address,
                        "task_definition": f"{task.family}:{task.revision}",
                    }
                )
        return shown
