"""PostgreSQL: a pool whose every wait is bounded, and which outlives a failover."""

import asyncio
import logging
import os
import random
import select
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from chat.problems import Unavailable
from chat.settings import DatabaseSettings

log = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[DictRow]
Result = TypeVar("Result")

DEADLINE_SECONDS = 3.0
"""A request hears within this time that the database is away."""
STATEMENT_SECONDS = 2.0
CHECKOUT_SECONDS = 0.5
PROBE_SECONDS = 1.0


class DatabaseAway(Unavailable):
    code = "database_unavailable"


def conninfo(settings: DatabaseSettings, *, user: str, password: str, application: str) -> dict[str, Any]:
    """libpq's parameters. The time-outs notice a peer that vanished without a word."""
    parameters: dict[str, Any] = {
        "host": settings.database_host,
        "port": settings.database_port,
        "dbname": settings.database_name,
        "user": user,
        "password": password,
        "sslmode": settings.database_sslmode,
        "connect_timeout": 2,
        "application_name": application[:63],
        "tcp_user_timeout": 5000,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        # After a failover the endpoint may still lead to the old primary, now a standby.
        "target_session_attrs": "primary",
    }
    if settings.pgsslrootcert:
        parameters["sslrootcert"] = settings.pgsslrootcert
    return parameters


class Database:
    """All writes that go through it are safe to repeat (keys are chosen before the first attempt)."""

    def __init__(self, settings: DatabaseSettings, *, task: str, size: int) -> None:
        parameters = conninfo(
            settings,
            user=settings.database_user,
            password=settings.database_password.get_secret_value(),
            application=f"{settings.platform}-{settings.environment} {settings.release} {task}",
        )
        milliseconds = int(STATEMENT_SECONDS * 1000)
        parameters["options"] = (
            f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
            f" -c idle_in_transaction_session_timeout={2 * milliseconds}"
        )
        self._pool = _pool(parameters, "requests", size)
        # Of its own, so that a full pool slows requests down and does not look like a dead database.
        self._probes = _pool(parameters, "probes", 1)

    async def open(self) -> None:
        """Returns at once: the service starts, and says 503, while the database is still away."""
        await self._pool.open()
        await self._probes.open()

    async def close(self) -> None:
        await self._pool.close(timeout=2.0)
        await self._probes.close(timeout=1.0)

    async def fetch(self, query: LiteralString, values: Sequence[Any] = ()) -> list[DictRow]:
        async def work(connection: Connection) -> list[DictRow]:
            return await (await connection.execute(query, values)).fetchall()

        return await self.run(work)

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Do `work` on a connection in autocommit mode, again on a new one when the connection was lost.

        Raises DatabaseAway within DEADLINE_SECONDS.
        """
        deadline = time.monotonic() + DEADLINE_SECONDS
        for attempt in range(1000):
            remaining = deadline - time.monotonic()
            try:
                async with self._checkout(self._pool, min(CHECKOUT_SECONDS, remaining)) as connection:
                    with _severing(connection, min(STATEMENT_SECONDS + 0.2, deadline - time.monotonic())):
                        return await work(connection)
            except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
                log.warning("statement took too long", extra={"sqlstate": error.sqlstate})
                raise DatabaseAway("the database is too slow at the moment") from error
            except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as error:
                pause = min(0.02 * 2 ** min(attempt, 4), 0.3) * (0.5 + random.random())  # noqa: S311 no secret
                if time.monotonic() + pause + 0.1 >= deadline:
                    log.warning("database away", extra={"problem": _first_line(error), "attempts": attempt + 1})
                    raise DatabaseAway("the database does not answer at the moment") from error
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the deadline ends the loop")

    async def probe(self, query: LiteralString) -> list[DictRow]:
        """One query on the connection kept for health checks. Raises psycopg.Error within PROBE_SECONDS."""
        async with self._checkout(self._probes, PROBE_SECONDS / 2) as connection:
            with _severing(connection, PROBE_SECONDS / 2):
                return await (await connection.execute(query)).fetchall()

    def statistics(self) -> dict[str, int]:
        return self._pool.get_stats()

    @asynccontextmanager
    async def _checkout(self, pool: "AsyncConnectionPool[Connection]", seconds: float) -> AsyncIterator[Connection]:
        """A connection whose peer has not hung up. Checked here without a round trip: the pool's own check waits a
        second after each dead connection, and after a failover all of them are dead."""
        while True:
            async with pool.connection(timeout=max(seconds, 0.05)) as connection:
                if not _hung_up(connection):
                    try:
                        yield connection
                    except psycopg.errors.ReadOnlySqlTransaction:
                        await connection.close()
                        raise
                    return
                await connection.close()


def _pool(parameters: dict[str, Any], name: str, size: int) -> "AsyncConnectionPool[Connection]":
    return AsyncConnectionPool(
        kwargs={**parameters, "autocommit": True, "row_factory": dict_row},
        connection_class=Connection,
        name=name,
        min_size=1,
        max_size=size,
        timeout=CHECKOUT_SECONDS,
        max_idle=300.0,
        # No back-off of the pool's own, which reaches minutes in a long outage: each request that waits asks anew,
        # and the pool opens one connection at a time.
        reconnect_timeout=0.0,
        open=False,
    )


def _hung_up(connection: Connection) -> bool:
    """An idle connection has nothing to read but its end."""
    poll = select.poll()
    try:
        poll.register(connection.fileno(), select.POLLIN | select.POLLRDHUP)
    except psycopg.Error:
        return True
    return bool(poll.poll(0))


class _severing:
    """Cut the connection when its time is over: a server that is frozen never runs into its own statement_timeout."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self._connection, self._seconds = connection, max(seconds, 0.05)

    def __enter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._sever)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _sever(self) -> None:
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as peer,
        ):
            peer.shutdown(socket.SHUT_RDWR)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
