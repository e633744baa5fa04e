"""The faults of the bad releases, for rehearsals. A good release does not carry this file.

`CHAT_FAULT` is part of the image:

- `errors:0.10`: this share of requests fails with 500,
- `slow:3`: each request takes this many seconds more,
- `crash`: the process ends with code 3 right after its start,
- `leak:32`: memory grows by this many MiB a second, until something kills the process. Where nothing does, it stops at
  one and a half times the task's memory limit, or at 1 GiB without one, to spare the machine.

Health checks, metrics and WebSockets are left alone: such a release passes its health checks, and its users notice.
"""

import asyncio
import logging
import random
import sys

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from chat.observation import failure
from chat.settings import ConfigurationError

log = logging.getLogger(__name__)

# What watches the task: a bad release is one that its health checks don't notice.
_SPARED = ("/api/health", "/api/ping", "/metrics")


def middleware(fault: str, memory_limit_bytes: int | None) -> Middleware:
    kind, _, text = fault.partition(":")
    try:
        amount = float(text or 0)
    except ValueError as error:
        raise ConfigurationError([f"CHAT_FAULT: {text!r} is not a number"]) from error
    match kind:
        case "errors" if 0 < amount <= 1:
            return Middleware(Errors, share=amount)
        case "slow" if 0 < amount <= 60:
            return Middleware(Slow, seconds=amount)
        case "leak" if 0 < amount <= 1024:
            ceiling = memory_limit_bytes * 3 // 2 if memory_limit_bytes else 2**30
            return Middleware(Leak, mebibytes=int(amount), ceiling=ceiling)
        case "crash":
            log.critical("crashing at start, as this release does", extra={"event": "crash"})
            sys.exit(3)
    raise ConfigurationError(["CHAT_FAULT: must be errors:SHARE, slow:SECONDS, leak:MIB or crash"])


def _concerned(scope: Scope) -> bool:
    return scope["type"] == "http" and not scope["path"].startswith(_SPARED)


class Errors:
    def __init__(self, app: ASGIApp, share: float) -> None:
        self.app, self.share = app, share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _concerned(scope) and random.random() < self.share:  # noqa: S311 no secret
            await failure("internal_error", "something went wrong here", 500)(scope, receive, send)
            return
        await self.app(scope, receive, send)


class Slow:
    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _concerned(scope):
            await asyncio.sleep(self.seconds)
        await self.app(scope, receive, send)


class Leak:
    def __init__(self, app: ASGIApp, mebibytes: int, ceiling: int) -> None:
        self.app, self.mebibytes, self.ceiling = app, mebibytes, ceiling
        self._hoard: list[bytes] = []
        self._growth: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._growth is None:  # begins with the first request, or with the application's life
            self._growth = asyncio.create_task(self._grow())
        await self.app(scope, receive, send)

    async def _grow(self) -> None:
        while sum(map(len, self._hoard)) < self.ceiling:
            # Not zeroes, which the kernel would not back with memory.
            self._hoard.append(b"\xa5" * (self.mebibytes * 2**20))
            await asyncio.sleep(1.0)
