"""Which periods there are, and on which moments they begin."""

from __future__ import annotations

import datetime as dt

from dock.aws.cloudwatch.problems import invalid
from dock.aws.cloudwatch.series import Grid

HIGH_RESOLUTION = (1, 5, 10, 20, 30)
_HOUR, _DAY = 3600, 86400


def check_period(period: int, name: str = "Period") -> None:
    """Raises AwsError for what is neither 1, 5, 10, 20, 30 nor a multiple of 60 seconds."""
    if period not in HIGH_RESOLUTION and (period < 60 or period % 60):
        raise invalid(f"The parameter {name} must be 1, 5, 10, 20, 30, or a multiple of 60")


def finest(start: float, now: float) -> int:
    """The finest period that there is data of, so long ago: 60 s up to 15 days, 300 s up to 63 days, then an hour."""
    age = now - start
    if age < 15 * _DAY:
        return 60
    return 300 if age < 63 * _DAY else _HOUR


def grid(start: float, end: float, period: int, now: float) -> Grid:
    """The periods of a request: AWS rounds the start down to the minute, or coarser for older data, or to the
    high-resolution period itself."""
    step = period if period < 60 else finest(start, now)
    begin = int(start // step * step)
    return Grid(begin, max(begin, -int(-end // 1)), period)


def seconds(moment: dt.datetime) -> float:
    """A request's moment as seconds since the epoch; one without a zone is UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def moment(at: float) -> dt.datetime:
    """Seconds since the epoch as AWS shows them."""
    return dt.datetime.fromtimestamp(at, dt.UTC)
