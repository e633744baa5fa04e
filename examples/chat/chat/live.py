"""Live delivery: each message reaches every open WebSocket of its conversation, whichever task holds it.

Redis only announces. A listener knows the number of the message it sent last; a gap or a lost announcement is filled
from the database, at the latest after CATCH_UP_SECONDS, also while the cache is away.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from chat import cache, messages
from chat.database import Database
from chat.messages import Message

log = logging.getLogger(__name__)

CATCH_UP_SECONDS = 10.0
_CONTROL = "live"


class Listener:
    """One open WebSocket's view of a conversation."""

    def __init__(self, conversation: UUID, delivered: int) -> None:
        self.conversation = conversation
        self.delivered = delivered
        self._announced: deque[Message] = deque(maxlen=100)
        self._wake = asyncio.Event()

    def announce(self, message: Message) -> None:
        self._announced.append(message)
        self._wake.set()

    def look(self) -> None:
        """Something may have been missed: ask the database."""
        self._announced.clear()
        self._wake.set()

    async def next(self, database: Database) -> list[Message]:
        """Wait for messages, at most CATCH_UP_SECONDS. Returns those that follow the last, without a gap."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await self._wake.wait()
        self._wake.clear()
        fresh = sorted((m for m in self._announced if m.number > self.delivered), key=lambda m: m.number)
        self._announced.clear()
        numbers = [m.number for m in fresh]
        if not numbers or numbers != list(range(self.delivered + 1, self.delivered + 1 + len(numbers))):
            fresh = await messages.after(database, self.conversation, self.delivered)
            if len(fresh) == messages.PAGE:
                self._wake.set()
        if fresh:
            self.delivered = fresh[-1].number
        return fresh


class Hub:
    """All listeners of this process, and the one subscription that they share."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._listeners: dict[UUID, set[Listener]] = {}
        self._subscription: PubSub | None = None
        self._sockets = 0
        self._none_open = asyncio.Event()
        self._none_open.set()
        self.closing = asyncio.Event()

    @asynccontextmanager
    async def listen(self, conversation: UUID, delivered: int) -> AsyncIterator[Listener]:
        listener = Listener(conversation, delivered)
        listener.look()
        others = self._listeners.setdefault(conversation, set())
        others.add(listener)
        if len(others) == 1:
            await self._subscribe(conversation)
        try:
            yield listener
        finally:
            others.discard(listener)
            if not others and self._listeners.get(conversation) is others:
                del self._listeners[conversation]
                await self._unsubscribe(conversation)

    @contextmanager
    def socket(self) -> Iterator[None]:
        """Around a WebSocket's whole life, so that `close` can wait for its end."""
        self._sockets += 1
        self._none_open.clear()
        try:
            yield
        finally:
            self._sockets -= 1
            if self._sockets == 0:
                self._none_open.set()

    async def close(self) -> None:
        """Ask all WebSockets to close. Returns when they have."""
        self.closing.set()
        await self._none_open.wait()

    async def announce(self, message: Message) -> None:
        """Tell this process's listeners at once and the other tasks through Redis. Never fails: the message is
        committed, and who misses this finds it by catching up."""
        for listener in self._listeners.get(message.conversation_id, ()):
            listener.announce(message)
        try:
            async with cache.bounded(0.5):
                await self._redis.publish(_channel(message.conversation_id), message.model_dump_json())
        except cache.CacheAway:
            log.warning("message not announced", extra={"conversation": str(message.conversation_id)})

    async def run(self) -> None:
        """Read announcements until cancelled, over a new connection whenever one was lost."""
        interrupted = False
        while True:
            subscription = self._redis.pubsub()
            try:
                await subscription.subscribe(_CONTROL, *(_channel(c) for c in self._listeners))
                self._subscription = subscription
                if interrupted:
                    log.info("announcements resumed")
                    interrupted = False
                for listener in self._everyone():
                    listener.look()
                while True:
                    announcement = await subscription.get_message(ignore_subscribe_messages=True, timeout=1.0)
                    if announcement is not None and announcement["type"] == "message":
                        self._received(announcement["data"])
            except (RedisError, OSError) as error:
                if not interrupted:
                    log.warning("announcements interrupted", extra={"problem": type(error).__name__})
                    interrupted = True
                await asyncio.sleep(0.5)
            finally:
                self._subscription = None
                with suppress(RedisError, OSError):
                    await subscription.aclose()  # type: ignore[no-untyped-call]

    def _received(self, data: bytes) -> None:
        try:
            message = Message.model_validate_json(data)
        except ValueError:
            log.warning("announcement thrown away: it can't be read")
            return
        for listener in self._listeners.get(message.conversation_id, ()):
            listener.announce(message)

    def _everyone(self) -> list[Listener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]

    async def _subscribe(self, conversation: UUID) -> None:
        if self._subscription is not None:  # else run() subscribes to all as soon as it is connected
            with suppress(cache.CacheAway):
                async with cache.bounded(1.0):
                    await self._subscription.subscribe(_channel(conversation))

    async def _unsubscribe(self, conversation: UUID) -> None:
        if self._subscription is not None:
            with suppress(cache.CacheAway):
                async with cache.bounded(1.0):
                    await self._subscription.unsubscribe(_channel(conversation))


def _channel(conversation: UUID) -> str:
    return f"conversation:{conversation}"
