"""What Prometheus scrapes: requests, and the platform's business figures.

Counters are of this task and are summed over tasks; the gauges that describe shared state (conversations, voice queue)
are the same on each task, so take their maximum.
"""

import logging
import math
from collections.abc import Awaitable, Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from chat.problems import Unavailable

log = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)


class Metrics:
    def __init__(self, *, release: str, task: str, schema: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        build = Gauge("chat_release_info", "1, with what runs here", ["release", "task", "schema"], registry=registry)
        build.labels(release, task, schema).set(1)
        self.requests = Counter("chat_http_requests", "HTTP requests", ["method", "route", "status"], registry=registry)
        self.duration = Histogram(
            "chat_http_request_seconds",
            "Time to the end of the answer",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge("chat_http_requests_in_flight", "HTTP requests being answered", registry=registry)
        self.websockets = Gauge("chat_websockets", "Open WebSockets", registry=registry)
        self.messages = Counter("chat_messages", "Messages posted", registry=registry)
        self.recent = Counter("chat_recent_reads", "Reads of recent messages", ["result"], registry=registry)
        self.characters = Counter("chat_characters_created", "Characters created", registry=registry)
        self.payments = Counter("chat_payments", "Payments settled", ["outcome"], registry=registry)
        for outcome in ("succeeded", "failed"):
            self.payments.labels(outcome)
        self.active_conversations = Gauge(
            "chat_active_conversations",
            "Conversations with a message in the last 5 minutes",
            registry=registry,
        )
        self.voice_queue_depth = Gauge("chat_voice_queue_depth", "Voices asked for and not begun", registry=registry)
        self.pool = Gauge("chat_database_pool", "Database connections of this task", ["state"], registry=registry)

    def text(self) -> bytes:
        return generate_latest(self.registry)


async def measure(gauge: Gauge, source: Callable[[], Awaitable[int]]) -> None:
    """Set a gauge; to NaN when nobody can tell, never to a figure that may be old."""
    try:
        gauge.set(await source())
    except Unavailable:
        gauge.set(math.nan)
