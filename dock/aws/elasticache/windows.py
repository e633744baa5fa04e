"""Daily and weekly windows of time in UTC, as AWS writes them."""

from __future__ import annotations

import datetime as dt
import re

from dock.aws.service import AwsError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = r"([01]\d|2[0-3]):([0-5]\d)"
_DAILY = re.compile(rf"{_CLOCK}-{_CLOCK}")
_WEEKLY = re.compile(rf"({'|'.join(_DAYS)}):{_CLOCK}-({'|'.join(_DAYS)}):{_CLOCK}", re.IGNORECASE)
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES
_SHORTEST_MINUTES = 60

DEFAULT_SNAPSHOT_WINDOW = "05:00-06:00"
DEFAULT_MAINTENANCE_WINDOW = "sun:07:00-sun:08:00"


def check_snapshot_window(text: str) -> str:
    """`hh:mm-hh:mm`, at least an hour. Raises InvalidParameterValue."""
    begin, end = _daily(text)
    _check_length((end - begin) % _DAY_MINUTES, "snapshot window", text)
    return text


def check_maintenance_window(text: str) -> str:
    """`ddd:hh:mm-ddd:hh:mm`, at least an hour; in lower case. Raises InvalidParameterValue."""
    begin, end = _weekly(text)
    _check_length((end - begin) % _WEEK_MINUTES, "maintenance window", text)
    return text.lower()


def in_snapshot_window(text: str, moment: dt.datetime) -> bool:
    begin, end = _daily(text)
    now = moment.hour * 60 + moment.minute
    return (now - begin) % _DAY_MINUTES < (end - begin) % _DAY_MINUTES


def in_maintenance_window(text: str, moment: dt.datetime) -> bool:
    begin, end = _weekly(text)
    now = moment.weekday() * _DAY_MINUTES + moment.hour * 60 + moment.minute
    return (now - begin) % _WEEK_MINUTES < (end - begin) % _WEEK_MINUTES


def _daily(text: str) -> tuple[int, int]:
    match = _DAILY.fullmatch(text)
    if match is None:
        raise AwsError("InvalidParameterValueException", f"Invalid snapshot window {text!r}; write it as 05:00-06:00.")
    return int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])


def _weekly(text: str) -> tuple[int, int]:
    match = _WEEKLY.fullmatch(text)
    if match is None:
        raise AwsError(
            "InvalidParameterValueException", f"Invalid maintenance window {text!r}; write it as sun:05:00-sun:06:00."
        )
    first, last = _DAYS.index(match[1].lower()), _DAYS.index(match[4].lower())
    return (
        first * _DAY_MINUTES + int(match[2]) * 60 + int(match[3]),
        last * _DAY_MINUTES + int(match[5]) * 60 + int(match[6]),
    )


def _check_length(minutes: int, name: str, text: str) -> None:
    if minutes < _SHORTEST_MINUTES:
        raise AwsError("InvalidParameterValueException", f"The {name} {text!r} must be at least 60 minutes long.")
