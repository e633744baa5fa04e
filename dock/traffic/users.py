"""One user of the chat application: logs in, posts, reads, and listens to a live conversation."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import (
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    CookieJar,
    TCPConnector,
    WSMsgType,
)
from aiohttp.abc import AbstractResolver

from dock.traffic.record import Answer, Message, Writer

# A person gives up after this; the application's own longest answer is 5 s.
PATIENCE_SECONDS = 10.0
_RECONNECT_SECONDS = 0.5


@dataclass(slots=True)
class User:
    """Speaks to `url`. `source` is the address that the user comes from, where users must differ by it."""

    url: str
    writer: Writer
    resolver: AbstractResolver | None = None
    source: str | None = None
    verify: bool = True
    name: str = field(default_factory=lambda: f"traffic-{secrets.token_hex(6)}")
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    conversation: str = ""
    last_number: int = 0
    heard: int = 0
    """The newest message number that the live socket brought."""
    gaps: int = 0
    """How often the live socket left a number out."""
    _session: ClientSession | None = None
    _live: asyncio.Task[None] | None = None

    async def arrive(self) -> None:
        """Register and open a conversation. Raises RuntimeError when the service doesn't let the user in."""
        self._session = ClientSession(
            connector=TCPConnector(
                limit=8,
                resolver=self.resolver,
                local_addr=(self.source, 0) if self.source else None,
                ssl=self.verify,
                use_dns_cache=False,
            ),
            cookie_jar=CookieJar(unsafe=True),
            timeout=ClientTimeout(total=PATIENCE_SECONDS),
        )
        credentials = {"name": self.name, "password": self.password}
        await self._must("/api/accounts", credentials)
        self.conversation = str((await self._must("/api/conversations", {"title": self.name}))["id"])

    async def leave(self) -> None:
        """Close everything; nothing is recorded any more."""
        if self._live is not None:
            self._live.cancel()
            await asyncio.gather(self._live, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def log_in(self, due: float) -> None:
        await self._request("log in", due, "POST", "/api/session", {"name": self.name, "password": self.password})

    async def read(self, due: float) -> None:
        await self._request("read", due, "GET", f"/api/conversations/{self.conversation}/messages")

    async def post(self, due: float) -> None:
        """The client's id makes a repetition harmless; here a message is sent once, so that each answer is seen."""
        client_id = str(uuid.uuid4())
        text = f"{self.name} at {due:.3f}"
        found = await self._request(
            "post",
            due,
            "POST",
            f"/api/conversations/{self.conversation}/messages",
            {"client_id": client_id, "text": text},
        )
        if found is not None and "number" in found:
            self.last_number = max(self.last_number, int(str(found["number"])))
            self.writer.message(
                Message(time.time(), self.name, self.conversation, int(str(found["number"])), client_id)
            )

    def listen(self) -> None:
        """Hold a live socket from now on; each connection is a request of its kind, and so is each loss of one."""
        self._live = asyncio.create_task(self._stay_live(), name=f"{self.name} listens")

    @property
    def actions(self) -> list[tuple[float, Callable[[float], Awaitable[None]]]]:
        """What a user does, by weight: people read more than they write."""
        return [(0.5, self.read), (0.4, self.post), (0.1, self.log_in)]

    async def act(self, due: float, chance: random.Random) -> None:
        weights, actions = zip(*self.actions, strict=True)
        (action,) = chance.choices(actions, weights)
        await action(due)

    async def _must(self, path: str, document: dict[str, str]) -> dict[str, object]:
        assert self._session is not None
        try:
            async with self._session.post(self.url + path, json=document) as response:
                if response.status not in (200, 201):
                    raise RuntimeError(f"POST {path} answered {response.status}: {(await response.text())[:300]}")
                found: dict[str, object] = await response.json()
                return found
        except (ClientError, OSError, TimeoutError) as problem:
            raise RuntimeError(f"POST {self.url}{path}: {problem or type(problem).__name__}") from problem

    async def _request(
        self, kind: str, due: float, method: str, path: str, document: dict[str, str] | None = None
    ) -> dict[str, object] | None:
        """Record the answer; its document when it was a good one."""
        assert self._session is not None
        status: int | None = None
        release = task = error = ""
        found: dict[str, object] | None = None
        try:
            async with self._session.request(method, self.url + path, json=document) as response:
                status, release = response.status, response.headers.get("x-release", "")
                task = response.headers.get("x-task", "")
                body = await response.read()
                if status < 300:
                    found = json.loads(body)
                elif status >= 400:
                    error = body[:200].decode(errors="replace")
        except (ClientError, OSError, TimeoutError, ValueError) as problem:
            # An answer that broke off is none.
            status, error = None, f"{type(problem).__name__}: {problem}"
        self.writer.answer(Answer(due, kind, time.time() - due, status, release, task, error))
        return found

    async def _stay_live(self) -> None:
        while True:
            due = time.time()
            await self._connect_live(due)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _connect_live(self, due: float) -> None:
        assert self._session is not None
        url = f"{self.url}/api/conversations/{self.conversation}/live?after={self.heard}"
        try:
            async with self._session.ws_connect(url, heartbeat=10) as socket:
                first = await socket.receive_json(timeout=PATIENCE_SECONDS)
                release, task = str(first.get("release", "")), str(first.get("task", ""))
                self.writer.answer(Answer(due, "connect", time.time() - due, 101, release, task))
                await self._hear(socket)
                lost_at, code = time.time(), socket.close_code
            # 1001: a task that leaves says so, and the user comes back to another one.
            status = 101 if code in (1000, 1001) else None
            self.writer.answer(Answer(lost_at, "live", 0.0, status, release, task, f"closed with {code}"))
        except (ClientError, OSError, TimeoutError, TypeError, ValueError) as problem:
            error = f"{type(problem).__name__}: {problem}"
            self.writer.answer(Answer(due, "connect", time.time() - due, None, error=error))

    async def _hear(self, socket: ClientWebSocketResponse) -> None:
        async for event in socket:
            if event.type != WSMsgType.TEXT:
                return
            document = json.loads(event.data)
            if document.get("type") == "message":
                number = int(document.get("message", document)["number"])
                self.gaps += number > self.heard + 1
                self.heard = max(self.heard, number)
