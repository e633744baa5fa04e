"""A container's own health check: a command that is run beside it, as often as it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dock.engines.containers import execute
from dock.engines.supervisor import Process

UNKNOWN, HEALTHY, UNHEALTHY = "UNKNOWN", "HEALTHY", "UNHEALTHY"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Durations in seconds; `retries` failures in a row make a container unhealthy, those in `start_period` don't
    count until the first success."""

    argv: list[str]
    interval: float
    timeout: float
    retries: int
    start_period: float


async def check(
    health: HealthCheck, process: Process, user: tuple[int, int] | None, changed: Callable[[str], None]
) -> None:
    """Run the check until the container ends; `changed` is called with each new state."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    state, failures = UNKNOWN, 0
    while process.alive:
        code = await execute(process, health.argv, user, health.timeout)
        if code == 0:
            failures, new = 0, HEALTHY
        else:
            if state != UNKNOWN or loop.time() - began >= health.start_period:
                failures += 1
            new = UNHEALTHY if failures >= health.retries else state
        if new != state and process.alive:
            state = new
            changed(state)
        await asyncio.sleep(health.interval)
