"""What collectors have in common: a moment, what was measured in it, and differences of what only grows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from dock.aws.cloudwatch import Datum
from dock.engines.process_table import Row, members
from dock.store import Scope


@dataclass(frozen=True, slots=True)
class Moment:
    """A round of measurements: `at` in seconds since the epoch, and the processes of this machine."""

    at: float
    processes: dict[int, Row]

    def cpu(self, root: int) -> float:
        """Seconds of CPU that a process and all below it have used."""
        return sum(self.processes[pid].cpu for pid in members(root, self.processes))

    def resident(self, root: int) -> int:
        """Bytes of memory of a process and all below it; what forked processes share counts for each of them."""
        return sum(self.processes[pid].resident for pid in members(root, self.processes))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One metric's value, where it belongs."""

    scope: Scope
    namespace: str
    datum: Datum


Collector = Callable[[Moment], Awaitable[list[Measurement]]]


class Growth:
    """Differences of totals that only grow, by key; the first sight of a key is the mark to measure from."""

    def __init__(self) -> None:
        self._before: dict[Hashable, tuple[float, float]] = {}

    def since(self, key: Hashable, total: float, at: float) -> tuple[float, float] | None:
        """By how much `total` grew and in how many seconds; None at first sight. A total that fell belongs to a
        process that was replaced: all of it is new."""
        before = self._before.get(key)
        self._before[key] = (total, at)
        if before is None or at <= before[1]:
            return None
        grown = total - before[0]
        return (grown if grown >= 0 else total), at - before[1]

    def rate(self, key: Hashable, total: float, at: float) -> float | None:
        """Growth in a second; None at first sight."""
        found = self.since(key, total, at)
        return None if found is None else found[0] / found[1]
