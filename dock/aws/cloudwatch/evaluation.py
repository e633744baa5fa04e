"""What an alarm makes of its datapoints: M out of N, missing data, and the reason in words. Pure functions."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
# An alarm looks at so many periods more than it evaluates, and takes from there what is missing in the newest. AWS
# doesn't say how many; its tables of examples have 5 for 3.
EXTRA_PERIODS = 2
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
MISSING, IGNORE, BREACHING, NOT_BREACHING = "missing", "ignore", "breaching", "notBreaching"


class Point(NamedTuple):
    """A period's value (None: there is none) with the number of samples behind it (None: not known)."""

    at: int
    value: float | None
    samples: float | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """When an alarm is in ALARM: `datapoints` of `periods` compare with the threshold as `comparison` says."""

    comparison: str
    threshold: float
    periods: int
    datapoints: int
    missing: str

    def breaches(self, value: float) -> bool:
        return COMPARISONS[self.comparison][0](value, self.threshold)


class Verdict(NamedTuple):
    """The state that the datapoints ask for, why, and which were evaluated (newest first)."""

    state: str
    reason: str
    evaluated: tuple[Point, ...]


def judge(points: Sequence[Point], condition: Condition, unknown: Collection[int] = ()) -> Verdict | None:
    """The verdict on the points of the evaluation range, oldest first; None when the alarm stays in its state.

    `unknown` are periods of which nobody can say whether there would have been data (the dock was down): a state is
    told only when it is the same whatever they were.
    """
    real = [point for point in reversed(points) if point.value is not None]
    if len(real) >= condition.periods:
        chosen = real[: condition.periods]
        return _told(chosen, condition, filled=0)
    breaching = [point for point in real if point.value is not None and condition.breaches(point.value)]
    fills = condition.periods - len(real)
    if any(point.value is None and point.at in unknown for point in points):
        certain = len(breaching) >= condition.datapoints or len(breaching) + fills < condition.datapoints
        return _told(real, condition, filled=0) if certain and real else None
    if condition.missing in (BREACHING, NOT_BREACHING):
        return _told(real, condition, filled=fills)
    if len(breaching) < len(real) or len(breaching) >= condition.datapoints:
        return _told(real, condition, filled=0)
    if condition.missing == IGNORE:
        return None
    if real and _age(real[-1], points) >= condition.datapoints:
        # All there is breaches, and the oldest of it for long enough that no later datapoint could avert the alarm.
        return Verdict(ALARM, _crossed(real, condition, breached=True), tuple(real))
    count = condition.periods - len(real)
    return Verdict(
        INSUFFICIENT_DATA,
        f"Insufficient Data: {_counted(count)} {'was' if count == 1 else 'were'} unknown.",
        tuple(real),
    )


def _age(point: Point, points: Sequence[Point]) -> int:
    """The newest period has the age 1."""
    return len(points) - [one.at for one in points].index(point.at)


def _told(chosen: Sequence[Point], condition: Condition, *, filled: int) -> Verdict:
    bad = sum(1 for point in chosen if point.value is not None and condition.breaches(point.value))
    treated = filled if condition.missing == BREACHING else 0
    breached = bad + treated >= condition.datapoints
    state = ALARM if breached else OK
    if filled:
        word = "Breaching" if condition.missing == BREACHING else "NonBreaching"
        reason = (
            f"Threshold Crossed: no datapoints were received for {filled} period{'' if filled == 1 else 's'} and"
            f" {filled} missing datapoint{' was' if filled == 1 else 's were'} treated as [{word}]."
        )
        if chosen:
            reason = f"{_crossed(chosen, condition, breached=bad > 0)[:-1]}; {reason.partition(': ')[2]}"
        return Verdict(state, reason, tuple(chosen))
    return Verdict(state, _crossed(chosen, condition, breached=breached), tuple(chosen))


def _crossed(chosen: Sequence[Point], condition: Condition, *, breached: bool) -> str:
    fitting = [point for point in chosen if point.value is not None and condition.breaches(point.value) == breached]
    shown = ", ".join(f"{point.value} ({_time(point.at)})" for point in fitting)
    verb = ("was" if len(fitting) == 1 else "were") + ("" if breached else " not")
    need = condition.datapoints if breached else condition.periods - condition.datapoints + 1
    way = "OK -> ALARM" if breached else "ALARM -> OK"
    return (
        f"Threshold Crossed: {len(fitting)} out of the last {len(chosen)} datapoints [{shown}] {verb}"
        f" {COMPARISONS[condition.comparison][1]} the threshold ({condition.threshold})"
        f" (minimum {_counted(need)} for {way} transition)."
    )


def _counted(count: int) -> str:
    return f"{count} datapoint{'' if count == 1 else 's'}"


def _time(at: int) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%d/%m/%y %H:%M:%S")


def enough_samples(percentile: float, samples: float) -> bool:
    """Whether a percentile (0 to 100) is significant: AWS asks for 10 / (1 - p) samples from the median upwards, for
    10 / p below."""
    share = percentile / 100
    if share in (0.0, 1.0):
        return True
    return samples >= (10 / (1 - share) if share >= 0.5 else 10 / share) - 1e-6
