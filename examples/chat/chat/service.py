"""All that one process holds together: its settings, its connections and its state."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from uuid import UUID

from redis.asyncio import Redis
from starlette.requests import HTTPConnection

from chat import cache, conversations, messages, metrics, report, schema, voice
from chat.accounts import Account, of_session
from chat.database import Database
from chat.live import Hub
from chat.messages import Message, NewMessage
from chat.metrics import Metrics
from chat.settings import Settings
from chat.task import Task

log = logging.getLogger(__name__)

COOKIE = "session"


class Service:
    def __init__(self, settings: Settings, task: Task) -> None:
        self.settings = settings
        self.task = task
        self.draining = False
        """Set when the process was told to end: the health check fails, requests are still answered."""
        self.required_schema = schema.required()
        self.metrics = Metrics(release=settings.release, task=task.name, schema=self.required_schema)
        self.database = Database(settings, task=task.name, size=settings.database_pool_size)
        self.redis: Redis = cache.connect(settings)
        self.hub = Hub(self.redis)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.database.open()
        background = [
            asyncio.create_task(self.hub.run()),
            asyncio.create_task(voice.drain(self.redis)),
            asyncio.create_task(
                report.run(
                    f"{self.settings.platform}/{self.settings.environment}",
                    {
                        "ActiveConversations": partial(conversations.active, self.database),
                        "VoiceQueueDepth": partial(voice.depth, self.redis),
                    },
                )
            ),
        ]
        for job in background:
            job.add_done_callback(_must_not_end)
        try:
            yield
        finally:
            for job in background:
                job.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            with suppress(Exception):
                async with asyncio.timeout(2.0):
                    await self.redis.aclose()
            await self.database.close()

    def feature(self, name: str) -> bool:
        return name in self.settings.chat_features

    async def account(self, connection: HTTPConnection) -> Account:
        """Raises Unauthenticated, CacheAway."""
        return await of_session(self.redis, connection.cookies.get(COOKIE))

    async def post(self, account: Account, conversation: UUID, new: NewMessage) -> tuple[Message, bool]:
        """Commit a message, then cache and announce it. Returns it and whether it is new."""
        message, created = await messages.post(self.database, account, conversation, new)
        if created:
            self.metrics.messages.inc()
        # Also when it was there before: the attempt that committed it may have died before it could announce it.
        await asyncio.gather(messages.remember(self.redis, message), self.hub.announce(message))
        return message, created

    async def measure(self) -> None:
        """Bring the gauges up to date for a scrape."""
        await asyncio.gather(
            metrics.measure(self.metrics.active_conversations, partial(conversations.active, self.database)),
            metrics.measure(self.metrics.voice_queue_depth, partial(voice.depth, self.redis)),
        )
        statistics = self.database.statistics()
        size, idle = statistics.get("pool_size", 0), statistics.get("pool_available", 0)
        self.metrics.pool.labels("idle").set(idle)
        self.metrics.pool.labels("used").set(size - idle)
        self.metrics.pool.labels("waiting").set(statistics.get("requests_waiting", 0))
        self.metrics.pool.labels("limit").set(self.settings.database_pool_size)


def of(connection: HTTPConnection) -> Service:
    service: Service = connection.app.state.service
    return service


def _must_not_end(job: "asyncio.Task[None]") -> None:
    # Without it the service would look well and deliver nothing: better that the task is replaced.
    if not job.cancelled():
        log.critical("background job ended", exc_info=job.exception())
        os._exit(70)
