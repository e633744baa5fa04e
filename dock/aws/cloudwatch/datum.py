"""Metrics and what is recorded of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dock.aws.cloudwatch.distribution import Distribution
from dock.store import Scope

Dimensions = tuple[tuple[str, str], ...]


class Metric(NamedTuple):
    """One metric: its namespace, name and dimensions, in an account and region. Dimensions are sorted by name."""

    scope: Scope
    namespace: str
    name: str
    dimensions: Dimensions


@dataclass(frozen=True, slots=True)
class Datum:
    """What an engine of the dock records of a metric: one `value`, or `values` with their `counts` (1 each when left
    out). `at` is in seconds since the epoch, UTC; None is now. Resolution is 1 s, so that alarms may have any period.
    """

    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None
    unit: str = "None"
    at: float | None = None
    values: Sequence[float] | None = None
    counts: Sequence[float] | None = None

    def distribution(self) -> Distribution:
        """Raises ValueError when there is neither a value nor values, or when counts don't fit them."""
        if self.value is not None:
            return Distribution.of({float(self.value): 1.0})
        if not self.values:
            raise ValueError(f"{self.name} has neither a value nor values")
        counts = self.counts if self.counts is not None else [1.0] * len(self.values)
        samples: dict[float, float] = {}
        for value, times in zip(self.values, counts, strict=True):
            samples[float(value)] = samples.get(float(value), 0.0) + times
        return Distribution.of(samples)


def dimensions_of(pairs: Mapping[str, str]) -> Dimensions:
    """Dimensions in the order in which metrics keep them."""
    return tuple(sorted(pairs.items()))
