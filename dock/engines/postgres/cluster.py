"""A primary, with or without a synchronous standby, that keeps itself going."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg

from dock.engines.postgres import access, backup
from dock.engines.postgres.configuration import Settings, write_archive_program, write_configuration
from dock.engines.postgres.node import Node, PostgresError
from dock.engines.postgres.site import PORT, Site
from dock.engines.postgres.standby import Standby
from dock.engines.postgres.state import NODES, StateFile
from dock.store import Table

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_RETRY_SECONDS = 5.0
# A fault that keeps it down costs nothing to look at, and what it broke is repaired soon after its end.
_HELD_SECONDS = 1.0
# How often a primary without a standby is asked whether it lives; one with a standby is asked all the time.
_PROBE_SECONDS = 5.0
# A primary that runs but answers nobody for this long is ended and replaced, when there is a standby for it.
SILENCE_SECONDS = 20.0
_PROMOTE_SECONDS = 60
_REPLAY_SECONDS = 30.0
_STANDBY_STOP_SECONDS = 10.0


class Happening(StrEnum):
    """What a cluster tells its owner about."""

    FAILOVER_STARTED = "failover started"
    FAILOVER_COMPLETED = "failover completed"
    CRASHED = "primary ended, restarting in place"
    RECOVERED = "primary restarted in place"
    FAILED = "primary can't be started"
    STANDBY_LOST = "standby lost"
    STANDBY_SYNCHRONOUS = "standby synchronous"


Listener = Callable[[Happening, str], None]
Router = Callable[[tuple[str, int] | None], Awaitable[None]]
Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


class Cluster:
    """Owns the two nodes of a site. `listener` hears what happens; `router` is told where the primary is (None:
    nowhere); `spawn` runs background work that ends with the daemon.

    Every public operation is safe against the others and against the watch that runs between `start` and `stop`.
    They raise PostgresError (or psycopg.Error, TimeoutError when a server doesn't answer).
    """

    def __init__(
        self, site: Site, table: Table, settings: Settings, listener: Listener, router: Router, spawn: Spawn
    ) -> None:
        self.site = site
        self.settings = settings
        self.nodes = {name: Node(site, name) for name in NODES}
        self._states = StateFile(table, site.name)
        self.state = self._states.load()
        self._listener = listener
        self._router = router
        self.spawn = spawn
        self._lock = asyncio.Lock()
        self._keeper = Standby(self)
        self._watching: asyncio.Task[None] | None = None
        self._retry_at = 0.0
        self._failed = False
        self._answered = time.monotonic()

    @property
    def primary(self) -> Node:
        return self.nodes[self.state.primary]

    @property
    def standby(self) -> Node:
        return self.nodes[self.state.standby]

    # making and ending

    async def create(self, source: Path | None = None) -> None:
        """Make and start the primary: empty, or from a base backup. What an earlier attempt left is removed."""
        async with self._lock:
            for node in self.nodes.values():
                await node.erase()
            self._states.remove()
            self.state = self._states.load()
            for folder in (self.site.archive, self.site.backups):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            self._prepare_folders()
            if source is None:
                await self.primary.initialize()
            else:
                await backup.lay_out(self.primary, source)
            self.save()
            self.configure(self.primary)
            self.note_start(self.primary)
            await self.primary.start()
            async with self.primary.connect("postgres") as connection:
                await access.prepare_roles(connection)
            async with self.primary.connect() as connection:
                await access.protect_group(connection)

    async def start(self) -> None:
        """Bring the cluster up, whatever state an earlier daemon left it in, and watch over it from now on.

        A primary that died while nobody looked is replaced under the same condition as one that dies now. Raises
        PostgresError when none can be started; the watch goes on trying.
        """
        async with self._lock:
            self._prepare_folders()
            self._keeper.reset()
            self._answered = time.monotonic()
            if self.standby.process is not None and not (self.state.standby_ready and self.settings.standby):
                await self.standby.stop()
            try:
                if self.primary.process is None and await self._may_take_over():
                    self._listener(Happening.FAILOVER_STARTED, "the primary ended while the dock was away")
                    await self._take_over()
                else:
                    await self._start_primary()
                self._failed = False
            except PostgresError:
                if not await self._take_over_from_the_ruins():
                    self._failed = True
                    raise
            finally:
                if self._watching is None or self._watching.done():
                    self._watching = self.spawn(self._watch(), f"{self.site.name} watch")

    async def stop(self) -> None:
        """Stop in order: the primary first, so that the standby has everything."""
        await self.leave()
        async with self._lock:
            await self._router(None)
            await self.primary.stop()
            await self.standby.stop()

    async def leave(self) -> None:
        """Stop watching; the servers go on."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        await self._keeper.cancel()

    async def destroy(self, *, keep_archive: bool) -> None:
        """End the servers and remove what they have on disk, but for archive and automated backups if asked."""
        await self.leave()
        async with self._lock:
            await self._router(None)
            for node in self.nodes.values():
                await node.erase()
            if not keep_archive:
                await asyncio.to_thread(shutil.rmtree, self.site.folder, ignore_errors=True)
            await asyncio.to_thread(shutil.rmtree, self.site.sockets, ignore_errors=True)
            for log_file in self.site.logs.glob(f"{self.site.name.replace('/', '-')}-*.log*"):
                log_file.unlink(missing_ok=True)
            self._states.remove()

    # operations

    async def apply(self, settings: Settings) -> None:
        """Take new settings: what a reload can change acts at once, the rest with the next restart. A standby that is
        wanted now is built in the background (`wait_until_synchronous`); one that no longer is, is removed."""
        async with self._lock:
            had_standby, self.settings = self.settings.standby, settings
            if had_standby and not settings.standby:
                await self._keeper.remove()
            for node in self._configured():
                self.configure(node)
                node.reload()
            self._keeper.reset()

    async def reroute(self) -> None:
        """Tell the router again where the primary is, for example because the endpoint has another port now."""
        async with self._lock:
            if self.primary.process is not None:
                await self._router((self.primary.address, PORT))

    async def restart(self) -> None:
        """Restart every node; settings that need it take effect."""
        async with self._lock:
            await self._keeper.cancel()
            await self._checkpoint()
            await self.primary.stop()
            await self._start_primary()
            self._failed = False
            if self.standby.process is not None:
                # A standby refuses to start with less than what the primary had when it wrote the WAL that is still
                # to be replayed; so the primary goes first, and the standby follows when it has seen the change.
                with contextlib.suppress(psycopg.Error, TimeoutError, PostgresError):
                    await self._wait_for_replay()
                await self.standby.stop(_STANDBY_STOP_SECONDS)
            self._keeper.reset()

    async def fail_over(self, deadline: float = 60.0) -> None:
        """Stop the primary in order and promote the standby. Raises PostgresError when there is none in time that
        has every commit."""
        await self.wait_until_synchronous(deadline)
        async with self._lock:
            if not (self.state.synchronous and await self._answers(self.standby)):
                raise PostgresError(f"{self.site.name}: the standby is not synchronous, so it is not promoted")
            self._listener(Happening.FAILOVER_STARTED, "asked for")
            await self._checkpoint()
            await self._router(None)
            await self.primary.stop()
            await self._take_over()
            if self.state.started_with.get(self.primary.name) != dict(self.settings.parameters):
                await self.primary.stop()
                await self._start_primary()

    async def wait_until_synchronous(self, deadline: float) -> None:
        """Wait until the standby has every commit. Raises PostgresError."""
        limit = time.monotonic() + deadline
        while not self.state.synchronous:
            if time.monotonic() > limit:
                why = f": {self._keeper.problem}" if self._keeper.problem else ""
                raise PostgresError(f"{self.site.name}: the standby was not synchronous within {deadline:.0f} s{why}")
            await asyncio.sleep(0.1)

    async def back_up(self, into: Path) -> None:
        """A verified base backup of the primary in the new folder `into`."""
        await backup.take(self.primary, into)

    @asynccontextmanager
    async def administer(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A superuser's session in the primary's database `postgres`."""
        async with self.primary.connect("postgres") as connection:
            yield connection

    def describe(self) -> list[dict[str, Any]]:
        """Each node that there is: `node`, `role`, `address`, `pid`, `synchronous` (of a standby)."""
        described = []
        for node in self._configured():
            process = node.process
            entry: dict[str, Any] = {
                "node": node.name,
                "role": "primary" if node is self.primary else "standby",
                "address": f"{node.address}:{PORT}",
                "pid": process.pid if process else None,
            }
            if node is not self.primary:
                entry["synchronous"] = self.state.synchronous and process is not None
            described.append(entry)
        return described

    # for the keeper of the standby

    def save(self) -> None:
        self._states.save(self.state)

    def configure(self, node: Node) -> None:
        """Write a node's configuration as its role and the present facts ask for."""
        if node is self.primary:
            waits_for = self.standby.name if self.state.waiting else None
            write_configuration(self.site, node.name, self.settings, synchronous=waits_for)
        else:
            write_configuration(self.site, node.name, self.settings, follow=self.primary.name)

    def note_start(self, node: Node) -> None:
        """Remember which parameters a node starts with."""
        self.state.started_with[node.name] = dict(self.settings.parameters)
        self.save()

    def notice_standby_lost(self) -> None:
        self._listener(Happening.STANDBY_LOST, "the primary goes on alone until the standby is back")

    def notice_standby_synchronous(self) -> None:
        self._listener(Happening.STANDBY_SYNCHRONOUS, "every commit is on both nodes")

    # the watch

    async def _watch(self) -> None:
        while True:
            await self._wait_for_news()
            async with self._lock:
                try:
                    await self._look_after()
                except (PostgresError, psycopg.Error, OSError, TimeoutError) as problem:
                    log.warning("%s: %s: %s", self.site.name, type(problem).__name__, problem)

    async def _wait_for_news(self) -> None:
        """Until a server ends, or for a second."""
        ends = [asyncio.create_task(node.process.wait()) for node in self.nodes.values() if node.process]
        if not ends:
            await asyncio.sleep(_LOOK_SECONDS)
            return
        try:
            await asyncio.wait(ends, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    async def _look_after(self) -> None:
        if self.primary.process is None:
            if time.monotonic() >= self._retry_at:
                await self._replace_primary(self.primary.last_words())
            return
        try:
            if self.settings.standby:
                await self._keeper.tend()
            elif time.monotonic() - self._answered < _PROBE_SECONDS:
                return
            elif not await self._lives(self.primary):
                raise TimeoutError(f"{self.primary.process_name} does not answer")
            self._answered = time.monotonic()
        except (psycopg.Error, TimeoutError):
            silent = time.monotonic() - self._answered
            if self.primary.process is None or silent <= SILENCE_SECONDS:
                raise
            if await self._may_take_over():
                self._listener(Happening.FAILOVER_STARTED, f"the primary has not answered for {silent:.0f} s")
                await self._take_over()
            elif not await self._lives(self.primary):
                # It hangs, and nobody can take its place: what is left is to end it and start it again.
                await asyncio.to_thread(self.primary.fence)
                await self._replace_primary(f"it has not answered for {silent:.0f} s")
            else:
                raise

    async def _replace_primary(self, why: str) -> None:
        """The primary has ended: promote the standby if it has every commit, else restart in place."""
        await self._router(None)
        await self._keeper.cancel()
        if await self._may_take_over():
            self._listener(Happening.FAILOVER_STARTED, "the primary ended")
            await self._take_over()
            return
        if not self._failed:
            self._listener(Happening.CRASHED, why)
        try:
            await self._start_primary()
        except PostgresError as problem:
            if await self._take_over_from_the_ruins():
                return
            held = self.site.supervisor.gate(self.primary.process_name) is not None
            self._retry_at = time.monotonic() + (_HELD_SECONDS if held else _RETRY_SECONDS)
            if not self._failed:
                self._failed = True
                self._listener(Happening.FAILED, str(problem))
            raise
        self._failed = False
        self._listener(Happening.RECOVERED, "")

    async def _may_take_over(self) -> bool:
        return (
            self.settings.standby
            and self.state.synchronous
            and self.state.standby_ready
            and self.standby.process is not None
            and await self._answers(self.standby)
        )

    async def _take_over_from_the_ruins(self) -> bool:
        """The primary can't be started, but the standby that isn't running has every commit: start and promote that."""
        if not (self.settings.standby and self.state.synchronous and self.state.standby_ready):
            return False
        try:
            await self.standby.start()
        except PostgresError:
            return False
        self._listener(Happening.FAILOVER_STARTED, "the primary can't be started")
        await self._take_over()
        return True

    async def _take_over(self) -> None:
        """Make the standby the primary. The old one is dead for certain before the new one may write; the record is
        what decides, so a daemon that is killed from here on carries on with the same primary."""
        await self._keeper.cancel()
        await asyncio.to_thread(self.primary.fence)
        self.state.primary = self.state.standby
        self.state.synchronous = self.state.waiting = self.state.standby_ready = False
        self.state.rewindable = True
        self.save()
        self._keeper.reset()
        await self._promote()
        await self._router((self.primary.address, PORT))
        self._listener(Happening.FAILOVER_COMPLETED, "")

    async def _promote(self) -> None:
        """Make the primary of the record one, if it is still a standby."""
        async with asyncio.timeout(_PROMOTE_SECONDS + 5), self.primary.connect("postgres") as connection:
            cursor = await connection.execute("SELECT pg_is_in_recovery()")
            row = await cursor.fetchone()
            if row and row[0]:
                cursor = await connection.execute("SELECT pg_promote(true, %s)", [_PROMOTE_SECONDS])
                row = await cursor.fetchone()
                if not (row and row[0]):
                    raise PostgresError(f"{self.primary.process_name} was not promoted within {_PROMOTE_SECONDS} s")
        self.configure(self.primary)
        self.primary.reload()

    async def _start_primary(self) -> None:
        if self.primary.process is None:
            # The roles of a node that is still to be promoted are settled by `_promote`.
            self.configure(self.primary)
            self.note_start(self.primary)
        await self.primary.start()
        await self._promote()
        await self._router((self.primary.address, PORT))
        self._answered = time.monotonic()

    async def _answers(self, node: Node) -> bool:
        try:
            async with asyncio.timeout(5), node.connect("postgres") as connection:
                await connection.execute("SELECT 1")
            return True
        except (psycopg.Error, TimeoutError, OSError):
            return False

    async def _lives(self, node: Node) -> bool:
        """Whether a server says anything, be it that it takes nobody now."""
        try:
            async with asyncio.timeout(5), node.connect("postgres") as connection:
                await connection.execute("SELECT 1")
        except psycopg.Error as problem:
            return "FATAL:" in str(problem)
        except (TimeoutError, OSError):
            return False
        return True

    async def _checkpoint(self) -> None:
        """Write out what is dirty while clients are still served: the shutdown that follows has little left to do."""
        with contextlib.suppress(psycopg.Error, TimeoutError, OSError):
            async with self.primary.connect() as connection:
                await connection.execute("CHECKPOINT")

    async def _wait_for_replay(self) -> None:
        async with self.primary.connect() as connection:
            cursor = await connection.execute("SELECT pg_current_wal_flush_lsn()::text")
            row = await cursor.fetchone()
        async with asyncio.timeout(_REPLAY_SECONDS), self.standby.connect("postgres") as connection:
            while row:
                # It pauses when the primary has more of something now than the standby was started with.
                cursor = await connection.execute(
                    "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn OR pg_get_wal_replay_pause_state() = 'paused'",
                    [row[0]],
                )
                replayed = await cursor.fetchone()
                if replayed and replayed[0]:
                    return
                await asyncio.sleep(0.1)

    def _configured(self) -> list[Node]:
        """The nodes that have data of their own now: the primary, and a standby that is built."""
        standby = [self.standby] if self.settings.standby and self.state.standby_ready else []
        return [self.primary, *standby]

    def _prepare_folders(self) -> None:
        for folder in (self.site.folder, self.site.sockets, self.site.backups):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)
        write_archive_program(self.site)
