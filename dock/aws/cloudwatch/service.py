"""CloudWatch as one service."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from dock.aws.cloudwatch.data import Data
from dock.aws.cloudwatch.descriptions import Descriptions
from dock.aws.cloudwatch.evaluation import OK
from dock.aws.cloudwatch.metrics import Metrics
from dock.aws.cloudwatch.tags import Tags
from dock.aws.cloudwatch.watch import Watch

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 1
_TIDY_SECONDS = 60


class CloudWatch(Metrics, Data, Descriptions, Tags):
    """Metrics, alarms, dashboards. Anomaly detection, Contributor Insights, metric streams and search are refused."""

    name = "cloudwatch"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.watch = Watch(self)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        if self._tasks:
            return
        self.watch.start()
        self._tasks = [
            self.cloud.spawn(self._flush(), "metrics to disk"),
            self.cloud.spawn(self._tidy(), "metric retention"),
        ]

    async def stop(self) -> None:
        await self.watch.stop()
        await self.actions.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def status(self) -> list[dict[str, Any]]:
        """The alarms that are not OK."""
        return [
            {
                "kind": "alarm",
                "name": record["AlarmName"],
                "state": record["StateValue"],
                "problem": record["StateReason"] if record["StateValue"] == "ALARM" else None,
                "account": scope.account,
                "region": scope.region,
            }
            for scope, record in sorted(self.book.everywhere(), key=lambda found: (found[0], found[1]["AlarmName"]))
            if record["StateValue"] != OK
        ]

    async def _flush(self) -> None:
        try:
            while True:
                await asyncio.sleep(_FLUSH_SECONDS)
                try:
                    await asyncio.to_thread(self.archive.flush, self.now() if self.watch.running else None)
                except Exception:
                    log.exception("metrics could not be written; they are kept and tried again")
        finally:
            with contextlib.suppress(Exception):
                self.archive.flush(self.now() if self.watch.running else None)

    async def _tidy(self) -> None:
        while True:
            gone = await asyncio.to_thread(self.archive.tidy, self.now())
            if gone:
                log.info("%d metric buckets were rolled up or dropped", gone)
            await asyncio.sleep(_TIDY_SECONDS)
