"""The edge as the daemon has it: a process that outlives it, is started again when it ends, and told what to do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector

from dock.engines.supervisor import Spec, Supervisor
from dock.home import Home, unprivileged_user

log = logging.getLogger(__name__)

NAME = "edge"
START_SECONDS = 20.0
ANSWER_SECONDS = 10.0
STOP_SECONDS = 10.0
PROJECT = Path(__file__).resolve().parents[3]


class EdgeError(RuntimeError):
    """The edge doesn't start, doesn't answer, or refuses what it is told."""


class Edge:
    """`use` keeps the document on disk before the process is told: one that is killed comes back with the last one."""

    def __init__(self, home: Home, supervisor: Supervisor) -> None:
        self.folder = home.data(NAME)
        self._document = self.folder / "edge.json"
        self._socket = home.run / "edge.sock"
        self._log = home.logs / "edge.log"
        self._supervisor = supervisor
        self._wanted = False
        self._lock = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self.problem: str | None = None
        """Why it doesn't run; None while it does."""

    @property
    def owner(self) -> tuple[int, int] | None:
        """The (uid, gid) that it runs as once it has its ports."""
        user = unprivileged_user("www-data")
        return (user.pw_uid, user.pw_gid) if user else None

    @property
    def pid(self) -> int | None:
        process = self._supervisor.find(NAME)
        return process.pid if process else None

    async def use(self, document: dict[str, Any]) -> None:
        """Do what the document says from now on; starts the process where none runs. Raises EdgeError or OSError.

        It acts when this returns, unless the process was killed just now: then as soon as it is back.
        """
        async with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._keep(document)
            self._wanted = True
            if self._supervisor.find(NAME) is None:
                await self._start()
            else:
                await self._tell(document)
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch(), name="edge: watch")

    async def purge(self, zone: str, what: dict[str, Any]) -> int:
        """How many answers left the cache. One that isn't running has none."""
        if self._supervisor.find(NAME) is None:
            return 0
        answer = await self._ask("POST", "/purge", {"zone": zone, **what})
        return int(answer["purged"])

    async def status(self) -> dict[str, Any] | None:
        """What the process says of itself; None when it doesn't run or answer."""
        with contextlib.suppress(EdgeError):
            return await self._ask("GET", "/status")
        return None

    async def stop(self) -> None:
        """End it after what it is answering."""
        async with self._lock:
            self._wanted = False
            self.detach()
            await self._supervisor.stop(NAME, signal.SIGTERM, STOP_SECONDS)
            self.problem = None

    def detach(self) -> None:
        """Let it go on without a watcher, for a daemon that ends alone."""
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    async def _tell(self, document: dict[str, Any]) -> None:
        pid = self.pid
        try:
            await self._ask("POST", "/use", document)
        except EdgeError:
            # One that was killed just now comes back with the document just kept.
            if pid == self.pid and not await self._ends_within(1):
                raise

    async def _ends_within(self, seconds: float) -> bool:
        process = self._supervisor.find(NAME)
        if process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.wait()
        return process is None or not process.alive

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            async with (
                ClientSession(
                    connector=UnixConnector(str(self._socket)), timeout=ClientTimeout(total=ANSWER_SECONDS)
                ) as session,
                session.request(method, f"http://edge{path}", json=body) as answer,
            ):
                said: dict[str, Any] = await answer.json()
                if answer.status != 200:
                    raise EdgeError(f"the edge refuses: {said.get('problem', answer.status)}")
                return said
        except (ClientError, OSError, TimeoutError, ValueError) as problem:
            raise EdgeError(f"the edge does not answer: {problem!r}") from problem

    async def _start(self) -> None:
        owner = self.owner
        position = self._log.stat().st_size if self._log.exists() else 0
        process = self._supervisor.start(
            Spec(
                name=NAME,
                argv=[
                    sys.executable,
                    "-m",
                    "dock.engines.edge",
                    str(self._document),
                    str(self._socket),
                    *(map(str, owner) if owner else ()),
                ],
                log=self._log,
                cwd=PROJECT,
            )
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                while process.alive:
                    if (status := await self.status()) is not None:
                        if status["refused"]:
                            log.info("the edge does not listen on ports %s", ", ".join(status["refused"]))
                        self.problem = None
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        said = self._said(position)
        await self._supervisor.stop(NAME, signal.SIGKILL, 2)
        self.problem = said or "it does not answer"
        raise EdgeError(f"the edge did not start: {self.problem} (its log: {self._log})")

    async def _watch(self) -> None:
        """Start it again whenever it ends without having been stopped, until cancelled."""
        delay = 0.0
        loop = asyncio.get_running_loop()
        while True:
            process, began = self._supervisor.find(NAME), loop.time()
            if process is not None:
                await process.wait()
            delay = 0.0 if process is not None and loop.time() - began > 2 else min(5.0, delay * 2 or 0.1)
            await asyncio.sleep(delay)
            async with self._lock:
                if self._wanted and self._supervisor.find(NAME) is None:
                    log.warning("the edge ended; starting it again")
                    try:
                        await self._start()
                    except (EdgeError, OSError) as problem:
                        log.error("%s", problem)

    def _said(self, position: int) -> str:
        with contextlib.suppress(OSError), self._log.open(errors="replace") as file:
            file.seek(position)
            lines = [line.strip() for line in file if line.strip()]
            return lines[-1] if lines else ""
        return ""

    def _keep(self, document: dict[str, Any]) -> None:
        temporary = self._document.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._document)
