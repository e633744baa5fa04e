"""What CloudWatch keeps of many samples: count, sum, extremes, and how often each value came."""

from __future__ import annotations

import array
import math
from dataclasses import dataclass, field

# A bucket keeps at most about so many different values; beyond that they are rounded to ever fewer bits.
MOST_VALUES = 1000
_BITS = (10, 8, 6, 4, 2)


@dataclass(slots=True)
class Distribution:
    """Samples that were put together. `values` maps a value to how often it came; it is None where only a statistic
    set was published, of which no percentile can be known.

    Up to 1000 different values are exact; more are rounded to 10 binary digits (an error of at most 0.1 %), then to
    fewer. Count, sum and extremes stay exact.
    """

    count: float = 0.0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    values: dict[float, float] | None = field(default_factory=dict)

    @classmethod
    def of(cls, values: dict[float, float]) -> Distribution:
        """From values and how often each came (at least one)."""
        count = sum(values.values())
        total = math.fsum(value * times for value, times in values.items())
        made = cls(count, total, min(values), max(values), dict(values))
        made._shrink()
        return made

    @classmethod
    def of_statistics(cls, count: float, total: float, low: float, high: float) -> Distribution:
        """From a statistic set. Its distribution is known only where all its values are the same."""
        same = low == high and math.isclose(total, low * count)
        return cls(count, total, low, high, {low: count} if same else None)

    def add(self, other: Distribution) -> None:
        """Take another's samples in."""
        self.count += other.count
        self.total += other.total
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        if self.values is None or other.values is None:
            self.values = None
            return
        for value, times in other.values.items():
            self.values[value] = self.values.get(value, 0.0) + times
        self._shrink()

    def copy(self) -> Distribution:
        return Distribution(
            self.count, self.total, self.low, self.high, None if self.values is None else dict(self.values)
        )

    def _shrink(self) -> None:
        for bits in _BITS:
            if self.values is None or len(self.values) <= MOST_VALUES:
                return
            rounded: dict[float, float] = {}
            for value, times in self.values.items():
                mantissa, exponent = math.frexp(value)
                near = math.ldexp(round(mantissa * (1 << bits)) / (1 << bits), exponent)
                near = min(max(near, self.low), self.high)
                rounded[near] = rounded.get(near, 0.0) + times
            self.values = rounded

    def packed(self) -> bytes | None:
        """The values as bytes; None where they follow from the rest, or aren't known."""
        if self.values is None or self.low == self.high:
            return None
        return array.array("d", [number for pair in self.values.items() for number in pair]).tobytes()

    @classmethod
    def unpacked(cls, count: float, total: float, low: float, high: float, packed: bytes | None) -> Distribution:
        """What `packed` and the other figures were made from."""
        if packed is None:
            return cls(count, total, low, high, {low: count} if low == high else None)
        numbers = array.array("d", packed)
        return cls(count, total, low, high, dict(zip(numbers[::2], numbers[1::2], strict=True)))
