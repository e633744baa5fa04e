"""One PostgreSQL server: made, started, asked, stopped, and, when it must not live on, ended for certain."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection

from dock.engines.postgres import access
from dock.engines.postgres.site import PORT, Site
from dock.engines.supervisor import Process, Spec

START_SECONDS = 120.0
STOP_SECONDS = 30.0
CONNECT_SECONDS = 10.0
SESSION_SECONDS = 120.0
TOOL_SECONDS = 3600.0
TOOLS = ("initdb", "pg_basebackup", "pg_rewind", "pg_verifybackup")
_FENCE_SECONDS = 10.0
_SHORT_PAUSE = 0.05
_LONG_PAUSE = 0.5


class PostgresError(RuntimeError):
    """A server or one of its tools failed; the message has the end of its log. `disk_full`: for want of space."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.disk_full = "No space left on device" in message


class Node:
    """Node `a` or `b` of a cluster."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.folder = site.folder / name
        self.data = self.folder / "data"
        self.address = site.addresses[name]
        self.process_name = f"{site.name}/{name}"
        self.socket_folder = site.sockets / name

    @property
    def process(self) -> Process | None:
        """The server's main process if it runs now."""
        return self.site.supervisor.find(self.process_name)

    @property
    def initialized(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def make_folders(self) -> None:
        """The node's own folders, closed to others (the server insists on that for its data)."""
        for folder in (self.folder, self.data, self.socket_folder):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
            if self.site.user:
                os.chown(folder, *self.site.user)

    async def initialize(self) -> None:
        """`initdb`: an empty cluster with data checksums, whose only role is the dock's superuser."""
        await self.erase()
        self.make_folders()
        await self.run(
            "initdb",
            f"--pgdata={self.data}",
            f"--username={access.ADMIN}",
            "--data-checksums",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth-local=peer",
            "--auth-host=scram-sha-256",
        )

    async def erase(self) -> None:
        """End the server and every tool, in no order, and remove everything that the node has on disk."""
        await self.end_tools()
        await asyncio.to_thread(self.fence)
        for folder in (self.folder, self.socket_folder):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def start(self, deadline: float = START_SECONDS) -> None:
        """Start the server and wait until it answers; nothing happens when it runs already.

        Raises PostgresError with the end of the log when it ends instead, or doesn't answer in time.
        """
        if self.process is None:
            self.fence()
            self.make_folders()
            # Left by a crash, these name a process id that may be someone else's by now. The fence made sure that
            # no server has this data.
            for leftover in (self.data / "postmaster.pid", *self.socket_folder.glob(".s.PGSQL.*")):
                leftover.unlink(missing_ok=True)
            try:
                self.site.supervisor.start(
                    Spec(
                        name=self.process_name,
                        argv=[self.site.binaries.program("postgres"), "-D", str(self.data)],
                        log=self.site.log(self.name),
                        cwd=self.folder,
                        environment={"PGDATA": str(self.data), "LC_ALL": "C.UTF-8"},
                        user=self.site.user,
                    )
                )
            except OSError as problem:
                raise PostgresError(f"{self.process_name} can't be started: {problem}") from problem
        await self.answer(deadline)

    async def answer(self, deadline: float = START_SECONDS) -> None:
        """Wait until the server takes connections. Raises PostgresError."""
        began = time.monotonic()
        while True:
            if self.process is None:
                raise PostgresError(f"{self.process_name} ended while it started: {self.last_words()}")
            try:
                async with self.connect("postgres"):
                    return
            except (psycopg.Error, TimeoutError, OSError) as problem:
                waited = time.monotonic() - began
                if waited > deadline:
                    raise PostgresError(f"{self.process_name} did not answer in {deadline:.0f} s: {problem}") from None
            # Each question is a line in the log; one that recovers for long is asked less often.
            await asyncio.sleep(_SHORT_PAUSE if waited < 2 else _LONG_PAUSE)

    async def stop(self, deadline: float = STOP_SECONDS) -> None:
        """Fast shutdown: sessions are ended, everything is written, standbys get the last of it. Then a fence."""
        process = self.process
        if process is not None:
            process.send(signal.SIGCONT)
            await self.site.supervisor.stop(self.process_name, signal.SIGINT, deadline)
        self.fence()

    def reload(self) -> None:
        """Make the server read its configuration again."""
        if (process := self.process) is not None:
            process.send(signal.SIGHUP)

    def fence(self) -> None:
        """Make sure that no process of this server is left: backends outlive a main process that was killed.

        Each is in a session of its own, but all stand in the data folder. Raises PostgresError when one stays.
        """
        limit = time.monotonic() + _FENCE_SECONDS
        while processes := _servers_in(self.data):
            for pid in processes:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if time.monotonic() > limit:
                raise PostgresError(f"{self.process_name}: processes {processes} can't be killed")
            time.sleep(0.01)

    @asynccontextmanager
    async def connect(
        self, database: str = access.ADMIN_DATABASE, seconds: float = SESSION_SECONDS
    ) -> AsyncIterator[AsyncConnection[Any]]:
        """A session of the dock's superuser, who looks for names in the system's catalogue alone.

        Raises TimeoutError when the session takes longer than `seconds` in all, or can't be had in 10.
        """
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await AsyncConnection.connect(
                host=str(self.socket_folder),
                port=PORT,
                user=access.ADMIN,
                dbname=database,
                autocommit=True,
                connect_timeout=int(CONNECT_SECONDS),
                application_name="dock",
                options="-c search_path=pg_catalog -c lc_messages=C",
            )
        try:
            async with asyncio.timeout(seconds):
                yield connection
        finally:
            await connection.close()

    async def run(self, program: str, *arguments: str, deadline: float = TOOL_SECONDS) -> None:
        """Run one of PostgreSQL's tools to its end, as the server's user. A daemon that is killed meanwhile leaves
        it to the next one, which ends it before it runs the same again.

        Raises PostgresError with what the tool said last.
        """
        name = f"{self.process_name}/{program}"
        log = self.site.logs / f"{name.replace('/', '-')}.log"
        await self.end_tools(program)
        log.unlink(missing_ok=True)
        process = self.site.supervisor.start(
            Spec(
                name,
                [self.site.binaries.program(program), *arguments],
                log,
                self.site.folder,
                {"LC_ALL": "C"},
                self.site.user,
            )
        )
        try:
            async with asyncio.timeout(deadline):
                code = await process.wait()
        except TimeoutError:
            raise PostgresError(f"{name} was not done in {deadline:.0f} s") from None
        finally:
            await self.end_tools(program)
        if code != 0:
            raise PostgresError(f"{name} failed ({code}): {_tail(log)}")

    async def end_tools(self, *programs: str) -> None:
        """End these tools, or all, that run now: an earlier daemon may have left some that still write.

        With their children: pg_basebackup has one that streams WAL, which would keep a server from stopping.
        """
        for program in programs or TOOLS:
            name = f"{self.process_name}/{program}"
            if (process := self.site.supervisor.find(name)) is not None:
                process.kill_group()
                await self.site.supervisor.stop(name, signal.SIGKILL)

    def last_words(self) -> str:
        """The end of the server's log, for a message."""
        return _tail(self.site.log(self.name))


def _tail(log: Path, lines: int = 6) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            text = file.read().decode(errors="replace")
    except OSError:
        return "no log"
    return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip()) or "an empty log"


def _servers_in(data: Path) -> list[int]:
    """The ids of all processes that run `postgres` with this data folder; zombies don't count."""
    real = os.path.realpath(data)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            inside = str((entry / "cwd").readlink()).removesuffix(" (deleted)") == real
            if inside and str((entry / "exe").readlink()).removesuffix(" (deleted)").endswith("/postgres"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
