"""Dynamic labels: `${MAX}`, `${LAST_TIME}`, `${PROP('Dim.Cluster')}` and the like in a query's label."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

from dock.aws.cloudwatch.query import MetricQuery
from dock.aws.cloudwatch.series import Series

_FIELD = re.compile(r"\$\{([A-Z_]+|PROP\('[^']+'\))\}")
_NOTHING = "--"
_POINTS: dict[str, Callable[[list[tuple[int, float]]], tuple[int, float]]] = {
    "MAX": lambda points: max(points, key=lambda point: point[1]),
    "MIN": lambda points: min(points, key=lambda point: point[1]),
    "FIRST": lambda points: points[0],
    "LAST": lambda points: points[-1],
}


def timezone(text: str) -> dt.timezone:
    """From `+0130` or `-0800`. Raises ValueError."""
    if not re.fullmatch(r"[+-]\d{4}", text) or int(text[1:3]) > 23 or int(text[3:]) > 59:
        raise ValueError(f"{text!r} is not an offset such as +0130")
    offset = dt.timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    return dt.timezone(-offset if text[0] == "-" else offset)


def filled(label: str, series: Series, query: MetricQuery | None, zone: dt.tzinfo) -> str:
    """The label with what the series gives; `${…}` that isn't known stays as it is."""
    points = sorted(series.points.items())

    def value(match: re.Match[str]) -> str:
        field = match[1]
        if field.startswith("PROP("):
            return _property(field[6:-2], query)
        if field == "LABEL":
            return series.label
        if field == "DATAPOINT_COUNT":
            return str(len(points))
        kind, _, time = field.partition("_")
        if kind in _POINTS and time in ("", "TIME", "TIME_RELATIVE"):
            if not points:
                return _NOTHING
            at, number = _POINTS[kind](points)
            if not time:
                return _shown(number)
            if time == "TIME":
                return dt.datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S UTC%z")
        totals = {"SUM": sum, "AVG": lambda numbers: sum(numbers) / len(numbers)}
        if field in totals:
            return _shown(totals[field]([number for _, number in points])) if points else _NOTHING
        return match[0]

    return _FIELD.sub(value, label)


def _shown(number: float) -> str:
    return f"{number:.10g}"


def _property(name: str, query: MetricQuery | None) -> str:
    if query is None:
        return _NOTHING
    if name.startswith("Dim."):
        return dict(query.metric.dimensions).get(name[4:], _NOTHING)
    known = {
        "AccountId": query.metric.scope.account,
        "MetricName": query.metric.name,
        "Namespace": query.metric.namespace,
        "Period": str(query.period),
        "Region": query.metric.scope.region,
        "Stat": query.statistic.name,
    }
    return known.get(name, _NOTHING)
