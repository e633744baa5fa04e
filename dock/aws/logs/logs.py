"""CloudWatch Logs, put together; what other services of the dock call in process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dock.aws.logs.archive import Archive
from dock.aws.logs.events import Events
from dock.aws.logs.filter_records import MetricFilterRecords
from dock.aws.service import AwsError
from dock.store import Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

_EXPIRY_SECONDS = 60


class Logs(Events):
    """Log groups, streams, events, and the metrics that are made of them. Insights and subscriptions are refused."""

    name = "logs"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.archive = Archive(cloud.home.data("logs-store"))
        self.filters = MetricFilterRecords(cloud.store)
        self._expiry: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._expiry is None:
            self._expiry = self.cloud.spawn(self._expire(), "log retention")

    async def stop(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    async def _expire(self) -> None:
        while True:
            count = await asyncio.to_thread(self.archive.expire, self.now())
            if count:
                log.info("%d log events were older than their groups keep them", count)
            await asyncio.sleep(_EXPIRY_SECONDS)

    async def append(
        self,
        scope: Scope,
        group: str,
        stream: str,
        events: Sequence[tuple[int, str]],
        *,
        source: tuple[str, int] | None = None,
    ) -> None:
        """Add (milliseconds since the epoch, message) pairs to a stream, which is made when missing.

        `source` (name, position) becomes durable together with the events: see `position`. Raises AwsError
        ResourceNotFoundException when there is no such group.
        """
        found = await self.find_group(scope, group)
        await asyncio.to_thread(self.archive.append, found, stream, events, self.now(), create=True, source=source)
        self.measure(found, events)

    async def position(self, source: str) -> int:
        """The position that the last `append` of this source named; 0 when there was none."""
        return await asyncio.to_thread(self.archive.position, source)

    async def forget(self, source: str) -> None:
        """The source is gone for good."""
        await asyncio.to_thread(self.archive.forget, source)

    async def ensure_group(self, scope: Scope, group: str, *, create: bool) -> bool:
        """Whether there is such a group, after making it if `create` is set."""
        try:
            await self.find_group(scope, group)
        except AwsError:
            if not create:
                return False
            await asyncio.to_thread(self.archive.create_group, scope, group, self.now(), None, "STANDARD", False, {})
        return True
