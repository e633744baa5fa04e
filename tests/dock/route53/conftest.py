"""A dock with zones, health checks and load balancers, and endpoints that a test can make sick."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest_asyncio
from aiohttp import web
from dnslib import DNSRecord

from dock.aws.cloudwatch import CloudWatch
from dock.aws.elbv2 import Elbv2
from dock.aws.route53 import Route53
from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.home import Home
from tests.dock.conftest import call, running_cloud

_numbers = itertools.count(1)
# The fewest that AWS takes.
FEW_REGIONS = ["us-east-1", "eu-west-1", "sa-east-1"]


@dataclass
class Endpoint:
    """Answers with `status` and `body`, or with nothing once it is `dead`; `asked` are the checkers' addresses."""

    address: str
    port: int
    status: int = 200
    body: str = "all is well"
    delay: float = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self.runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, self.address, self.port).start()

    async def die(self) -> None:
        """Nobody listens any more."""
        assert self.runner is not None
        await self.runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append((str(request.remote), dict(request.headers)))
        await asyncio.sleep(self.delay)
        return web.Response(status=self.status, text=self.body)


class Names:
    """What a test does with Route 53, as a user does it with boto3 and dig."""

    def __init__(self, client: Any, server: tuple[str, int]) -> None:
        self.route53 = client
        self.server = server

    async def zone(self, name: str | None = None) -> str:
        name = name or f"zone-{next(_numbers)}.test"
        made = await call(self.route53.create_hosted_zone, Name=name, CallerReference=f"zone {time.time_ns()}")
        identifier: str = made["HostedZone"]["Id"]
        await self.in_sync(made["ChangeInfo"])
        return identifier

    async def change(self, zone: str, *changes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        asked = [{"Action": action, "ResourceRecordSet": given} for action, given in changes]
        made = await call(self.route53.change_resource_record_sets, HostedZoneId=zone, ChangeBatch={"Changes": asked})
        await self.in_sync(made["ChangeInfo"])
        info: dict[str, Any] = made["ChangeInfo"]
        return info

    async def in_sync(self, change: dict[str, Any], seconds: float = 10) -> None:
        """Wait until a change is INSYNC."""

        async def status() -> Any:
            return (await call(self.route53.get_change, Id=change["Id"]))["ChangeInfo"]["Status"]

        await until(status, "INSYNC", seconds)

    async def check(self, endpoint: Endpoint | None = None, **config: Any) -> str:
        if endpoint is not None:
            config = {"Type": "HTTP", "IPAddress": endpoint.address, "Port": endpoint.port, "RequestInterval": 10,
                      "FailureThreshold": 1, "Regions": FEW_REGIONS, **config}  # fmt: skip
        made = await call(
            self.route53.create_health_check, CallerReference=f"check {time.time_ns()}", HealthCheckConfig=config
        )
        identifier: str = made["HealthCheck"]["Id"]
        return identifier

    async def observed(self, check: str) -> list[str]:
        """What the checkers say, region by region."""
        answer = await call(self.route53.get_health_check_status, HealthCheckId=check)
        return [entry["StatusReport"]["Status"] for entry in answer["HealthCheckObservations"]]

    async def first_failure(self, check: str, seconds: float = 15) -> float:
        """Wait for the first failed request; when it was, as `time.time()`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = await call(self.route53.get_health_check_last_failure_reason, HealthCheckId=check)
            if found := answer["HealthCheckObservations"]:
                return min(entry["StatusReport"]["CheckedTime"].timestamp() for entry in found)
            await asyncio.sleep(0.05)
        raise AssertionError("no check failed")

    async def ask(self, name: str, kind: str = "A", tcp: bool = False) -> DNSRecord:
        packet = await asyncio.to_thread(DNSRecord.question(name, kind).send, *self.server, tcp, 2)
        return DNSRecord.parse(packet)

    async def addresses(self, name: str) -> list[str]:
        return sorted(str(record.rdata) for record in (await self.ask(name)).rr)

    async def changes_to(self, name: str, address: str, seconds: float) -> float:
        """Wait until a name leads there; when it did, as `time.time()`."""
        await until(lambda: self.addresses(name), [address], seconds, 0.02)
        return time.time()


class Dock(Names):
    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud.client("route53", ACCOUNTS[0], REGIONS[0]), cloud.addresses.dns)
        self.cloud = cloud

    @asynccontextmanager
    async def endpoint(self, **facts: Any) -> AsyncIterator[Endpoint]:
        """One on an address of its own."""
        running = Endpoint(f"127.{self.cloud.addresses.octet}.9.{next(_numbers)}", 8080, **facts)
        await running.start()
        try:
            yield running
        finally:
            await running.die()


def simple(name: str, *values: str, kind: str = "A", ttl: int = 5, **more: Any) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": [{"Value": value} for value in values], **more}


def failover(name: str, primary: str, secondary: str, check: str, ttl: int = 5) -> list[tuple[str, dict[str, Any]]]:
    """The changes that make a pair of records."""
    return [
        ("CREATE", simple(name, primary, ttl=ttl, SetIdentifier="p", Failover="PRIMARY", HealthCheckId=check)),
        ("CREATE", simple(name, secondary, ttl=ttl, SetIdentifier="s", Failover="SECONDARY")),
    ]


async def until(check: Callable[[], Any], wanted: Any, seconds: float, pause: float = 0.05) -> None:
    """Wait until a check gives what is wanted."""
    deadline = time.monotonic() + seconds
    while (found := await check()) != wanted:
        assert time.monotonic() < deadline, f"still {found!r}, expected {wanted!r}"
        await asyncio.sleep(pause)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dock() -> AsyncIterator[Dock]:
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    async with running_cloud(Home(root / "home"), [CloudWatch, Elbv2, Route53]) as cloud:
        yield Dock(cloud)
    shutil.rmtree(root, ignore_errors=True)
