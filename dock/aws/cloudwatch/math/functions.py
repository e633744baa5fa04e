"""The functions of metric math. Each gets its evaluated arguments; words such as REPEAT and texts come as str."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections.abc import Callable
from itertools import pairwise

from dock.aws.cloudwatch.math.values import ExpressionError, Value, attempt, finite, kind, same_grid, times_of
from dock.aws.cloudwatch.series import Series

Argument = Value | str
Function = Callable[[str, list[Argument]], Value]


def _refuse(name: str, arguments: list[Argument]) -> ExpressionError:
    return ExpressionError(f"{name} does not take ({', '.join(kind(argument) for argument in arguments)})")


def _each(compute: Callable[[Series], dict[int, float]]) -> Function:
    """A function of a series, or of every series of an array."""

    def apply(name: str, arguments: list[Argument]) -> Value:
        match arguments:
            case [Series() as one]:
                return one.with_points(finite(compute(one)))
            case [list() as several]:
                return [one.with_points(finite(compute(one))) for one in several]
        raise _refuse(name, arguments)

    return apply


def _point(compute: Callable[[float], float]) -> Function:
    return _each(lambda one: {at: attempt(compute, value) for at, value in one.points.items()})


def _differences(compute: Callable[[float, float], float]) -> Function:
    """Of the difference in value and in seconds to the point before."""

    def of(one: Series) -> dict[int, float]:
        points = sorted(one.points.items())
        return {
            later: compute(after - before, later - earlier) for (earlier, before), (later, after) in pairwise(points)
        }

    return _each(of)


def _running_sum(one: Series) -> dict[int, float]:
    total, points = 0.0, {}
    for at, value in sorted(one.points.items()):
        total += value
        points[at] = total
    return points


def _clock(compute: Callable[[dt.datetime], float]) -> Function:
    """A series without gaps, of the time at which each period begins (UTC)."""
    return _each(lambda one: {at: compute(dt.datetime.fromtimestamp(at, dt.UTC)) for at in one.grid.times()})


def _over(scalar: Callable[[list[float]], float], across: Callable[[list[float], int], float]) -> Function:
    """Of one series a scalar; of an array a series, `across` of the values at a time and the number of series."""

    def apply(name: str, arguments: list[Argument]) -> Value:
        match arguments:
            case [Series() as one]:
                return attempt(lambda: float(scalar(list(one.points.values())))) if one.points else math.nan
            case [list() as several] if several:
                same_grid(several)
                points = {}
                for at in times_of(several):
                    values = [one.points[at] for one in several if at in one.points]
                    points[at] = attempt(across, values, len(several))  # type: ignore[arg-type]
                return Series(several[0].grid, finite(points))
        raise _refuse(name, arguments)

    return apply


def _datapoint_count(name: str, arguments: list[Argument]) -> Value:
    if isinstance(arguments[0], Series) and len(arguments) == 1:
        return float(len(arguments[0].points))
    return _over(lambda values: len(values), lambda values, _: float(len(values)))(name, arguments)


def _fill(name: str, arguments: list[Argument]) -> Value:
    match arguments:
        case [list() as several, filler]:
            return [_filled(one, filler, name) for one in several]
        case [Series() as one, filler]:
            return _filled(one, filler, name)
    raise _refuse(name, arguments)


def _filled(one: Series, filler: Argument, name: str) -> Series:
    missing = [at for at in one.grid.times() if at not in one.points]
    match filler:
        case float():
            found = dict.fromkeys(missing, filler)
        case Series():
            same_grid([one, filler])
            found = {at: filler.points[at] for at in missing if at in filler.points}
        case "REPEAT" | "LINEAR":
            found = _between(one, missing, linear=filler == "LINEAR")
        case _:
            raise _refuse(name, [one, filler])
    return one.with_points(dict(sorted(finite({**found, **one.points}).items())))


def _between(one: Series, missing: list[int], *, linear: bool) -> dict[int, float]:
    """What a gap's neighbours give: REPEAT the last value before it, LINEAR a line to the first one after it."""
    found, known = {}, sorted(one.points)
    for at in missing:
        before = max((time for time in known if time < at), default=None)
        after = min((time for time in known if time > at), default=None)
        if before is None or (linear and after is None):
            continue
        if linear and after is not None:
            slope = (one.points[after] - one.points[before]) / (after - before)
            found[at] = one.points[before] + slope * (at - before)
        else:
            found[at] = one.points[before]
    return found


def _if(name: str, arguments: list[Argument]) -> Value:
    if len(arguments) not in (2, 3) or any(isinstance(argument, (list, str)) for argument in arguments):
        raise _refuse(name, arguments)
    condition, yes, no = (*arguments, None)[:3]
    assert not isinstance(yes, (str, list))
    assert not isinstance(no, (str, list))
    assert yes is not None
    if isinstance(condition, Series):
        same_grid([one for one in (condition, yes, no) if isinstance(one, Series)])
        points = {}
        for at, truth in condition.points.items():
            if truth != 0:
                points[at] = yes.points.get(at, 0.0) if isinstance(yes, Series) else yes
            elif no is not None and (not isinstance(no, Series) or at in no.points):
                points[at] = no.points[at] if isinstance(no, Series) else no
        return condition.with_points(finite(points))
    assert isinstance(condition, float)
    if condition != 0:
        return yes
    if no is not None:
        return no
    return yes.with_points({}) if isinstance(yes, Series) else math.nan


def _period(name: str, arguments: list[Argument]) -> Value:
    match arguments:
        case [Series(metric=True) as one]:
            return float(one.grid.period)
    raise ExpressionError("PERIOD takes a metric, not an expression")


def _metric_count(name: str, arguments: list[Argument]) -> Value:
    match arguments:
        case [list() as several]:
            return float(len(several))
    raise _refuse(name, arguments)


def _remove_empty(name: str, arguments: list[Argument]) -> Value:
    match arguments:
        case [list() as several]:
            return [one for one in several if one.points]
    raise _refuse(name, arguments)


def _end(index: int) -> Function:
    def apply(name: str, arguments: list[Argument]) -> Value:
        match arguments:
            case [list() as several] if several:
                one: Series = several[index]
                return one
        raise _refuse(name, arguments)

    return apply


def _slice(name: str, arguments: list[Argument]) -> Value:
    match arguments:
        case [list() as several, float() as first]:
            return several[max(0, int(first)) :]
        case [list() as several, float() as first, float() as last]:
            return several[max(0, int(first)) : max(0, int(last))]
    raise _refuse(name, arguments)


_SORTS: dict[str, Callable[[list[float]], float]] = {
    "AVG": lambda values: sum(values) / len(values),
    "MIN": min,
    "MAX": max,
    "SUM": sum,
}


def _sort(name: str, arguments: list[Argument]) -> Value:
    match arguments:
        case [list() as several, str() as by, "ASC" | "DESC" as order, *limit] if by in _SORTS and len(limit) <= 1:
            full = [one for one in several if one.points]
            full.sort(key=lambda one: _SORTS[by](list(one.points.values())), reverse=order == "DESC")
            ordered = full + [one for one in several if not one.points]
            if not limit:
                return ordered
            if isinstance(limit[0], float):
                return ordered[: max(0, int(limit[0]))]
    raise _refuse(name, arguments)


FUNCTIONS: dict[str, Function] = {
    "ABS": _point(abs),
    "AVG": _over(lambda values: sum(values) / len(values), lambda values, count: sum(values) / count),
    "CEIL": _point(math.ceil),
    "DATAPOINT_COUNT": _datapoint_count,
    "DATE": _clock(lambda time: float(time.day)),
    "DAY": _clock(lambda time: float(time.isoweekday())),
    "DIFF": _differences(lambda value, _: value),
    "DIFF_TIME": _differences(lambda _, seconds: seconds),
    "EPOCH": _clock(lambda time: time.timestamp()),
    "FILL": _fill,
    "FIRST": _end(0),
    "FLOOR": _point(math.floor),
    "HOUR": _clock(lambda time: float(time.hour)),
    "IF": _if,
    "LAST": _end(-1),
    "LOG": _point(math.log),
    "LOG10": _point(math.log10),
    "MAX": _over(max, lambda values, _: max(values)),
    "METRIC_COUNT": _metric_count,
    "MIN": _over(min, lambda values, _: min(values)),
    "MINUTE": _clock(lambda time: float(time.minute)),
    "MONTH": _clock(lambda time: float(time.month)),
    "PERIOD": _period,
    "RATE": _differences(lambda value, seconds: value / seconds),
    "REMOVE_EMPTY": _remove_empty,
    "RUNNING_SUM": _each(_running_sum),
    "SLICE": _slice,
    "SORT": _sort,
    "STDDEV": _over(statistics.pstdev, lambda values, _: statistics.pstdev(values)),
    "SUM": _over(math.fsum, lambda values, _: math.fsum(values)),
    "YEAR": _clock(lambda time: float(time.year)),
}
# They exist on AWS; the dock has nothing to answer them with.
REFUSED = frozenset(
    {"ANOMALY_DETECTION_BAND", "DB_PERF_INSIGHTS", "INSIGHT_RULE_METRIC", "LAMBDA", "SEARCH", "SELECT", "SERVICE_QUOTA"}
)
