"""CloudWatch's statistics: what is computed of the samples of a period."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dock.aws.cloudwatch.distribution import Distribution

T = TypeVar("T")
SIMPLE = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
_NUMBER = r"\d+(?:\.\d{1,10})?"
_SHORT = re.compile(rf"(p|tm|wm|tc|ts)({_NUMBER})")
_RANGE = re.compile(rf"(TM|WM|TC|TS|PR)\((?:({_NUMBER})(%?))?:(?:({_NUMBER})(%?))?\)")
# So that 0.999 × 1000 is 999 and not a little more.
_EXACT_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Statistic:
    """One statistic. `percentile` is set for pNN alone: alarms on it may ask for enough samples."""

    name: str
    compute: Callable[[Distribution], float | None]
    percentile: float | None = None

    def of(self, samples: Distribution) -> float | None:
        """The value; None where it can't be known (no samples, a statistic set, negative values)."""
        return self.compute(samples) if samples.count > 0 else None


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Between which samples a trimmed statistic lies: percentiles (0 to 100), or values, of which the lower is
    excluded and the upper included. None is open."""

    lower: float | None
    upper: float | None
    percent: bool

    def within(self, samples: Distribution) -> list[tuple[float, float]]:
        """The (value, times) that lie inside."""
        assert samples.values is not None
        if not self.percent:
            low = -math.inf if self.lower is None else self.lower
            high = math.inf if self.upper is None else self.upper
            return [(value, times) for value, times in sorted(samples.values.items()) if low < value <= high]
        first = math.floor(_share(self.lower or 0, samples.count))
        last = math.ceil(_share(100 if self.upper is None else self.upper, samples.count))
        found, before = [], 0.0
        for value, times in sorted(samples.values.items()):
            inside = min(before + times, last) - max(before, first)
            before += times
            if inside > 0:
                found.append((value, inside))
        return found


def _share(percent: float, count: float) -> float:
    return round(percent / 100 * count, _EXACT_DIGITS)


def parse(name: str) -> Statistic:
    """A statistic by CloudWatch's name: SampleCount, Average, Sum, Minimum, Maximum, IQM, pNN, tmNN, wmNN, tcNN, tsNN,
    and TM, WM, TC, TS, PR with a range. Raises ValueError for any other."""
    if name in SIMPLE:
        return Statistic(name, _SIMPLE[name])
    if name == "IQM":
        return Statistic(name, _known(_trimmed_mean, _Bounds(25, 75, percent=True)))
    if match := _SHORT.fullmatch(name):
        percent = float(match[2])
        if percent <= 100:
            if match[1] == "p":
                return Statistic(name, _known(_percentile, percent), percent)
            return Statistic(name, _known(_KINDS[match[1]], _Bounds(None, percent, percent=True)))
    if (match := _RANGE.fullmatch(name)) and (bounds := _bounds(match)) is not None:
        return Statistic(name, _known(_KINDS[match[1].lower()], bounds))
    raise ValueError(f"{name!r} is not a statistic of CloudWatch")


def _bounds(match: re.Match[str]) -> _Bounds | None:
    kind, lower, lower_sign, upper, upper_sign = match.groups()
    signs = {sign for number, sign in ((lower, lower_sign), (upper, upper_sign)) if number is not None}
    percent = signs == {"%"}
    if len(signs) != 1 or (percent and kind == "PR"):
        return None
    low, high = (None if text is None else float(text) for text in (lower, upper))
    if low is not None and high is not None and low >= high:
        return None
    if percent and max(low or 0, high or 0) > 100:
        return None
    return _Bounds(low, high, percent)


def _known(compute: Callable[[Distribution, T], float | None], of: T) -> Callable[[Distribution], float | None]:
    """As on AWS, nothing of this kind is said of statistic sets and of negative values."""
    return lambda samples: None if samples.values is None or samples.low < 0 else compute(samples, of)


def _percentile(samples: Distribution, percent: float) -> float | None:
    """The greatest value that is left when the samples above the percentile are put aside (nearest rank)."""
    assert samples.values is not None
    rank, before = max(1, math.ceil(_share(percent, samples.count))), 0.0
    for value, times in sorted(samples.values.items()):
        before += times
        if round(before, _EXACT_DIGITS) >= rank:
            return value
    return samples.high


def _trimmed_mean(samples: Distribution, bounds: _Bounds) -> float | None:
    inside = bounds.within(samples)
    times = sum(count for _, count in inside)
    return math.fsum(value * count for value, count in inside) / times if times else None


def _winsorized_mean(samples: Distribution, bounds: _Bounds) -> float | None:
    assert samples.values is not None
    if bounds.percent:
        inside = bounds.within(samples)
        if not inside:
            return None
        low, high = inside[0][0], inside[-1][0]
    else:
        low = -math.inf if bounds.lower is None else bounds.lower
        high = math.inf if bounds.upper is None else bounds.upper
    clipped = math.fsum(min(max(value, low), high) * times for value, times in samples.values.items())
    return clipped / samples.count


def _trimmed_count(samples: Distribution, bounds: _Bounds) -> float | None:
    return sum(times for _, times in bounds.within(samples))


def _trimmed_sum(samples: Distribution, bounds: _Bounds) -> float | None:
    return math.fsum(value * times for value, times in bounds.within(samples))


def _percentile_rank(samples: Distribution, bounds: _Bounds) -> float | None:
    return sum(times for _, times in bounds.within(samples)) / samples.count * 100


_SIMPLE: dict[str, Callable[[Distribution], float | None]] = {
    "SampleCount": lambda samples: samples.count,
    "Average": lambda samples: samples.total / samples.count,
    "Sum": lambda samples: samples.total,
    "Minimum": lambda samples: samples.low,
    "Maximum": lambda samples: samples.high,
}
_KINDS: dict[str, Callable[[Distribution, _Bounds], float | None]] = {
    "tm": _trimmed_mean,
    "wm": _winsorized_mean,
    "tc": _trimmed_count,
    "ts": _trimmed_sum,
    "pr": _percentile_rank,
}
