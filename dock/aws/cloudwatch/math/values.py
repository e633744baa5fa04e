"""What expressions are made of while they are evaluated: scalars, time series, arrays of time series."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from dock.aws.cloudwatch.series import Series

Value = float | Series | list[Series]


class ExpressionError(ValueError):
    """An expression that can't be evaluated, whatever the data."""


def kind(value: object) -> str:
    """What a value is called in AWS's messages."""
    if isinstance(value, Series):
        return "TimeSeries"
    if isinstance(value, list):
        return "Array[TimeSeries]"
    return "Scalar" if isinstance(value, float) else "String"


def finite(points: dict[int, float]) -> dict[int, float]:
    """Points without a value (a division by zero, a logarithm of zero) are dropped."""
    return {at: value for at, value in points.items() if math.isfinite(value)}


def attempt(compute: Callable[..., float], *values: float) -> float:
    """The value; NaN where there is none."""
    try:
        result = compute(*values)
    except (ArithmeticError, ValueError):
        return math.nan
    return result if isinstance(result, (int, float)) else math.nan


def times_of(several: list[Series]) -> list[int]:
    """Every time at which one of the series has a point."""
    return sorted({at for one in several for at in one.points})


def same_grid(several: list[Series]) -> None:
    """Raises ExpressionError for series of different periods: their points would never meet."""
    periods = {one.grid.period for one in several}
    if len(periods) > 1:
        shown = ", ".join(str(period) for period in sorted(periods))
        raise ExpressionError(f"the metrics of an expression must have the same period; these have {shown} seconds")


_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
    "==": lambda left, right: float(left == right),
    "!=": lambda left, right: float(left != right),
    "<": lambda left, right: float(left < right),
    "<=": lambda left, right: float(left <= right),
    ">": lambda left, right: float(left > right),
    ">=": lambda left, right: float(left >= right),
    "AND": lambda left, right: float(left != 0 and right != 0),
    "OR": lambda left, right: float(left != 0 or right != 0),
}


def combine(sign: str, left: Value, right: Value) -> Value:
    """An operator's result. Of two series, one that has no point at a time counts as 0 there, as AWS documents it."""
    compute = _OPERATORS[sign]
    if isinstance(left, list) and isinstance(right, list):
        raise ExpressionError(f"unsupported operand types for {sign}: {kind(left)} and {kind(right)}")
    if isinstance(left, list):
        return [_series(combine(sign, one, right)) for one in left]
    if isinstance(right, list):
        return [_series(combine(sign, left, one)) for one in right]
    if isinstance(left, Series) and isinstance(right, Series):
        same_grid([left, right])
        points = {
            at: attempt(compute, left.points.get(at, 0.0), right.points.get(at, 0.0)) for at in times_of([left, right])
        }
        return left.with_points(finite(points))
    if isinstance(left, Series):
        scalar = right
        assert isinstance(scalar, float)
        return left.with_points(finite({at: _of_known(compute, value, scalar) for at, value in left.points.items()}))
    if isinstance(right, Series):
        return right.with_points(finite({at: _of_known(compute, left, value) for at, value in right.points.items()}))
    return _of_known(compute, left, right)


def _of_known(compute: Callable[[float, float], float], left: float, right: float) -> float:
    """A scalar of an empty series is NaN; what is made of it is NaN too, comparisons included."""
    return math.nan if math.isnan(left) or math.isnan(right) else attempt(compute, left, right)


def _series(value: Value) -> Series:
    assert isinstance(value, Series)
    return value
