"""Differences of what only grows."""

from __future__ import annotations

from dock.telemetry.measurement import Growth


def test_the_first_sight_is_a_mark_and_later_ones_are_differences() -> None:
    growth = Growth()
    assert growth.since("a", 100.0, 10.0) is None
    assert growth.since("a", 130.0, 15.0) == (30.0, 5.0)
    assert growth.rate("a", 140.0, 20.0) == 2.0
    assert growth.since("b", 1.0, 20.0) is None


def test_a_total_that_fell_is_that_of_a_new_process() -> None:
    growth = Growth()
    growth.since("a", 100.0, 10.0)
    assert growth.since("a", 7.0, 15.0) == (7.0, 5.0)


def test_two_looks_at_the_same_moment_give_no_rate() -> None:
    growth = Growth()
    growth.since("a", 1.0, 10.0)
    assert growth.rate("a", 2.0, 10.0) is None
