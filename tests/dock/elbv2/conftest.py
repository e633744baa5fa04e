"""A dock with load balancers, a network for them, and applications that a test can make slow, sick or silent."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest_asyncio
from aiohttp import ClientSession, web

from dock.aws.acm import Acm
from dock.aws.elbv2 import Elbv2
from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.home import Home
from tests.dock.conftest import call, running_cloud

_numbers = itertools.count(1)


@dataclass
class Application:
    """Answers with its name; `status` is what its health check gets, `requests` what it was asked."""

    name: str
    address: str
    port: int
    status: int = 200
    requests: list[web.BaseRequest] = field(default_factory=list)
    waiting: int = 0


@dataclass
class Balanced:
    """A load balancer with its ARN and address, and boto3's clients of its account."""

    arn: str
    address: str
    name: str


class Dock:
    """What a test does with the dock, as a user does it with boto3."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.elb = cloud.client("elbv2", ACCOUNTS[0], REGIONS[0])
        self.subnets: list[str] = []
        self.vpc = ""

    @property
    def service(self) -> Elbv2:
        return self.cloud.service(Elbv2)

    async def make_network(self) -> None:
        ec2 = self.cloud.client("ec2", ACCOUNTS[0], REGIONS[0])
        self.vpc = (await call(ec2.create_vpc, CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
        for number, zone in enumerate(("a", "b")):
            subnet = await call(
                ec2.create_subnet,
                VpcId=self.vpc,
                CidrBlock=f"10.0.{number}.0/24",
                AvailabilityZone=f"{REGIONS[0]}{zone}",
            )
            self.subnets.append(subnet["Subnet"]["SubnetId"])

    async def load_balancer(self) -> Balanced:
        name = f"balancer-{next(_numbers)}"
        made = (await call(self.elb.create_load_balancer, Name=name, Subnets=self.subnets))["LoadBalancers"][0]
        return Balanced(made["LoadBalancerArn"], made["DNSName"], name)

    async def target_group(self, *applications: Application, **settings: Any) -> str:
        parameters = {
            "Name": f"group-{next(_numbers)}",
            "Protocol": "HTTP",
            "Port": 8080,
            "VpcId": self.vpc,
            "TargetType": "ip",
            "HealthCheckPath": "/health",
            "HealthCheckIntervalSeconds": 5,
            "HealthCheckTimeoutSeconds": 2,
            "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 2,
            **settings,
        }
        made = await call(self.elb.create_target_group, **parameters)
        arn: str = made["TargetGroups"][0]["TargetGroupArn"]
        if applications:
            await self.register(arn, *applications)
        return arn

    async def register(self, group: str, *applications: Application) -> None:
        targets = [{"Id": each.address, "Port": each.port} for each in applications]
        await call(self.elb.register_targets, TargetGroupArn=group, Targets=targets)

    async def deregister(self, group: str, *applications: Application) -> None:
        targets = [{"Id": each.address, "Port": each.port} for each in applications]
        await call(self.elb.deregister_targets, TargetGroupArn=group, Targets=targets)

    async def listener(self, balancer: Balanced, port: int, *groups: str | tuple[str, int], **settings: Any) -> str:
        parameters = {
            "LoadBalancerArn": balancer.arn,
            "Protocol": "HTTP",
            "Port": port,
            "DefaultActions": [forward(*groups)],
            **settings,
        }
        made = await call(self.elb.create_listener, **parameters)
        arn: str = made["Listeners"][0]["ListenerArn"]
        return arn

    async def states(self, group: str) -> dict[str, str]:
        """State and reason of each target, by address."""
        answer = await call(self.elb.describe_target_health, TargetGroupArn=group)
        return {
            entry["Target"]["Id"]: " ".join(
                filter(None, (entry["TargetHealth"]["State"], entry["TargetHealth"].get("Reason")))
            )
            for entry in answer["TargetHealthDescriptions"]
        }

    async def state(self, group: str, application: Application) -> str:
        return (await self.states(group)).get(application.address, "gone")

    @asynccontextmanager
    async def application(self, name: str, port: int = 8080) -> AsyncIterator[Application]:
        """An application on an address of its own, which `/slow?seconds=` keeps waiting and `/ws` echoes."""
        number = next(_numbers)
        running = Application(name, f"127.{self.cloud.addresses.octet}.8.{number}", port)
        runner = web.AppRunner(_routes(running), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, running.address, port).start()
        try:
            yield running
        finally:
            await runner.cleanup()


def forward(*groups: str | tuple[str, int]) -> dict[str, Any]:
    """A forward action to one group, or to several by weight."""
    if len(groups) == 1 and isinstance(groups[0], str):
        return {"Type": "forward", "TargetGroupArn": groups[0]}
    weighted = [
        {"TargetGroupArn": each, "Weight": 1}
        if isinstance(each, str)
        else {"TargetGroupArn": each[0], "Weight": each[1]}
        for each in groups
    ]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": weighted}}


def _routes(running: Application) -> web.Application:
    async def health(request: web.Request) -> web.Response:
        return web.Response(status=running.status)

    async def slow(request: web.Request) -> web.Response:
        running.waiting += 1
        try:
            await asyncio.sleep(float(request.query["seconds"]))
        finally:
            running.waiting -= 1
        return web.Response(text=running.name)

    async def status(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["code"]), text=running.name)

    async def rubbish(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"this is not HTTP\r\n\r\n")
        request.transport.close()
        return web.Response()

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        with contextlib.suppress(asyncio.CancelledError):
            async for message in socket:
                await socket.send_str(f"{running.name} {message.data}")
        return socket

    async def say_headers(request: web.Request) -> web.Response:
        return web.json_response(dict(request.headers))

    async def say_name(request: web.Request) -> web.Response:
        return web.Response(text=running.name)

    application = web.Application()
    application.router.add_get("/health", health)
    application.router.add_get("/slow", slow)
    application.router.add_get("/status/{code}", status)
    application.router.add_get("/rubbish", rubbish)
    application.router.add_get("/ws", echo)
    application.router.add_get("/headers", say_headers)
    application.router.add_route("*", "/{path:.*}", say_name)
    return application


async def eventually(check: Callable[[], Awaitable[Any]], wanted: Any, seconds: float = 20) -> None:
    """Wait until a check gives what is wanted."""
    deadline = asyncio.get_running_loop().time() + seconds
    while (found := await check()) != wanted:
        assert asyncio.get_running_loop().time() < deadline, f"still {found!r}, expected {wanted!r}"
        await asyncio.sleep(0.1)


async def get(session: ClientSession, url: str, **settings: Any) -> tuple[int, str]:
    """Status and body."""
    async with session.get(url, **settings) as answer:
        return answer.status, await answer.text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dock() -> AsyncIterator[Dock]:
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    async with running_cloud(Home(root / "home"), [Acm, Elbv2]) as cloud:
        dock = Dock(cloud)
        await dock.make_network()
        yield dock
    shutil.rmtree(root, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as client:
        yield client
