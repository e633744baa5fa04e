"""Time series, and the periods that their points lie on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dock.aws.cloudwatch.archive import Bucket
from dock.aws.cloudwatch.distribution import Distribution
from dock.aws.cloudwatch.statistics import Statistic


@dataclass(frozen=True, slots=True)
class Grid:
    """Periods of `period` seconds that begin at `start`, `start + period`, … before `end` (seconds, UTC)."""

    start: int
    end: int
    period: int

    def times(self) -> range:
        return range(self.start, self.end, self.period)

    def of(self, at: float) -> int:
        """The beginning of the period that a moment lies in."""
        return self.start + int((at - self.start) // self.period) * self.period


@dataclass(frozen=True, slots=True)
class Series:
    """Points by the beginning of their period. `metric` tells a metric's own series from an expression's."""

    grid: Grid
    points: dict[int, float] = field(default_factory=dict)
    label: str = ""
    metric: bool = False

    def with_points(self, points: dict[int, float], *, label: str | None = None) -> Series:
        """An expression's series on the same grid."""
        return Series(self.grid, points, self.label if label is None else label)


def aggregated(buckets: Iterable[Bucket], grid: Grid) -> dict[int, Distribution]:
    """The samples of each period, of all units."""
    found: dict[int, Distribution] = {}
    for bucket in buckets:
        at = grid.of(bucket.start)
        if at in found:
            found[at].add(bucket.samples)
        else:
            found[at] = bucket.samples
    return found


def computed(samples: dict[int, Distribution], statistic: Statistic) -> dict[int, float]:
    """A statistic of each period that has one, by time."""
    values = ((at, statistic.of(one)) for at, one in sorted(samples.items()))
    return {at: value for at, value in values if value is not None}
