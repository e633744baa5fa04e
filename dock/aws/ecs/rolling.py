"""The rolling deployment's arithmetic: how many tasks to start and to stop. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

# An instant's life says nothing: a task without any health check counts as healthy when it ran for so long.
SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many healthy tasks there must be, and how many tasks there may be."""

    desired: int
    minimum_percent: int = 100
    maximum_percent: int = 200

    @property
    def lower(self) -> int:
        return math.ceil(self.desired * self.minimum_percent / 100)

    @property
    def upper(self) -> int:
        return math.floor(self.desired * self.maximum_percent / 100)


@dataclass(frozen=True, slots=True)
class Counts:
    """Tasks that should run: healthy, not yet known to be, and not healthy any more."""

    healthy: int = 0
    starting: int = 0
    unhealthy: int = 0

    @property
    def total(self) -> int:
        return self.healthy + self.starting + self.unhealthy


@dataclass(frozen=True, slots=True)
class Moves:
    """What to do now. `*_new` are of the deployment that is coming, `*_old` of those that go."""

    start: int = 0
    stop_starting_new: int = 0
    stop_healthy_new: int = 0
    stop_unhealthy_new: int = 0
    stop_idle_old: int = 0
    """Old ones that serve nobody: starting or unhealthy."""
    stop_healthy_old: int = 0


def moves(bounds: Bounds, new: Counts, old: Counts) -> Moves:
    """The next moves of a rolling deployment; none when it is done.

    Never more than `upper` tasks by starting, never fewer healthy ones than `lower` by stopping. An unhealthy task is
    replaced before it is stopped where `upper` leaves room, and an old healthy one gives way early only where it
    doesn't.
    """
    useful = new.healthy + new.starting
    surplus = max(0, useful - bounds.desired)
    stop_starting = min(surplus, new.starting)
    missing = max(0, bounds.desired - useful)
    room = max(0, bounds.upper - new.total - old.total)
    start = min(missing, room)
    blocked = missing - start
    stop_idle_old = old.starting + old.unhealthy
    healthy = new.healthy + old.healthy
    # Those that serve nobody give way first.
    stop_unhealthy = new.unhealthy if healthy >= bounds.desired else min(new.unhealthy, blocked)
    still_blocked = max(0, blocked - stop_unhealthy - stop_idle_old)
    finished = max(0, healthy - bounds.desired - (surplus - stop_starting))
    early = min(still_blocked, max(0, healthy - bounds.lower))
    return Moves(
        start=start,
        stop_starting_new=stop_starting,
        stop_healthy_new=surplus - stop_starting,
        stop_unhealthy_new=stop_unhealthy,
        stop_idle_old=stop_idle_old,
        stop_healthy_old=min(old.healthy, max(finished, early)),
    )


def failure_threshold(breaker: dict[str, Any], desired: int) -> int:
    """How many failed tasks make the circuit breaker give a deployment up."""
    threshold = breaker.get("thresholdConfiguration") or {"type": "BOUNDED_PERCENT", "value": 50}
    if threshold["type"] == "COUNT":
        return max(1, int(threshold["value"]))
    count = math.ceil(desired * int(threshold["value"]) / 100)
    return max(1, count) if threshold["type"] == "UNBOUNDED_PERCENT" else min(200, max(3, count))


def pause_after(failures: int) -> float:
    """Seconds to wait before another task is started after so many failures in a row: none for the first two, then
    2, 4, 8 … up to 5 minutes (ECS goes up to 27)."""
    return 0.0 if failures < 3 else min(300.0, 2.0 ** (failures - 2))
