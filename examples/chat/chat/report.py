"""The platform's business figures, logged every few seconds in the embedded metric format.

A log store that knows the format (CloudWatch Logs) makes metrics of these lines; for any other they are JSON like the
rest. What happens once (a payment, a new character) has a line of its own, which a metric filter counts.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from chat.problems import Unavailable

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0

Source = Callable[[], Awaitable[int]]


def line(namespace: str, figures: Mapping[str, int], now: float) -> dict[str, object]:
    """The fields of a log line that carries these figures; `now` in seconds since the epoch.

    Without dimensions: each task reports the same state, so the platform's figure is their maximum.
    """
    directive = {
        "Namespace": namespace,
        "Dimensions": [[]],
        "Metrics": [{"Name": name, "Unit": "Count", "StorageResolution": 1} for name in figures],
    }
    return {"_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]}, **figures}


async def run(namespace: str, sources: Mapping[str, Source]) -> None:
    """Until it is cancelled. A figure that nobody can tell is left out, never replaced by an old one or by 0."""
    while True:
        await asyncio.sleep(INTERVAL_SECONDS - time.time() % INTERVAL_SECONDS)
        figures: dict[str, int] = {}
        for name, source in sources.items():
            try:
                figures[name] = await source()
            except Unavailable:
                continue
        if figures:
            log.info("business figures", extra=line(namespace, figures, time.time()))
