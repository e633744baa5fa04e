"""A steady rate of requests, whatever the answers do: who waits doesn't make the next one wait."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver

from dock.traffic.names import DockResolver
from dock.traffic.record import Record, Writer
from dock.traffic.users import PATIENCE_SECONDS, User

ARRIVING_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """`per_second` requests by `users`, of whom `listeners` hold a live socket each.

    `dns` is the server that names are asked at (`host:port`; None: the system's). `sources` are loopback addresses that
    users come from, in turn; none: the system chooses.
    """

    per_second: float = 20.0
    users: int = 20
    listeners: int = 5
    dns: str | None = None
    sources: tuple[str, ...] = ()
    verify: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.per_second <= 2000:
            raise ValueError(f"per_second is {self.per_second}: more than 0, and 2000 at most")
        if self.users < 1 or not 0 <= self.listeners <= self.users:
            raise ValueError(f"{self.users} users, {self.listeners} listeners: at least one user, no more listeners")


class Load:
    """Users of the service at `url`, whose experience goes into `record`."""

    def __init__(self, url: str, shape: Shape, record: Record) -> None:
        self.url = url.rstrip("/")
        self.shape = shape
        self.record = record
        self.sent = 0
        self._users: list[User] = []
        self._running: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Traffic for as long as the block lasts; what is under way at its end is waited for.

        Raises RuntimeError when the users are not let in, FileExistsError when the folder has a record already.
        """
        self.record.begin(url=self.url, per_second=self.shape.per_second, users=self.shape.users)
        resolver = DockResolver(self.shape.dns) if self.shape.dns else None
        with self.record.writer() as writer:
            self._users = [self._user(index, writer, resolver) for index in range(self.shape.users)]
            try:
                await self._arrive()
                self.record.keep_users({user.name: user.password for user in self._users})
                sending = asyncio.create_task(self._send(), name="traffic")
                try:
                    yield self
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
                    await self._finish()
            finally:
                await asyncio.gather(*(user.leave() for user in self._users))

    async def for_seconds(self, seconds: float, tell: Callable[[Load], None] | None = None) -> None:
        """Traffic for so long; `tell` is called every second."""
        async with self.running():
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                await asyncio.sleep(min(1.0, left))
                if tell is not None:
                    tell(self)

    def _user(self, index: int, writer: Writer, resolver: AbstractResolver | None) -> User:
        sources = self.shape.sources
        return User(
            self.url,
            writer,
            resolver,
            source=sources[index % len(sources)] if sources else None,
            verify=self.shape.verify,
        )

    async def _arrive(self) -> None:
        """A few at a time: a registration hashes a password, which is meant to be slow."""
        gate = asyncio.Semaphore(ARRIVING_AT_ONCE)

        async def arrive(user: User) -> None:
            async with gate:
                await user.arrive()

        await asyncio.gather(*(arrive(user) for user in self._users))
        for user in self._users[: self.shape.listeners]:
            user.listen()

    async def _send(self) -> None:
        chance = random.Random(self.shape.seed)  # noqa: S311  (traffic must be repeatable, not secret)
        began, wall = time.monotonic(), time.time()
        while True:
            due = self.sent / self.shape.per_second
            await asyncio.sleep(max(0.0, began + due - time.monotonic()))
            user = self._users[self.sent % len(self._users)]
            request = asyncio.create_task(user.act(wall + due, chance))
            self._running.add(request)
            request.add_done_callback(self._running.discard)
            self.sent += 1

    async def _finish(self) -> None:
        if self._running:
            await asyncio.wait(list(self._running), timeout=PATIENCE_SECONDS + 1)
