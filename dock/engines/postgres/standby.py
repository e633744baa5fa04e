"""Keeps a standby behind a primary: builds it, mends it, waits for its commits, and goes on without it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import psycopg

from dock.engines.postgres import backup
from dock.engines.postgres.configuration import mark_standby, slot
from dock.engines.postgres.node import Node, PostgresError

if TYPE_CHECKING:
    from dock.engines.postgres.cluster import Cluster

log = logging.getLogger(__name__)

# How long commits wait for a standby that is gone before the primary goes on alone. RDS does the same after "a few
# seconds"; its documentation gives no figure.
GRACE_SECONDS = 5.0
# A standby that runs but has not caught the primary's stream for this long is made anew.
REBUILD_SECONDS = 30.0
_REPLY_SECONDS = 5.0
_SYNCHRONISE_SECONDS = 30.0
_RETRY_SECONDS = 5.0
_HELD_SECONDS = 1.0


class Standby:
    """The standby of one cluster. All methods but `build` run under the cluster's lock."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._seen = time.monotonic()
        self._repair: asyncio.Task[None] | None = None
        self._retry_at = 0.0
        self.problem: str | None = None
        """Why the standby could not be started the last time."""

    def reset(self) -> None:
        """The roles have changed, or everything was just started: the standby gets its grace anew."""
        self._seen = time.monotonic()
        self._retry_at = 0.0

    async def tend(self) -> None:
        """Look once, and do what is needed next. Raises psycopg.Error or TimeoutError: the primary doesn't answer."""
        cluster = self._cluster
        now = time.monotonic()
        repairing = self._repair is not None and not self._repair.done()
        # One that runs but could not be made ready never will be: it is made anew like one that is dead.
        useless = cluster.standby.process is None or not cluster.state.standby_ready
        if not repairing and useless and now >= self._retry_at:
            if cluster.state.waiting and not cluster.state.standby_ready:
                # It is about to be erased: nobody may take it for a copy of every commit any more.
                await self.relax()
            self._repair = cluster.spawn(self._mend(), f"{cluster.site.name} mends its standby")
            repairing = True
        if await self._streams():
            self._seen = now
            if not cluster.state.synchronous:
                await self._synchronise()
            return
        if now - self._seen > GRACE_SECONDS and cluster.state.waiting:
            await self.relax()
        if now - self._seen > REBUILD_SECONDS and not repairing and cluster.state.standby_ready:
            log.warning("%s: the standby runs but does not follow; it is made anew", cluster.site.name)
            if cluster.state.waiting:
                await self.relax()
            cluster.state.standby_ready = False
            cluster.save()
            # Nothing of it is needed any more, and what hangs would not stop in order.
            await asyncio.to_thread(cluster.standby.fence)
            self._seen = now

    async def relax(self) -> None:
        """Let the primary go on alone. The fact comes first: from here on the standby may lack commits."""
        cluster = self._cluster
        was_synchronous = cluster.state.synchronous
        cluster.state.synchronous = False
        cluster.state.waiting = False
        cluster.save()
        cluster.configure(cluster.primary)
        cluster.primary.reload()
        if was_synchronous:
            cluster.notice_standby_lost()

    async def remove(self) -> None:
        """The cluster has no standby any more."""
        cluster = self._cluster
        await self.cancel()
        await self.relax()
        cluster.state.standby_ready = False
        cluster.state.rewindable = False
        cluster.save()
        await cluster.standby.erase()
        async with asyncio.timeout(_SYNCHRONISE_SECONDS), cluster.primary.connect() as connection:
            # The slot is in use until the primary has noticed that nobody streams any more.
            await _until(connection, _SLOT_FREE, slot(cluster.standby.name))
            await connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                [slot(cluster.standby.name)],
            )

    async def cancel(self) -> None:
        """End a repair that is under way."""
        if self._repair is not None:
            self._repair.cancel()
            await asyncio.gather(self._repair, return_exceptions=True)
            self._repair = None

    async def _mend(self) -> None:
        """Start the standby, or make it anew; not under the lock, since it may take long."""
        cluster = self._cluster
        primary, standby = cluster.primary, cluster.standby
        if (held := standby.site.supervisor.gate(standby.process_name)) is not None:
            # It loses nothing by waiting: what it has is still good for a rewind.
            self.problem = held
            self._retry_at = time.monotonic() + _HELD_SECONDS
            return
        try:
            await standby.end_tools()
            await asyncio.to_thread(standby.fence)
            if not cluster.state.standby_ready:
                await self._build(primary, standby)
                cluster.state.standby_ready = True
                cluster.state.rewindable = False
                cluster.save()
            cluster.configure(standby)
            cluster.note_start(standby)
            await standby.start()
            self.problem = None
        except (PostgresError, psycopg.Error, OSError, TimeoutError) as problem:
            log.warning("%s: the standby could not be started: %s", cluster.site.name, problem)
            self.problem = str(problem)
            # What could not be started as it is will be made anew the next time.
            cluster.state.standby_ready = False
            cluster.save()
            self._retry_at = time.monotonic() + _RETRY_SECONDS

    async def _build(self, primary: Node, standby: Node) -> None:
        async with primary.connect() as connection:
            await connection.execute(
                "SELECT pg_create_physical_replication_slot(%s, true)"
                " WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %s)",
                [slot(standby.name), slot(standby.name)],
            )
            lost = await connection.execute(
                "SELECT pg_drop_replication_slot(slot_name), pg_create_physical_replication_slot(slot_name, true)"
                " FROM pg_replication_slots WHERE slot_name = %s AND wal_status = 'lost'",
                [slot(standby.name)],
            )
            await lost.fetchall()
        if self._cluster.state.rewindable and standby.initialized:
            try:
                await backup.rewind(primary, standby)
            except PostgresError as problem:
                log.info("%s: no rewind, a whole copy instead: %s", self._cluster.site.name, problem)
                await backup.clone(primary, standby)
        else:
            await backup.clone(primary, standby)
        mark_standby(standby.site, standby.name)

    async def _streams(self) -> bool:
        """Whether the standby follows now and was heard of within the last seconds."""
        cluster = self._cluster
        async with asyncio.timeout(_SYNCHRONISE_SECONDS / 3), cluster.primary.connect() as connection:
            cursor = await connection.execute(
                "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'"
                " AND reply_time > clock_timestamp() - make_interval(secs => %s)",
                [cluster.standby.name, _REPLY_SECONDS],
            )
            return await cursor.fetchone() is not None

    async def _synchronise(self) -> None:
        """Make commits wait for the standby, and note it as promotable once nothing acknowledged is missing there."""
        cluster = self._cluster
        async with asyncio.timeout(_SYNCHRONISE_SECONDS), cluster.primary.connect() as connection:
            if not cluster.state.waiting:
                cluster.state.waiting = True
                cluster.save()
                cluster.configure(cluster.primary)
                cluster.primary.reload()
            await _until(connection, _SEES_STANDBY, cluster.standby.name)
            # Whether commits wait is decided by what the checkpointer last published. It publishes a reload before it
            # serves a checkpoint, so after this one every later commit waits.
            await connection.execute("CHECKPOINT")
            cursor = await connection.execute("SELECT pg_current_wal_flush_lsn()::text")
            row = await cursor.fetchone()
            assert row is not None
            await _until(connection, _HAS_FLUSHED, row[0], cluster.standby.name)
        cluster.state.synchronous = True
        cluster.save()
        cluster.notice_standby_synchronous()


_SEES_STANDBY = "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND sync_state = 'sync'"
_SLOT_FREE = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %s AND active)"
_HAS_FLUSHED = "SELECT 1 FROM pg_stat_replication WHERE flush_lsn >= %s::pg_lsn AND application_name = %s"


async def _until(connection: psycopg.AsyncConnection[Any], query: str, *parameters: str) -> None:
    """Ask until there is a row; the caller sets the time limit."""
    while True:
        cursor = await connection.execute(query, list(parameters))
        if await cursor.fetchone() is not None:
            return
        await asyncio.sleep(0.05)
