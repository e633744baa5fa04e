"""One dock, wired together: the store, the engines, the services and the front door."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

import boto3.session
from botocore.config import Config

from dock.addresses import FRONT_DOOR_PORT, Addresses
from dock.aws.service import Service
from dock.certificates import CertificateAuthority
from dock.emulator.process import Emulator
from dock.engines.endpoints import Endpoints
from dock.engines.supervisor import Supervisor
from dock.front_door import FrontDoor
from dock.home import Home
from dock.store import Store

log = logging.getLogger(__name__)
S = TypeVar("S", bound=Service)

ACCOUNTS = ("000000000001", "000000000002")
REGIONS = ("us-east-1", "us-west-2")
# For each service in turn; `drydock down` waits for all of them.
STOP_SECONDS = 20


class Cloud:
    """Everything that a service may use. `services` are started in the order given and stopped in the opposite one."""

    def __init__(self, home: Home, services: list[type[Service]]) -> None:
        home.create()
        self.home = home
        self.store = Store(home.database)
        self.addresses = Addresses(self.store)
        self.certificates = CertificateAuthority(home)
        self.supervisor = Supervisor(self.store, home.root)
        self.endpoints = Endpoints(home, self.supervisor)
        self.emulator = Emulator(home, self.supervisor, self.addresses.emulator)
        self.services: dict[str, Service] = {service.name: service(self) for service in services}
        self.front_door = FrontDoor(self.services, self.emulator.url)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL is set to."""
        return f"http://{self.addresses.front_door}:{FRONT_DOOR_PORT}"

    def service(self, kind: type[S]) -> S:
        """Another service of this dock, for example `cloud.service(Elbv2)`."""
        found = self.services[kind.name]
        assert isinstance(found, kind)
        return found

    def client(self, service: str, account: str, region: str) -> Any:
        """A boto3 client of this dock's own front door, as the account's root. Its calls block: use a thread."""
        session: Any = boto3.session.Session()
        return session.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="dock",  # noqa: S106  (no secret: nothing here checks a signature)
            config=Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3}),
        )

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something in the background; a failure is logged, the end of the dock cancels it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.error("%s ended with an error", task.get_name(), exc_info=problem)

    async def start(self) -> None:
        """Bring up all that should run, adopting what an earlier daemon left running."""
        await self.emulator.start()
        await self.front_door.start(self.addresses.front_door, FRONT_DOOR_PORT)
        await self.endpoints.start()
        for service in self.services.values():
            await service.start()
        self.front_door.services_started()

    async def leave(self) -> None:
        """End the daemon alone: engines go on, the next daemon adopts them."""
        self.emulator.detach()
        self.endpoints.detach()
        await self._cancel_tasks()
        await self.front_door.stop()
        self.store.close()

    async def stop(self) -> None:
        """Stop everything in order (`drydock down`); every record stays."""
        for service in reversed(self.services.values()):
            await self._within(service.stop(), service.name)
        await self._within(self.endpoints.stop(), "the endpoints")
        await self._cancel_tasks()
        await self._within(self.front_door.stop(), "the front door")
        await self._within(self.emulator.stop(), "the emulator")
        for process in self.supervisor.running():
            log.warning("%s was still running at the end; it is killed", process.name)
            process.kill_group()
        self.store.close()

    async def _within(self, stopping: Coroutine[Any, Any, None], name: str) -> None:
        """What can't be stopped in order must not keep the rest from it."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await stopping
        except Exception:
            log.exception("%s could not be stopped in order", name)

    async def _cancel_tasks(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
