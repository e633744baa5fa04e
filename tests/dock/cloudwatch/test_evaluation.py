"""An alarm's state from its datapoints, held against the tables of AWS's documentation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dock.aws.cloudwatch.evaluation import (
    ALARM,
    BREACHING,
    COMPARISONS,
    IGNORE,
    INSUFFICIENT_DATA,
    MISSING,
    NOT_BREACHING,
    OK,
    Condition,
    Point,
    enough_samples,
    judge,
)

KEPT = None
TREATMENTS = (MISSING, IGNORE, BREACHING, NOT_BREACHING)


def points(drawn: str) -> list[Point]:
    """`0` is below the threshold, `X` above, `-` missing; the newest is last."""
    values = {"0": 0.0, "X": 9.0, "-": None}
    return [Point(60 * index, values[one], 1) for index, one in enumerate(drawn.split())]


def state(drawn: str, datapoints: int, periods: int, missing: str, unknown: set[int] | None = None) -> str | None:
    condition = Condition("GreaterThanThreshold", 5, periods, datapoints, missing)
    verdict = judge(points(drawn), condition, unknown or set())
    return None if verdict is None else verdict.state


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("0 - X - X", (OK, OK, OK, OK)),
        ("0 - - - -", (OK, OK, OK, OK)),
        ("- - - - -", (INSUFFICIENT_DATA, KEPT, ALARM, OK)),
        ("0 X X - X", (ALARM, ALARM, ALARM, ALARM)),
        ("- - X - -", (ALARM, KEPT, ALARM, OK)),
        ("X - - - -", (ALARM, KEPT, ALARM, OK)),
        ("- - - - X", (INSUFFICIENT_DATA, KEPT, ALARM, OK)),
    ],
)
def test_three_out_of_three_follows_the_documented_table(drawn: str, expected: tuple[str | None, ...]) -> None:
    assert tuple(state(drawn, 3, 3, missing) for missing in TREATMENTS) == expected


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("0 - X - X", (ALARM, ALARM, ALARM, ALARM)),
        ("0 0 X 0 X", (ALARM, ALARM, ALARM, ALARM)),
        ("0 - X - -", (OK, OK, ALARM, OK)),
        ("- - - - 0", (OK, OK, ALARM, OK)),
        ("- - - X -", (ALARM, KEPT, ALARM, OK)),
        ("- - - - X", (INSUFFICIENT_DATA, KEPT, ALARM, OK)),
    ],
)
def test_two_out_of_three_follows_the_documented_table(drawn: str, expected: tuple[str | None, ...]) -> None:
    assert tuple(state(drawn, 2, 3, missing) for missing in TREATMENTS) == expected


def test_only_the_newest_periods_count_when_none_is_missing() -> None:
    assert state("X X X 0 0", 3, 3, MISSING) == OK
    assert state("0 0 X X X", 3, 3, MISSING) == ALARM


def test_a_single_breaching_point_does_not_go_to_alarm_before_a_later_one_could_avert_it() -> None:
    assert state("- - - X -", 3, 3, MISSING) == INSUFFICIENT_DATA
    assert state("- - - X X", 3, 3, MISSING) == INSUFFICIENT_DATA
    assert state("- - - X 0", 3, 3, MISSING) == OK


def test_periods_in_which_the_dock_was_down_fire_nothing_and_clear_nothing() -> None:
    everything = {60 * index for index in range(5)}
    for missing in TREATMENTS:
        assert state("- - - - -", 3, 3, missing, everything) is None
        assert state("X - - - -", 1, 3, missing, everything) == ALARM, "one is enough, whatever the rest was"
        assert state("0 - - - X", 2, 3, missing, everything) is None
        assert state("0 - - - -", 3, 3, missing, everything) == OK, "two more could not make three"


def test_periods_before_an_outage_count_as_missing() -> None:
    assert state("- - - - -", 3, 3, BREACHING, set()) == ALARM
    assert state("- - - - -", 3, 3, BREACHING, {0}) is None


@given(
    st.lists(st.sampled_from("0X-"), min_size=5, max_size=5),
    st.integers(1, 3),
    st.sampled_from(TREATMENTS),
)
def test_with_enough_real_points_the_treatment_of_missing_ones_does_not_matter(
    drawn: list[str], datapoints: int, missing: str
) -> None:
    text = " ".join(drawn)
    real = [one for one in drawn if one != "-"]
    if len(real) >= 3:
        expected = ALARM if real[-3:].count("X") >= datapoints else OK
        assert state(text, datapoints, 3, missing) == expected
    elif missing == BREACHING:
        assert state(text, datapoints, 3, missing) == (ALARM if real.count("X") + 3 - len(real) >= datapoints else OK)
    elif missing == NOT_BREACHING:
        assert state(text, datapoints, 3, missing) == (ALARM if real.count("X") >= datapoints else OK)


@given(
    st.lists(st.sampled_from("0X-"), min_size=5, max_size=5),
    st.integers(1, 3),
    st.sampled_from(TREATMENTS),
    st.sets(st.sampled_from([0, 60, 120, 180, 240])),
)
def test_what_is_told_of_an_outage_holds_whatever_was_in_it(
    drawn: list[str], datapoints: int, missing: str, dark: set[int]
) -> None:
    told = state(" ".join(drawn), datapoints, 3, missing, dark)
    hidden = [index for index in range(5) if drawn[index] == "-" and 60 * index in dark]
    if told in (OK, ALARM) and hidden and len([one for one in drawn if one != "-"]) < 3:
        # The real points that are there are all evaluated, with unknown ones only as far as three need them.
        real = [one for one in drawn if one != "-"]
        for filler in "0X":
            filled = [*real, *[filler] * (3 - len(real))]
            assert (ALARM if filled.count("X") >= datapoints else OK) == told


@pytest.mark.parametrize(
    ("comparison", "below", "at", "above"),
    [
        ("GreaterThanThreshold", False, False, True),
        ("GreaterThanOrEqualToThreshold", False, True, True),
        ("LessThanThreshold", True, False, False),
        ("LessThanOrEqualToThreshold", True, True, False),
    ],
)
def test_comparisons(comparison: str, below: bool, at: bool, above: bool) -> None:
    condition = Condition(comparison, 5, 1, 1, MISSING)
    assert [condition.breaches(value) for value in (4.9, 5.0, 5.1)] == [below, at, above]
    assert set(COMPARISONS) >= {comparison}


def test_the_reason_names_the_points_and_the_threshold() -> None:
    verdict = judge(points("0 0 X X X"), Condition("GreaterThanThreshold", 5.0, 3, 2, MISSING))
    assert verdict is not None
    assert verdict.reason == (
        "Threshold Crossed: 3 out of the last 3 datapoints [9.0 (01/01/70 00:04:00), 9.0 (01/01/70 00:03:00),"
        " 9.0 (01/01/70 00:02:00)] were greater than the threshold (5.0)"
        " (minimum 2 datapoints for OK -> ALARM transition)."
    )
    filled = judge(points("- - - - -"), Condition("GreaterThanThreshold", 5.0, 2, 2, BREACHING))
    assert filled is not None
    assert filled.reason == (
        "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were treated as"
        " [Breaching]."
    )


@pytest.mark.parametrize(("percentile", "needed"), [(99, 1000), (50, 20), (90, 100), (10, 100), (25, 40)])
def test_a_percentile_needs_enough_samples(percentile: float, needed: int) -> None:
    assert enough_samples(percentile, needed)
    assert not enough_samples(percentile, needed - 1)
