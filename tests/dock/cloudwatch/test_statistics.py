"""Statistics of distributions, held against plain lists of samples."""

from __future__ import annotations

import math
import statistics as plain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dock.aws.cloudwatch.distribution import MOST_VALUES, Distribution
from dock.aws.cloudwatch.statistics import parse

SAMPLES = st.lists(st.floats(0, 1e6, allow_nan=False).map(lambda value: round(value, 3)), min_size=1, max_size=60)


def of(samples: list[float]) -> Distribution:
    made = Distribution()
    for value in samples:
        made.add(Distribution.of({value: 1.0}))
    return made


def value(name: str, samples: list[float]) -> float:
    found = parse(name).of(of(samples))
    assert found is not None
    return found


@given(SAMPLES)
def test_the_simple_statistics(samples: list[float]) -> None:
    assert value("SampleCount", samples) == len(samples)
    assert value("Sum", samples) == pytest.approx(math.fsum(samples))
    assert value("Average", samples) == pytest.approx(plain.fmean(samples))
    assert value("Minimum", samples) == min(samples)
    assert value("Maximum", samples) == max(samples)


@given(SAMPLES, st.integers(1, 100))
def test_a_percentile_is_the_greatest_of_the_samples_that_are_left(samples: list[float], percent: int) -> None:
    expected = sorted(samples)[math.ceil(percent * len(samples) / 100) - 1]
    assert value(f"p{percent}", samples) == expected


@given(SAMPLES, st.integers(1, 100))
def test_a_trimmed_mean_is_the_mean_of_the_samples_that_are_left(samples: list[float], percent: int) -> None:
    left = sorted(samples)[: math.ceil(percent * len(samples) / 100)]
    assert value(f"tm{percent}", samples) == pytest.approx(plain.fmean(left))
    assert value(f"tc{percent}", samples) == len(left)
    assert value(f"ts{percent}", samples) == pytest.approx(math.fsum(left))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("p50", 50),
        ("p99.9", 100),
        ("p0", 1),
        ("TM(10%:90%)", 50.5),
        ("TM(:90%)", 45.5),
        ("TM(10%:)", 55.5),
        ("TM(95:100)", 98),
        ("TC(95:100)", 5),
        ("TC(:0.5)", 0),
        ("TS(80%:)", sum(range(81, 101))),
        ("IQM", 50.5),
        ("WM(10%:90%)", (11 * 10 + sum(range(11, 91)) + 90 * 10) / 100),
        ("wm98", (sum(range(1, 99)) + 2 * 98) / 100),
        ("PR(:30)", 30),
        ("PR(10:20)", 10),
        ("PR(90:)", 10),
    ],
)
def test_trimmed_statistics_of_one_to_a_hundred(name: str, expected: float) -> None:
    assert value(name, [float(number) for number in range(1, 101)]) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name", ["p101", "p", "P99", "tm", "TM(90%)", "TM(:)", "TM(10%:90)", "TM(90%:10%)", "PR(10%:)", "TM(:101%)", "Mean"]
)
def test_what_is_no_statistic_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a statistic"):
        parse(name)


def test_nothing_is_said_of_the_distribution_of_a_statistic_set() -> None:
    published = Distribution.of_statistics(10, 55, 1, 10)
    assert parse("p50").of(published) is None
    assert parse("Average").of(published) == 5.5
    published.add(Distribution.of({3.0: 1.0}))
    assert parse("tm90").of(published) is None


def test_a_statistic_set_whose_values_are_all_the_same_has_a_distribution() -> None:
    assert parse("p99").of(Distribution.of_statistics(4, 8, 2, 2)) == 2


def test_nothing_is_said_of_percentiles_of_negative_values() -> None:
    assert parse("p50").of(of([-1, 1])) is None
    assert parse("Minimum").of(of([-1, 1])) == -1


def test_many_different_values_are_kept_in_bounds_and_stay_close() -> None:
    samples = [1.0001**number for number in range(50_000)]
    kept = Distribution()
    for start in range(0, len(samples), 500):
        kept.add(Distribution.of(dict.fromkeys(samples[start : start + 500], 1.0)))
    assert kept.values is not None
    assert len(kept.values) <= MOST_VALUES
    assert (kept.count, kept.low, kept.high) == (50_000, samples[0], samples[-1])
    for percent in (50, 90, 99):
        found = parse(f"p{percent}").of(kept)
        assert found == pytest.approx(samples[percent * 500 - 1], rel=0.05)


@given(SAMPLES)
def test_a_distribution_survives_the_disk(samples: list[float]) -> None:
    kept = of(samples)
    again = Distribution.unpacked(kept.count, kept.total, kept.low, kept.high, kept.packed())
    assert again == kept
