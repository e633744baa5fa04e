"""When a scheduled action is due: `at(…)`, `rate(…)` and `cron(…)`, as AWS writes them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from zoneinfo import ZoneInfo

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
# What a dock that was down for longer has missed stays missed.
_LOOK_BACK_MINUTES = 24 * 60


class Schedule:
    """A parsed expression; its times are in `zone`. Raises ValueError for what AWS, or the dock, doesn't take."""

    def __init__(self, expression: str, zone: str = "UTC") -> None:
        self._zone = ZoneInfo(zone)
        match = re.fullmatch(r"(at|rate|cron)\((.+)\)", expression.strip())
        if match is None:
            raise ValueError(f"{expression} is not at(yyyy-mm-ddThh:mm:ss), rate(N minutes) or cron(fields)")
        kind, text = match[1], match[2].strip()
        self._moment: float | None = None
        self._seconds: int | None = None
        self._fields: list[frozenset[int]] = []
        if kind == "at":
            self._moment = dt.datetime.fromisoformat(text).replace(tzinfo=self._zone).timestamp()
        elif kind == "rate":
            self._seconds = _rate(text)
        else:
            self._fields = _cron(text)

    def due(self, last: float, began: float, now: float) -> float | None:
        """The newest time after `last` and up to `now` at which to act; None when there is none. A rate counts from
        `began`. All in seconds since the epoch."""
        if self._moment is not None:
            return self._moment if last < self._moment <= now else None
        if self._seconds is not None:
            newest = began + (now - began) // self._seconds * self._seconds
            return newest if newest > max(last, began) else None
        minute = int(now // 60) * 60
        for _ in range(_LOOK_BACK_MINUTES):
            if minute <= last:
                return None
            if self._matches(dt.datetime.fromtimestamp(minute, self._zone)):
                return float(minute)
            minute -= 60
        return None

    def _matches(self, at: dt.datetime) -> bool:
        values = (at.minute, at.hour, at.day, at.month, at.isoweekday() % 7 + 1, at.year)
        return all(value in field for value, field in zip(values, self._fields, strict=True))


def _rate(text: str) -> int:
    match = re.fullmatch(r"(\d+) (minute|hour|day)(s?)", text)
    if match is None or int(match[1]) == 0 or (int(match[1]) == 1) == bool(match[3]):
        raise ValueError(f"rate({text}) is not a rate such as 5 minutes or 1 hour")
    return int(match[1]) * _UNITS[match[2]]


def _cron(text: str) -> list[frozenset[int]]:
    fields = text.split()
    if len(fields) != 6:
        raise ValueError("cron needs six fields: minutes hours day-of-month month day-of-week year")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ValueError("exactly one of day-of-month and day-of-week is ?")
    bounds: Sequence[tuple[int, int, Sequence[str], int]] = (
        (0, 59, (), 0),
        (0, 23, (), 0),
        (1, 31, (), 0),
        (1, 12, _MONTHS, 1),
        (1, 7, _DAYS, 1),
        (1970, 2199, (), 0),
    )
    return [_field(field, *bound) for field, bound in zip(fields, bounds, strict=True)]


def _field(text: str, low: int, high: int, names: Sequence[str], first: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.upper().split(","):
        span, _, step = part.partition("/")
        begin, _, end = span.partition("-")
        if span in ("*", "?"):
            start, stop = low, high
        else:
            start = _number(begin, names, first)
            stop = _number(end, names, first) if end else (high if step else start)
        width = _number(step, (), 0) if step else 1
        if not low <= start <= stop <= high or width < 1:
            raise ValueError(f"{text} is not within {low} to {high}")
        found.update(range(start, stop + 1, width))
    return frozenset(found)


def _number(text: str, names: Sequence[str], first: int) -> int:
    if text in names:
        return names.index(text) + first
    if not text.isdigit():
        raise ValueError(f"{text}: the dock's cron has numbers, names, *, ?, lists, ranges and steps; no L, W and #")
    return int(text)
