"""Application Auto Scaling as one service."""

from __future__ import annotations

import asyncio
import logging
import time

from dock.aws.application_autoscaling.scaler import Scaler

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0


class ApplicationAutoScaling(Scaler):
    """Scales ECS services by target tracking, by steps and by the clock. Predictive scaling is refused."""

    _looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await super().start()
        if self._looking is None:
            self._looking = self.cloud.spawn(self._run(), "auto scaling")

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None

    async def _run(self) -> None:
        failing = False
        while True:
            try:
                await self.look(time.time())
                failing = False
            except Exception:
                if not failing:
                    log.exception("auto scaling could not look; it goes on trying")
                failing = True
            await asyncio.sleep(LOOK_SECONDS)
