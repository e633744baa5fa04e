"""Figures of what users saw."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dock.traffic.record import Answer
from dock.traffic.report import LASTING, outages, summarise


def answers(statuses: str) -> list[Answer]:
    """One a second: `.` a good one, `x` a failed one, `-` one that never came."""
    known = {".": 200, "x": 503, "-": None}
    return [Answer(float(at), "read", 0.1, known[sign]) for at, sign in enumerate(statuses)]


def test_an_outage_runs_from_the_first_failure_to_the_first_of_a_lasting_series_of_good_answers() -> None:
    (found,) = outages(answers("...x-x" + "." * LASTING))
    assert (found.began, found.seconds, found.failed) == (3.0, 3.0, 3)


def test_one_lucky_answer_ends_no_outage() -> None:
    (found,) = outages(answers("x.x.x" + "." * LASTING))
    assert (found.began, found.seconds, found.failed) == (0.0, 5.0, 3)


def test_an_outage_that_never_ended_has_no_length() -> None:
    (found,) = outages(answers("....xxx.."))
    assert found.seconds is None


def test_two_outages_are_told_apart() -> None:
    assert [each.failed for each in outages(answers("x" + "." * LASTING + "xx" + "." * LASTING))] == [1, 2]


def test_what_the_client_did_wrong_is_no_failure_of_the_service() -> None:
    assert not Answer(0.0, "read", 0.1, 404).failed


def test_fast_errors_are_no_good_latencies() -> None:
    found = summarise([Answer(0.0, "read", 0.001, 503), Answer(1.0, "read", 0.2, 200)])
    assert (found.p50_seconds, found.slowest_seconds, found.failed) == (0.2, 0.2, 1)


def test_a_record_without_answers_has_no_figures() -> None:
    found = summarise([])
    assert (found.requests, found.p95_seconds, found.outages) == (0, None, [])


@given(st.text(alphabet=".x-", max_size=200))
def test_every_failure_belongs_to_one_outage(statuses: str) -> None:
    assert sum(each.failed for each in outages(answers(statuses))) == len(statuses) - statuses.count(".")


@given(st.lists(st.floats(min_value=0.001, max_value=10), min_size=1, max_size=300))
def test_percentiles_are_values_that_were_measured_and_in_order(seconds: list[float]) -> None:
    found = summarise([Answer(float(at), "read", each, 200) for at, each in enumerate(seconds)])
    ranked = [found.p50_seconds, found.p95_seconds, found.p99_seconds, found.slowest_seconds]
    assert all(each in seconds for each in ranked)
    assert ranked == sorted(ranked)  # type: ignore[type-var]
