"""The rolling deployment's arithmetic, held to its promises for every count."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dock.aws.ecs.rolling import Bounds, Counts, Moves, failure_threshold, moves, pause_after

bounds = st.builds(
    Bounds,
    desired=st.integers(0, 40),
    minimum_percent=st.integers(0, 100),
    maximum_percent=st.integers(100, 200),
)
counts = st.builds(Counts, st.integers(0, 40), st.integers(0, 40), st.integers(0, 10))


@given(bounds, counts, counts)
def test_stopping_never_leaves_fewer_healthy_tasks_than_the_minimum(bound: Bounds, new: Counts, old: Counts) -> None:
    made = moves(bound, new, old)
    before = new.healthy + old.healthy
    after = before - made.stop_healthy_new - made.stop_healthy_old
    assert after >= min(before, bound.lower)


@given(bounds, counts, counts)
def test_starting_never_makes_more_tasks_than_the_maximum(bound: Bounds, new: Counts, old: Counts) -> None:
    made = moves(bound, new, old)
    assert made.start >= 0
    assert made.start == 0 or new.total + old.total + made.start <= bound.upper


@given(bounds, counts, counts)
def test_no_more_is_stopped_than_is_there(bound: Bounds, new: Counts, old: Counts) -> None:
    made = moves(bound, new, old)
    assert 0 <= made.stop_starting_new <= new.starting
    assert 0 <= made.stop_healthy_new <= new.healthy
    assert 0 <= made.stop_unhealthy_new <= new.unhealthy
    assert 0 <= made.stop_idle_old <= old.starting + old.unhealthy
    assert 0 <= made.stop_healthy_old <= old.healthy


@given(bounds, st.integers(0, 40))
def test_a_deployment_comes_to_its_end_within_its_bounds(bound: Bounds, running: int) -> None:
    # One that can move at all: with one place and nothing to spare, ECS is stuck too.
    assume(bound.upper > bound.lower)
    new, old = Counts(), Counts(healthy=running)
    for _ in range(500):
        made = moves(bound, new, old)
        if made == Moves() and new.starting == 0:
            break
        assert new.healthy + old.healthy - made.stop_healthy_old - made.stop_healthy_new >= min(
            bound.lower, new.healthy + old.healthy
        )
        new = Counts(
            healthy=new.healthy - made.stop_healthy_new, starting=new.starting - made.stop_starting_new + made.start
        )
        old = Counts(healthy=old.healthy - made.stop_healthy_old)
        assert made.start == 0 or new.total + old.total <= bound.upper + made.stop_healthy_old
        if new.starting:
            new = Counts(healthy=new.healthy + 1, starting=new.starting - 1)
    assert (new, old) == (Counts(healthy=bound.desired), Counts())


def test_new_tasks_are_healthy_before_old_ones_go() -> None:
    bound = Bounds(desired=2)
    assert moves(bound, Counts(), Counts(healthy=2)) == Moves(start=2)
    assert moves(bound, Counts(starting=2), Counts(healthy=2)) == Moves()
    assert moves(bound, Counts(healthy=1, starting=1), Counts(healthy=2)) == Moves(stop_healthy_old=1)


def test_without_room_an_old_task_gives_way_first() -> None:
    bound = Bounds(desired=2, minimum_percent=50, maximum_percent=100)
    assert moves(bound, Counts(), Counts(healthy=2)) == Moves(stop_healthy_old=1)
    assert moves(bound, Counts(), Counts(healthy=1)) == Moves(start=1)


def test_an_unhealthy_task_is_replaced_before_it_is_stopped() -> None:
    bound = Bounds(desired=2)
    assert moves(bound, Counts(healthy=1, unhealthy=1), Counts()) == Moves(start=1)
    assert moves(bound, Counts(healthy=1, starting=1, unhealthy=1), Counts()) == Moves()
    assert moves(bound, Counts(healthy=2, unhealthy=1), Counts()) == Moves(stop_unhealthy_new=1)
    full = Bounds(desired=2, minimum_percent=50, maximum_percent=100)
    assert moves(full, Counts(healthy=1, unhealthy=1), Counts()) == Moves(stop_unhealthy_new=1)


def test_percentages_are_rounded_as_ecs_does() -> None:
    bound = Bounds(desired=3, minimum_percent=50, maximum_percent=150)
    assert (bound.lower, bound.upper) == (2, 4)


@pytest.mark.parametrize(("desired", "threshold"), [(1, 3), (6, 3), (7, 4), (25, 13), (400, 200), (1000, 200)])
def test_the_circuit_breaker_waits_for_half_the_tasks_within_limits(desired: int, threshold: int) -> None:
    assert failure_threshold({}, desired) == threshold


def test_a_threshold_may_be_configured() -> None:
    def breaker(kind: str, value: int) -> dict[str, object]:
        return {"thresholdConfiguration": {"type": kind, "value": value}}

    assert failure_threshold(breaker("COUNT", 1), 10) == 1
    assert failure_threshold(breaker("UNBOUNDED_PERCENT", 10), 10) == 1
    assert failure_threshold(breaker("BOUNDED_PERCENT", 10), 10) == 3


def test_pauses_grow_and_end_growing() -> None:
    assert [pause_after(count) for count in (0, 1, 2, 3, 4, 5, 50)] == [0, 0, 0, 2, 4, 8, 300]
