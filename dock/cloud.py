"""One dock, wired together: the store, the engines, the services and the front door."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

import boto3.session
from botocore.config import Config

from dock.addresses import FRONT_DOOR_PORT, Addresses
from dock.authorization.authorizer import Authorizer
from dock.aws.iam import Iam
from dock.aws.service import Service
from dock.aws.sts import Sts
from dock.aws.sts.sessions import Issued
from dock.calls import Calls
from dock.certificates import CertificateAuthority
from dock.cloudflare import Cloudflare
from dock.emulator.process import Emulator
from dock.engines import log_rotation
from dock.engines.endpoints import Endpoints
from dock.engines.supervisor import Supervisor
from dock.faults.faults import Faults
from dock.front_door import INTERNAL_HEADER, FrontDoor
from dock.home import Home
from dock.store import Store

log = logging.getLogger(__name__)
S = TypeVar("S", bound=Service)

ACCOUNTS = ("000000000001", "000000000002")
REGIONS = ("us-east-1", "us-west-2")
# For each service in turn; `drydock down` waits for all of them.
STOP_SECONDS = 20


class Cloud:
    """Everything that a service may use. `services` are started in the order given and stopped in the opposite one;
    IAM and STS are there before all others."""

    def __init__(self, home: Home, services: list[type[Service]]) -> None:
        home.create()
        self.home = home
        self.store = Store(home.database)
        self.addresses = Addresses(self.store)
        self.certificates = CertificateAuthority(home)
        self.supervisor = Supervisor(self.store, home.root)
        self.endpoints = Endpoints(home, self.supervisor)
        self.emulator = Emulator(home, self.supervisor, self.addresses.emulator)
        self.services: dict[str, Service] = {}
        first: list[type[Service]] = [Iam, Sts]
        for service in first + services:
            self.services[service.name] = service(self)
        self.cloudflare = Cloudflare(self.store, home, self.addresses, self.certificates, self.supervisor)
        self.calls = Calls(home.logs)
        self.faults = Faults(self)
        self.front_door = FrontDoor(self.services, self.emulator.url, self.faults.api, self.calls)
        self.authorizer = Authorizer(self, ACCOUNTS)
        self.front_door.authorize = self.authorizer.authorize
        self.front_door.acted = self.authorizer.acted
        self._tasks: set[asyncio.Task[None]] = set()

    accounts = ACCOUNTS
    regions = REGIONS

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL is set to."""
        return f"http://{self.addresses.front_door}:{FRONT_DOOR_PORT}"

    def service(self, kind: type[S]) -> S:
        """Another service of this dock, for example `cloud.service(Elbv2)`."""
        found = self.services[kind.name]
        assert isinstance(found, kind)
        return found

    def client(self, service: str, account: str, region: str, issued: Issued | None = None) -> Any:
        """A boto3 client of this dock's own front door, as the account's root, or with what was issued to a role. Its
        calls block: use a thread."""
        session: Any = boto3.session.Session()
        client = session.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=issued.session.key if issued else account,
            aws_secret_access_key=issued.session.secret if issued else "dock",
            aws_session_token=issued.token if issued else None,
            config=Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3}),
        )
        if issued is None:
            client.meta.events.register("before-send", self._mark_as_internal)
        return client

    def _mark_as_internal(self, request: Any, **_: Any) -> None:
        request.headers[INTERNAL_HEADER] = self.front_door.internal_token

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
        await self.faults.prepare()
        await self.emulator.start()
        await self.front_door.start(self.addresses.front_door, FRONT_DOOR_PORT)
        await self.endpoints.start()
        for service in self.services.values():
            await service.start()
        # The edge asks the DNS server, so it comes after the services.
        await self.cloudflare.start()
        self.front_door.services_started()
        self.spawn(self.faults.run(), "faults")
        # What containers write is copied from there to CloudWatch Logs, and shortened by who copies it.
        self.spawn(log_rotation.run(self.home.logs, self.home.logs / "ecs"), "log rotation")

    async def leave(self) -> None:
        """End the daemon alone: engines go on, the next daemon adopts them."""
        self.emulator.detach()
        self.endpoints.detach()
        await self.cloudflare.leave()
        await self._cancel_tasks()
        await self.front_door.stop()
        self.store.close()

    async def stop(self) -> None:
        """Stop everything in order (`drydock down`); every record stays."""
        await self._within(self.cloudflare.stop(), "Cloudflare")
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
