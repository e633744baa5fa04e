"""The rounds in which everything is measured."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dock.aws.cloudwatch import CloudWatch
from dock.engines.process_table import process_table
from dock.telemetry.caches import Caches
from dock.telemetry.databases import Databases
from dock.telemetry.load_balancers import LoadBalancers
from dock.telemetry.measurement import Collector, Measurement, Moment
from dock.telemetry.tasks import Tasks

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

# AWS publishes once a minute. Twice in the shortest period of an alarm, 10 s, lets short periods tell the truth.
INTERVAL_SECONDS = 5.0
# A round is a little before a full period, so that what it finds belongs to the period that ends.
LEAD_SECONDS = 0.5
ROUND_SECONDS = 4.0


class Telemetry:
    """Measures all services that this dock has. A collector that fails leaves a gap in its metrics and no other."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloudwatch = cloud.service(CloudWatch)
        kinds: dict[str, Callable[[Cloud], Collector]] = {
            "ecs": lambda cloud: Tasks(cloud).collect,
            "elbv2": lambda cloud: LoadBalancers(cloud).collect,
            "rds": lambda cloud: Databases(cloud).collect,
            "elasticache": lambda cloud: Caches(cloud).collect,
        }
        self._collectors = {name: kind(cloud) for name, kind in kinds.items() if name in cloud.services}
        self._failing: set[str] = set()

    async def run(self) -> None:
        """Until the dock ends."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS - (time.time() + LEAD_SECONDS) % INTERVAL_SECONDS)
            await self.measure()

    async def measure(self) -> None:
        """One round."""
        moment = Moment(time.time(), await asyncio.to_thread(process_table))
        found = await asyncio.gather(
            *(self._collect(name, collect, moment) for name, collect in self._collectors.items())
        )
        for measurement in (each for part in found for each in part):
            self._cloudwatch.record(measurement.scope, measurement.namespace, measurement.datum)

    async def _collect(self, name: str, collect: Collector, moment: Moment) -> list[Measurement]:
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                found = await collect(moment)
        except Exception:
            # Each time it would fill the log; once says it.
            if name not in self._failing:
                log.exception("%s could not be measured", name)
            self._failing.add(name)
            return []
        self._failing.discard(name)
        return found
