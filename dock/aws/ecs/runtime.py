"""What tasks run on: images, interpreters, processes, addresses, logs and load balancers of this dock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from dock.aws.ecr import Ecr
from dock.aws.ecs.identity import Identity
from dock.aws.ecs.log_driver import LogDriver
from dock.aws.ecs.records import Container, Deployment, Service, Shelf, Task
from dock.aws.logs import Logs
from dock.engines import images
from dock.engines.containers import Containers
from dock.engines.images import Image
from dock.engines.interpreters import LABEL, Interpreters
from dock.engines.memory import MemoryWatch
from dock.home import unprivileged_user

if TYPE_CHECKING:
    from dock.cloud import Cloud

# Unpacked images that no task uses, kept so that a rollback needn't unpack.
_IDLE_IMAGES = 8


class LoadBalancers(Protocol):
    """What ECS asks of the load balancing service."""

    async def register(self, target_group_arn: str, ip: str, port: int) -> None:
        """Send traffic there as soon as it is healthy."""

    async def deregister(self, target_group_arn: str, ip: str, port: int) -> None:
        """Send no new traffic there; returns when draining is over."""

    def health(self, target_group_arn: str) -> dict[tuple[str, int], str]:
        """initial, healthy, unhealthy, draining or unused, by target."""


class Runtime:
    """Shared by all tasks. Folders below the dock's home: `ecs/images`, `ecs/interpreters`, `ecs/tasks`."""

    def __init__(self, cloud: Cloud, tasks: Shelf[Task], services: Shelf[Service]) -> None:
        self.cloud = cloud
        self._tasks = tasks
        self._services = services
        self.save: Callable[[Task], None] = tasks.save
        user = unprivileged_user("nobody")
        owner = (user.pw_uid, user.pw_gid) if user is not None else None
        self.folder = cloud.home.data("ecs")
        self.image_folder = self.folder / "images"
        self.scratch_folder = self.folder / "tasks"
        self.home = cloud.home
        self.addresses = cloud.addresses
        self.containers = Containers(cloud.supervisor, owner)
        self.interpreters = Interpreters(self.folder / "interpreters", owner)
        self.memory = MemoryWatch()
        self.logs = cloud.service(Logs)
        self.registry = cloud.service(Ecr)
        self.identity = Identity(cloud, tasks)
        self.log_driver = LogDriver(self.logs, cloud.home.logs / "ecs")
        self._unpacking: dict[str, asyncio.Lock] = {}

    @property
    def url(self) -> str:
        return self.cloud.url

    def create(self) -> None:
        """Make the folders, which tasks may walk through."""
        for folder in (self.folder, self.image_folder, self.scratch_folder):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)

    def load_balancers(self) -> LoadBalancers:
        """The load balancing service. Raises RuntimeError when the dock runs without it."""
        service = self.cloud.services.get("elbv2")
        if service is None:
            raise RuntimeError("this dock has no load balancers")
        return cast(LoadBalancers, service)

    async def pull(self, task: Task, container: Container, *, pinned: bool) -> Image:
        """The container's image, unpacked. When pinned, all tasks of a deployment get what the first one got.

        Raises ImageError.
        """
        reference = container.image
        deployment = self._deployment(task) if pinned else None
        if deployment is not None and reference in deployment.images:
            reference = f"{_without_tag(reference)}@{deployment.images[reference]}"
        async with self._unpacking.setdefault(reference, asyncio.Lock()):
            image = await self.registry.unpack(task.account, task.region, reference, self.image_folder)
        await asyncio.to_thread(os.utime, image.root.parent)
        service = self._service(task)
        if deployment is not None and service is not None and container.image not in deployment.images:
            deployment.images[container.image] = image.digest
            self._services.save(service)
        return image

    def stop_signal(self, container: Container) -> str:
        """The signal that the container's image wants to be stopped with."""
        image = images.unpacked(self.image_folder, container.image_digest) if container.image_digest else None
        return image.stop_signal if image is not None else "SIGTERM"

    async def interpreter(self, image: Image) -> Path:
        """The folder with the interpreter that an image asks for. Raises ImageError."""
        return await asyncio.to_thread(self.interpreters.folder, image.labels.get(LABEL))

    def scratch(self, task: str, container: str) -> Path:
        """A folder of the container's own that it may write to. Blocks."""
        parent = self.scratch_folder / task
        folder = parent / container
        folder.mkdir(parents=True, exist_ok=True)
        parent.chmod(0o711)
        folder.chmod(0o700)
        if self.containers.user is not None:
            os.chown(folder, *self.containers.user)
        return folder

    def bytecode(self, image: Image) -> Path:
        """Where Python keeps what it compiled of an image, for all of its tasks: they can't write to the image itself,
        and would compile everything at each start. Blocks."""
        folder = image.root.parent / "bytecode"
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.containers.user is not None:
            os.chown(folder, *self.containers.user)
        return folder

    async def remove_unused_images(self) -> None:
        """Remove unpacked images that no task has needed for long."""
        running = [c for task in self._tasks if task.last_status != "STOPPED" for c in task.containers]
        if all(container.image_digest for container in running):
            # Else one is being unpacked, and its digest isn't known yet.
            used = {container.image_digest or "" for container in running}
            await asyncio.to_thread(images.remove_unused, self.image_folder, used, _IDLE_IMAGES)

    def _service(self, task: Task) -> Service | None:
        key = task.service_key
        return None if key is None else self._services.get(task.scope, key)

    def _deployment(self, task: Task) -> Deployment | None:
        service = self._service(task)
        return next((d for d in service.deployments if d.id == task.deployment), None) if service else None


def _without_tag(reference: str) -> str:
    host, _, path = reference.partition("/")
    return f"{host}/{path.partition('@')[0].partition(':')[0]}"
