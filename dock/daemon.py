"""The daemon: one for each home, controlled through a socket in it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
import time
from typing import Any

from aiohttp import web

from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.faults import control
from dock.home import Home
from dock.services import SERVICES
from dock.telemetry import Telemetry

log = logging.getLogger("dock")

STATUS_SCHEMA_VERSION = 2


class AlreadyRunningError(RuntimeError):
    """Another daemon has this home."""


class Daemon:
    """Holds the home's lock, runs the cloud, answers `drydock status` and `drydock down`."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._state = "starting"
        self._problem: str | None = None
        self._began = time.time()
        self._cloud: Cloud | None = None
        self._ended = asyncio.Event()

    async def run(self) -> int:
        """Until `down` or a signal. The exit code is 1 when the cloud could not be started."""
        self._home.create()
        lock = (self._home.run / "dock.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(f"a dock runs in {self._home.root} already; see `drydock status`") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        control = await self._listen()
        try:
            self._cloud = Cloud(self._home, SERVICES)
            self._publish(self._cloud)
            await self._cloud.start()
            self._state = "running"
            telemetry = self._cloud.spawn(Telemetry(self._cloud).run(), "telemetry")
            log.info("running at %s", self._cloud.url)
            await self._ended.wait()
            telemetry.cancel()
            self._state = "stopping"
        except Exception as problem:
            log.exception("the dock could not be started")
            self._state, self._problem = "failed", str(problem)
        if self._cloud is not None:
            await self._cloud.stop()
        await control.cleanup()
        lock.close()
        return 1 if self._problem else 0

    def _publish(self, cloud: Cloud) -> None:
        """What a shell needs to know of this dock, for as long as its home exists (`drydock env`)."""
        address, port = cloud.addresses.dns
        document = {
            "endpoint_url": cloud.url,
            "account": ACCOUNTS[0],
            "region": REGIONS[0],
            "dns": f"{address}:{port}",
            "cloudflare": cloud.cloudflare.url,
            "edge": cloud.cloudflare.edge_address,
        }
        path = self._home.run / "endpoint.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(document))
        temporary.replace(path)

    async def _listen(self) -> web.AppRunner:
        application = web.Application()
        application.router.add_get("/status", self._status)
        application.router.add_post("/stop", self._stop)
        control.add_routes(application, lambda: self._cloud.faults if self._cloud is not None else None)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        socket = self._home.run / "dock.sock"
        socket.unlink(missing_ok=True)
        await web.UnixSite(runner, str(socket)).start()
        socket.chmod(0o600)
        return runner

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self.status())

    async def _stop(self, _: web.Request) -> web.Response:
        self._ended.set()
        return web.json_response({"state": "stopping"})

    def status(self) -> dict[str, Any]:
        """The document of `drydock status --json`; docs/status.md describes it."""
        document: dict[str, Any] = {
            "schema_version": STATUS_SCHEMA_VERSION,
            "state": self._state,
            "pid": os.getpid(),
            "uptime_seconds": round(time.time() - self._began, 1),
            "home": str(self._home.root),
            "problem": self._problem,
            "endpoint_url": None,
            "faults": [],
            "processes": [],
            "resources": [],
        }
        if self._cloud is not None:
            document["endpoint_url"] = self._cloud.url
            document["faults"] = self._cloud.faults.shown()
            document["processes"] = [
                {"name": process.name, "pid": process.pid} for process in self._cloud.supervisor.running()
            ]
            document["resources"] = [
                {"service": service.name, **entry}
                for service in self._cloud.services.values()
                for entry in service.status()
            ] + [{"service": "cloudflare", **entry} for entry in self._cloud.cloudflare.status()]
        return document


def main() -> int:
    """`python -m dock`: run in the foreground; `drydock up` starts it in the background."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    try:
        return asyncio.run(Daemon(Home.default()).run())
    except AlreadyRunningError as problem:
        print(f"drydock: {problem}", file=sys.stderr)
        return 3
