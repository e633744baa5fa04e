"""How many tasks, and when: pure."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from dock.aws.application_autoscaling.capacity import overlap, stepped, tracked
from dock.aws.application_autoscaling.schedule import Schedule


@pytest.mark.parametrize(
    ("current", "value", "wanted"), [(4, 90.0, 6), (4, 60.0, 4), (4, 60.1, 5), (4, 30.0, 2), (3, 20.0, 1), (10, 6.0, 1)]
)
def test_a_target_is_reached_in_proportion_and_rounded_up(current: int, value: float, wanted: int) -> None:
    assert tracked(current, value, 60.0) == wanted


STEPS = [
    {"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 10.0, "ScalingAdjustment": 1},
    {"MetricIntervalLowerBound": 10.0, "ScalingAdjustment": 3},
    {"MetricIntervalUpperBound": 0.0, "MetricIntervalLowerBound": -20.0, "ScalingAdjustment": -1},
]


@pytest.mark.parametrize(("breach", "wanted"), [(0.0, 5), (9.9, 5), (10.0, 7), (500.0, 7), (-1.0, 3), (-20.0, None)])
def test_the_step_is_the_one_whose_interval_holds_the_breach(breach: float, wanted: int | None) -> None:
    assert stepped(4, {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": STEPS}, breach) == wanted


@pytest.mark.parametrize(
    ("kind", "adjustment", "magnitude", "wanted"),
    [
        ("ExactCapacity", 2, None, 2),
        ("PercentChangeInCapacity", 50, None, 15),
        ("PercentChangeInCapacity", 5, None, 11),
        ("PercentChangeInCapacity", 19, None, 11),
        ("PercentChangeInCapacity", -5, None, 9),
        ("PercentChangeInCapacity", 10, 3, 13),
        ("PercentChangeInCapacity", -10, 3, 7),
    ],
)
def test_an_adjustment_is_exact_or_a_percentage_of_at_least_a_magnitude(
    kind: str, adjustment: int, magnitude: int | None, wanted: int
) -> None:
    step = {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": adjustment}
    policy: dict[str, Any] = {"AdjustmentType": kind, "StepAdjustments": [step]}
    if magnitude is not None:
        policy["MinAdjustmentMagnitude"] = magnitude
    assert stepped(10, policy, 1.0) == wanted


def test_steps_that_overlap_are_noticed() -> None:
    assert not overlap(STEPS)
    assert overlap([*STEPS, {"MetricIntervalLowerBound": 5.0, "ScalingAdjustment": 2}])


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


def due(expression: str, last: str, now: str, zone: str = "UTC", began: str = "2026-11-01T00:00:00") -> str | None:
    found = Schedule(expression, zone).due(at(last), at(began), at(now))
    return None if found is None else dt.datetime.fromtimestamp(found, dt.UTC).strftime("%dT%H:%M")


@pytest.mark.parametrize(
    ("expression", "zone", "last", "now", "wanted"),
    [
        ("at(2026-11-21T14:00:00)", "UTC", "2026-11-21T13:00:00", "2026-11-21T13:59:59", None),
        ("at(2026-11-21T14:00:00)", "UTC", "2026-11-21T13:00:00", "2026-11-22T01:00:00", "21T14:00"),
        ("at(2026-11-21T14:00:00)", "UTC", "2026-11-21T14:00:00", "2026-11-22T01:00:00", None),
        ("at(2026-11-21T14:00:00)", "America/Los_Angeles", "2026-11-21T14:00:00", "2026-11-21T22:00:01", "21T22:00"),
        ("rate(12 hours)", "UTC", "2026-11-21T00:00:00", "2026-11-21T13:00:00", "21T12:00"),
        ("rate(12 hours)", "UTC", "2026-11-21T12:00:00", "2026-11-21T13:00:00", None),
        ("cron(30 8 ? * MON-FRI *)", "UTC", "2026-11-20T08:30:00", "2026-11-21T12:00:00", None),
        ("cron(30 8 ? * MON-FRI *)", "UTC", "2026-11-20T08:30:00", "2026-11-23T12:00:00", "23T08:30"),
        ("cron(0/15 * 21 11 ? 2026)", "UTC", "2026-11-21T10:16:00", "2026-11-21T10:31:00", "21T10:30"),
    ],
)
def test_a_schedule_is_due_once_at_each_of_its_times(
    expression: str, zone: str, last: str, now: str, wanted: str | None
) -> None:
    assert due(expression, last, now, zone) == wanted


@pytest.mark.parametrize(
    "wrong",
    ["every day", "rate(1 minutes)", "rate(0 minutes)", "rate(5 weeks)", "cron(0 8 * * * *)", "cron(61 8 ? * 2 *)",
     "cron(0 8 L * ? *)", "cron(0 8 1 *)", "at(tomorrow)"],
)  # fmt: skip
def test_a_schedule_that_can_not_be_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError):
        Schedule(wrong)
