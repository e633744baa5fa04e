"""How many tasks there should be: the arithmetic of policies. Pure.

AWS says what a target tracking policy does ("the minimum capacity that keeps the metric at the target"), not by which
formula; this one is proportional, as its predefined metrics are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any


def tracked(current: int, value: float, target: float) -> int:
    """So many tasks bring an average of `value` over `current` tasks to `target`. Rounded up: too many cost money,
    too few cost users."""
    # What is a whole number but for the last bits of a float stays that number.
    return math.ceil(round(current * value / target, 6))


def stepped(current: int, policy: dict[str, Any], breach: float) -> int | None:
    """What a step policy makes of `current` tasks when the metric is `breach` above its alarm's threshold (below, when
    negative); None when no step covers that."""
    step = find_step(policy["StepAdjustments"], breach)
    if step is None:
        return None
    adjustment = step["ScalingAdjustment"]
    match policy["AdjustmentType"]:
        case "ExactCapacity":
            return int(adjustment)
        case "PercentChangeInCapacity":
            change = current * adjustment / 100
            # Away from zero below one, towards zero above: as the documentation of AdjustmentType has it.
            whole = int(math.copysign(1, change)) if 0 < abs(change) < 1 else int(change)
            least = policy.get("MinAdjustmentMagnitude", 0)
            if adjustment and abs(whole) < least:
                whole = int(math.copysign(least, adjustment))
            return current + whole
    return current + int(adjustment)


def find_step(steps: Sequence[dict[str, Any]], breach: float) -> dict[str, Any] | None:
    """The step whose interval holds the breach: lower bound included when the metric is above the threshold, upper
    bound when it is below."""
    for step in steps:
        low = step.get("MetricIntervalLowerBound", -math.inf)
        high = step.get("MetricIntervalUpperBound", math.inf)
        if (low <= breach < high) if breach >= 0 else (low < breach <= high):
            return step
    return None


def overlap(steps: Sequence[dict[str, Any]]) -> bool:
    """Whether two steps cover the same breach, or one covers none."""
    bounds = sorted(
        (step.get("MetricIntervalLowerBound", -math.inf), step.get("MetricIntervalUpperBound", math.inf))
        for step in steps
    )
    return any(low >= high for low, high in bounds) or any(later[0] < earlier[1] for earlier, later in pairwise(bounds))
