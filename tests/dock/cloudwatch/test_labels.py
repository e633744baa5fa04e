"""Labels that say something of their series."""

from __future__ import annotations

import datetime as dt

import pytest

from dock.aws.cloudwatch.datum import Metric
from dock.aws.cloudwatch.labels import filled, timezone
from dock.aws.cloudwatch.query import MetricQuery
from dock.aws.cloudwatch.series import Grid, Series
from dock.aws.cloudwatch.statistics import parse
from tests.dock.cloudwatch.conftest import SCOPE

GRID = Grid(0, 240, 60)
QUERY = MetricQuery(Metric(SCOPE, "App", "Latency", (("Cluster", "chat"),)), parse("p95"), 60, None)


def label(text: str, points: dict[int, float]) -> str:
    return filled(text, Series(GRID, points, "Latency"), QUERY, timezone("+0130"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${LABEL}: ${MIN} to ${MAX}, ${AVG}, ${SUM}", "Latency: 1 to 4, 2.5, 10"),
        ("first ${FIRST}, last ${LAST} of ${DATAPOINT_COUNT}", "first 4, last 2 of 4"),
        ("${MAX_TIME}", "1970-01-01 01:30:00 UTC+0130"),
        ("${PROP('Dim.Cluster')} ${PROP('Stat')} ${PROP('Period')} ${PROP('Region')}", "chat p95 60 us-east-1"),
        ("${PROP('Dim.Zone')} ${UNKNOWN} $5", "-- ${UNKNOWN} $5"),
    ],
)
def test_a_label_is_filled(text: str, expected: str) -> None:
    assert label(text, {0: 4.0, 60: 1.0, 120: 3.0, 180: 2.0}) == expected


def test_a_label_of_nothing_says_so() -> None:
    assert label("${MAX} at ${MAX_TIME}, ${SUM}", {}) == "-- at --, --"


def test_time_zones() -> None:
    assert timezone("-0800").utcoffset(None) == dt.timedelta(hours=-8)
    for wrong in ("0800", "+2500", "+08:00", "UTC"):
        with pytest.raises(ValueError, match="not an offset"):
            timezone(wrong)
