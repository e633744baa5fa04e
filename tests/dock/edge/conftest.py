"""Cloudflare's half of a dock, its official client, an origin, and users with addresses of their own."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from aiohttp import web
from cloudflare import AsyncCloudflare

from dock.addresses import Addresses
from dock.certificates import CertificateAuthority
from dock.cloudflare import Cloudflare
from dock.engines.supervisor import Supervisor
from dock.home import Home
from dock.store import Store

ACCOUNT = "00000000000000000000000000000001"
_numbers = itertools.count(1)


@dataclass
class Origin:
    """An application behind the edge. `headers` go out with each answer; `requests` are what it was asked."""

    address: str
    port: int = 8080
    status: int = 200
    body: bytes = b"hello"
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[web.BaseRequest] = field(default_factory=list)
    runner: Any = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_get("/ws", self._socket)
        application.router.add_get("/slow", self._slow)
        application.router.add_get("/stream", self._stream)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self.runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, self.address, self.port, reuse_address=True).start()

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        if self.headers.get("ETag") is not None and request.headers.get("If-None-Match") == self.headers["ETag"]:
            return web.Response(status=304, headers=self.headers)
        return web.Response(status=self.status, body=await request.read() or self.body, headers=self.headers)

    async def _slow(self, request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.query["seconds"]))
        return web.Response(text="at last")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(3):
            await response.write(b"%d" % number * 50_000)
        return response

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        self.requests.append(request)
        socket = web.WebSocketResponse(protocols=("chat",))
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"you said {message.data}")
        return socket


class World:
    """A zone of the test's own for each test, on one edge."""

    def __init__(self, cloudflare: Cloudflare, home: Home, octet: int) -> None:
        self.cloudflare = cloudflare
        self.home = home
        self.octet = octet
        self.client = self.login(cloudflare.tokens.root)

    def login(self, token: str) -> AsyncCloudflare:
        return AsyncCloudflare(api_token=token, base_url=self.cloudflare.url, max_retries=0)

    @property
    def edge(self) -> str:
        return self.cloudflare.edge_address

    async def zone(self, plan: str = "pro") -> Zone:
        name = f"chat{next(_numbers)}.example"
        made = await self.client.zones.create(name=name, account={"id": ACCOUNT}, type="full")
        await self.client.zones.activation_check.trigger(zone_id=made.id)
        if plan != "pro":
            await self.client.zones.subscriptions.update(zone_id=made.id, rate_plan={"id": plan})
        return Zone(self, made.id, name)

    @asynccontextmanager
    async def origin(self, port: int = 8080) -> AsyncIterator[Origin]:
        running = Origin(f"127.{self.octet}.8.{next(_numbers)}", port)
        await running.start()
        try:
            yield running
        finally:
            await running.stop()


class Zone:
    def __init__(self, world: World, id: str, name: str) -> None:
        self.world, self.id, self.name = world, id, name
        self.client = world.client
        self.user = f"127.{world.octet}.200.{next(_numbers)}"

    async def lead_to(self, origin: Origin, host: str = "") -> None:
        await self.client.dns.records.create(
            zone_id=self.id, type="A", name=host or self.name, content=origin.address, proxied=True, ttl=1
        )

    async def set(self, name: str, value: Any) -> None:
        await self.client.zones.settings.edit(name, zone_id=self.id, value=value)

    async def rules(self, phase: str, *rules: dict[str, Any]) -> None:
        """All rules of a phase."""
        await self.client.rulesets.phases.update(phase, zone_id=self.id, rules=list(rules))

    async def block(self, name: str, *addresses: str) -> str:
        """A list with these addresses; its id."""
        made = await self.client.rules.lists.create(account_id=ACCOUNT, kind="ip", name=name)
        items = [{"ip": address} for address in addresses]
        begun = await self.client.rules.lists.items.create(made.id, account_id=ACCOUNT, body=items)
        await self.done(begun.operation_id)
        return str(made.id)

    async def done(self, operation: str) -> str:
        operations = self.client.rules.lists.bulk_operations
        while True:
            found = await operations.get(operation, account_id=ACCOUNT)
            if found.status in ("completed", "failed"):
                return str(found.status)
            await asyncio.sleep(0.02)

    def browser(self, address: str = "", **settings: Any) -> httpx.AsyncClient:
        """A user's, who comes from an address of their own."""
        transport = httpx.AsyncHTTPTransport(local_address=address or self.user, **settings)
        return httpx.AsyncClient(transport=transport, headers={"Host": self.name}, timeout=20)

    async def get(self, path: str = "/", method: str = "GET", port: int = 8080, **settings: Any) -> httpx.Response:
        address = settings.pop("address", "")
        async with self.browser(address) as browser:
            return await browser.request(method, f"http://{self.world.edge}:{port}{path}", **settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    home = Home(root / "home")
    home.create()
    store = Store(home.database)
    addresses = Addresses(store)
    cloudflare = Cloudflare(store, home, addresses, CertificateAuthority(home), Supervisor(store, home.root))
    cloudflare.timeouts = {"connect": 1, "read": 1}
    await cloudflare.start()
    world = World(cloudflare, home, addresses.octet)
    try:
        yield world
    finally:
        # A test may have put a later daemon's in its place.
        await world.cloudflare.stop()
        store.close()
        shutil.rmtree(root, ignore_errors=True)


async def eventually(check: Callable[[], Any], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.05)
