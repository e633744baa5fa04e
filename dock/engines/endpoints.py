"""Stable TCP endpoints for databases and caches: an address that stays while what answers behind it changes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dock.engines.haproxy.process import HAProxy, HAProxyError
from dock.engines.supervisor import Supervisor
from dock.home import Home, unprivileged_user

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 8192
# Sessions in pools sit idle for days; the kernel's keepalive notices a dead peer.
IDLE = "20d"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where clients connect, and which (address, port) answers; with target None connections are closed at once."""

    owner: str
    address: str
    port: int
    target: tuple[str, int] | None

    @property
    def proxy(self) -> str:
        """The name of its proxy in HAProxy: readable, and unlike any other owner's."""
        digest = hashlib.sha256(self.owner.encode()).hexdigest()[:8]
        return f"{re.sub(r'[^A-Za-z0-9_.-]', '-', self.owner)}-{digest}"


class Endpoints:
    """All endpoints of a dock, on one HAProxy in TCP mode. TLS passes through.

    The mapping is kept in `home.data("endpoints")/endpoints.json`, durable before a call returns. A HAProxy that
    is killed comes back with it; one that outlived the daemon is adopted. Raises HAProxyError (AddressTaken) where
    HAProxy can't listen as asked; the mapping then is as before. A new target is kept even when HAProxy doesn't answer.
    """

    def __init__(self, home: Home, supervisor: Supervisor) -> None:
        self._folder = home.data("endpoints")
        self._file = self._folder / "endpoints.json"
        self._haproxy = HAProxy("endpoints", self._folder, home.run, home.logs / "endpoints.log", supervisor)
        self._endpoints: dict[str, Endpoint] = {}
        self._diverted: dict[str, tuple[str, int] | None] = {}
        self._lock = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the mapping; adopt the HAProxy that runs, or start one when there is something to serve."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            kept = json.loads(self._file.read_text())
            self._endpoints = {
                record["owner"]: Endpoint(
                    record["owner"],
                    record["address"],
                    record["port"],
                    tuple(record["target"]) if record["target"] else None,
                )
                for record in kept
            }
        async with self._lock:
            if self._endpoints:
                await self._run()

    async def publish(self, owner: str, address: str, port: int, target: tuple[str, int] | None) -> None:
        """Serve `address:port` for this owner. Does nothing when it is so already."""
        async with self._lock:
            before = self._endpoints.get(owner)
            wanted = Endpoint(owner, address, port, target)
            if before is not None and (before.address, before.port) == (address, port):
                await self._follow(before, wanted)
                return
            endpoints = {**self._endpoints, owner: wanted}
            if self._haproxy.alive:
                await self._haproxy.reload(self._render(endpoints), [(address, port)])
                try:
                    self._keep(endpoints)
                except OSError:
                    await self._haproxy.reload(self._render(self._endpoints))
                    raise
                return
            self._keep(endpoints)
            try:
                await self._run([(address, port)])
            except HAProxyError:
                self._keep({name: kept for name, kept in endpoints.items() if name != owner})
                raise

    async def retarget(self, owner: str, target: tuple[str, int] | None) -> None:
        """Send new connections to `target`, and close those that go to another. KeyError when nobody published it."""
        async with self._lock:
            before = self._endpoints[owner]
            await self._follow(before, replace(before, target=target))

    async def withdraw(self, owner: str) -> None:
        """Serve it no more; its connections are closed. Nothing happens when it isn't published."""
        async with self._lock:
            endpoint = self._endpoints.get(owner)
            if endpoint is None:
                return
            await self._follow(endpoint, replace(endpoint, target=None))
            remaining = {name: kept for name, kept in self._endpoints.items() if name != owner}
            if remaining:
                if self._haproxy.alive:
                    await self._haproxy.reload(self._render(remaining))
                else:
                    self._haproxy.write(self._render(remaining))
            else:
                self.detach()
                await self._haproxy.stop()
            self._keep(remaining)

    def target(self, owner: str) -> tuple[str, int] | None:
        """What answers for this owner, whatever stands in between; None when nothing does, or nobody published it."""
        endpoint = self._endpoints.get(owner)
        return endpoint.target if endpoint is not None else None

    async def divert(self, owner: str, via: tuple[str, int] | None) -> None:
        """Put something between an endpoint and its target; with None nothing listens any more, so that connections
        are refused. Sessions that are open are closed. Forgotten at the daemon's end. KeyError as in `retarget`."""
        async with self._lock:
            endpoint = self._endpoints[owner]
            before = self._diverted.get(owner, endpoint.target)
            self._diverted[owner] = via
            if via is None or before is None:
                await self._direct(endpoint)
                await self._haproxy.reload(self._render(self._endpoints))
            if via is not None:
                await self._direct(endpoint)

    async def restore(self, owner: str) -> None:
        """Take away what `divert` put there; nothing happens when there is nothing."""
        async with self._lock:
            if owner not in self._diverted:
                return
            refused = self._diverted.pop(owner) is None
            endpoint = self._endpoints.get(owner)
            if endpoint is None:
                return
            if refused:
                await self._haproxy.reload(self._render(self._endpoints))
            await self._direct(endpoint)

    async def stop(self) -> None:
        """Close every endpoint; the mapping stays for the next start."""
        async with self._lock:
            self.detach()
            await self._haproxy.stop()

    def detach(self) -> None:
        """Let HAProxy go on without a watcher, for a daemon that ends alone."""
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def status(self) -> list[dict[str, object]]:
        """One dict for each endpoint: `kind`, `name`, `state` (serving, closed, failed), `address`, `target`."""
        alive = self._haproxy.alive
        return [
            {
                "kind": "endpoint",
                "name": endpoint.owner,
                "state": ("serving" if endpoint.target else "closed") if alive else "failed",
                "address": f"{endpoint.address}:{endpoint.port}",
                "target": f"{endpoint.target[0]}:{endpoint.target[1]}" if endpoint.target else None,
                "problem": None if alive else self._haproxy.problem,
            }
            for endpoint in self._endpoints.values()
        ]

    async def _run(self, listeners: Iterable[tuple[str, int]] = ()) -> None:
        text = self._render(self._endpoints)
        if await self._haproxy.run(text, listeners):
            if await self._generation() != _generation(self._effective(self._endpoints)):
                await self._haproxy.reload(text, listeners)
            else:
                self._haproxy.write(text)
                await self._converge()
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._haproxy.watch(), name="endpoints: watch HAProxy")

    async def _generation(self) -> str:
        try:
            return await self._haproxy.runtime.generation()
        except OSError:
            return ""

    async def _converge(self) -> None:
        """Send each endpoint to its target where an earlier daemon died between keeping and doing."""
        rows = {row["be_name"]: row for row in await self._haproxy.runtime.servers_state()}
        for endpoint in self._effective(self._endpoints):
            row = rows[endpoint.proxy]
            closed = int(row["srv_admin_state"]) != 0
            found = None if closed else (row["srv_addr"], int(row["srv_port"]))
            if found != endpoint.target:
                await self._direct(endpoint)

    async def _follow(self, before: Endpoint, wanted: Endpoint) -> None:
        if before == wanted:
            return
        endpoints = {**self._endpoints, wanted.owner: wanted}
        self._keep(endpoints)
        self._haproxy.write(self._render(endpoints))
        # A HAProxy that just died comes back with the file just written.
        if self._haproxy.alive:
            await self._direct(wanted)

    def _effective(self, endpoints: dict[str, Endpoint]) -> list[Endpoint]:
        """The endpoints as they are to be served now: diverted where they are, and without those that refuse."""
        served = []
        for endpoint in endpoints.values():
            via = self._diverted.get(endpoint.owner, endpoint.target)
            if endpoint.owner not in self._diverted:
                served.append(endpoint)
            elif via is not None:
                served.append(replace(endpoint, target=via))
        return served

    async def _direct(self, endpoint: Endpoint) -> None:
        """Bring the running HAProxy's server to what the endpoint, or what it is diverted to, says."""
        if endpoint.owner in self._diverted:
            endpoint = replace(endpoint, target=self._diverted[endpoint.owner])
        server = f"{endpoint.proxy}/target"
        # First nothing, then the new target: no session to the old one begins in between.
        commands = [f"set server {server} state maint"]
        if endpoint.target is not None:
            address, port = endpoint.target
            commands += [f"set server {server} addr {address} port {port}", f"set server {server} state ready"]
        commands.insert(1, f"shutdown sessions server {server}")
        pid = self._haproxy.pid
        try:
            await self._haproxy.runtime.ask(*commands)
            await self._haproxy.runtime.end_former_sessions(server)
        except OSError as problem:
            # One that was killed just now comes back with the file just written.
            if pid == self._haproxy.pid and not await self._haproxy.ends_within(1):
                raise HAProxyError(f"the endpoints' HAProxy does not answer: {problem!r}") from problem

    def _render(self, endpoints: dict[str, Endpoint]) -> str:
        user = unprivileged_user("haproxy")
        owner = (user.pw_uid, user.pw_gid) if user else None
        served = self._effective(endpoints)
        return self._haproxy.preamble(_generation(served), owner, MAX_CONNECTIONS) + render(served)

    def _keep(self, endpoints: dict[str, Endpoint]) -> None:
        content = json.dumps([asdict(endpoint) for endpoint in endpoints.values()], indent=1)
        temporary = self._file.with_suffix(".new")
        with temporary.open("w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._file)
        _sync(self._folder)
        self._endpoints = endpoints


def render(endpoints: Iterable[Endpoint]) -> str:
    """HAProxy's configuration for these endpoints, without its `global` part."""
    lines = [
        "defaults",
        "    mode tcp",
        "    timeout connect 3s",
        f"    timeout client {IDLE}",
        f"    timeout server {IDLE}",
        "    timeout client-fin 30s",
        "    timeout server-fin 30s",
        "    option clitcpka",
        "    option srvtcpka",
        # Whoever connects learns at once that nobody answers, as with AWS.
        "    retries 0",
    ]
    for endpoint in endpoints:
        address, port = endpoint.target or ("127.0.0.1", 1)
        closed = "" if endpoint.target else " disabled"
        lines += [
            "",
            f"listen {endpoint.proxy}",
            f"    bind {endpoint.address}:{endpoint.port}",
            f"    server target {address}:{port}{closed}",
        ]
    return "\n".join(lines) + "\n"


def _generation(endpoints: Iterable[Endpoint]) -> str:
    """Changes with what only a reload changes: which addresses are listened on."""
    listeners = sorted((endpoint.proxy, endpoint.address, endpoint.port) for endpoint in endpoints)
    return hashlib.sha256(json.dumps(listeners).encode()).hexdigest()[:16]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):
        os.fsync(descriptor)
    os.close(descriptor)
