"""Evaluates expressions over the metrics of a request."""

from __future__ import annotations

from collections.abc import Mapping

from dock.aws.cloudwatch.math.expression import (
    Array,
    Call,
    Expression,
    Name,
    Negation,
    Number,
    Operation,
    Text,
    Word,
    calls,
    names,
    parse,
)
from dock.aws.cloudwatch.math.functions import FUNCTIONS, REFUSED, Argument
from dock.aws.cloudwatch.math.values import ExpressionError, Value, combine, kind
from dock.aws.cloudwatch.series import Grid, Series

__all__ = ["Evaluator", "ExpressionError"]


class Evaluator:
    """The metrics and the expressions of one request, by their ids.

    `grid` is what TIME_SERIES fills. Raises ExpressionError at once for an unknown function, an id that isn't there,
    and expressions that refer to themselves.
    """

    def __init__(self, metrics: Mapping[str, Series], expressions: Mapping[str, str], grid: Grid) -> None:
        self._metrics = metrics
        self._grid = grid
        self._trees: dict[str, Expression] = {}
        for identifier, text in expressions.items():
            try:
                self._trees[identifier] = parse(text)
            except ValueError as problem:
                raise ExpressionError(f"Error in expression '{identifier}': {problem}") from None
        self._values: dict[str, Value] = dict(metrics)
        self._check()

    def _check(self) -> None:
        for identifier, tree in self._trees.items():
            for function in sorted(calls(tree)):
                if function in REFUSED:
                    raise ExpressionError(f"Error in expression '{identifier}': the dock does not do {function}")
                if function not in FUNCTIONS and function not in ("METRICS", "TIME_SERIES"):
                    raise ExpressionError(f"Error in expression '{identifier}': Unknown function {function}")
            for name in sorted(names(tree)):
                if name not in self._metrics and name not in self._trees:
                    raise ExpressionError(f"Error in expression '{identifier}': Undefined variable {name}")
        for identifier in self._trees:
            self._refuse_cycles(identifier, ())

    def _refuse_cycles(self, identifier: str, path: tuple[str, ...]) -> None:
        if identifier in path:
            raise ExpressionError(f"the expressions {', '.join(path)} refer to each other in a circle")
        for name in sorted(names(self._trees[identifier]) & set(self._trees)):
            self._refuse_cycles(name, (*path, identifier))

    def series(self, identifier: str) -> Series | list[Series]:
        """The result of an expression, or a metric. Raises ExpressionError."""
        value = self._of(identifier)
        if isinstance(value, float):
            raise ExpressionError(
                f"Error in expression '{identifier}': the result is a scalar; it must be a time series or several"
            )
        return value

    def _of(self, identifier: str) -> Value:
        if identifier not in self._values:
            try:
                value = self._value(self._trees[identifier])
            except RecursionError:
                raise ExpressionError(f"Error in expression '{identifier}': it is nested too deeply") from None
            except ExpressionError as problem:
                prefix = "Error in expression"
                message = str(problem)
                text = message if message.startswith(prefix) else f"{prefix} '{identifier}': {message}"
                raise ExpressionError(text) from None
            if isinstance(value, str):
                raise ExpressionError(f"Error in expression '{identifier}': the result is a String")
            self._values[identifier] = value
        return self._values[identifier]

    def _value(self, expression: Expression) -> Argument:
        match expression:
            case Number(value):
                return value
            case Text(text) | Word(text):
                return text
            case Name(name):
                return self._of(name)
            case Array(items):
                return self._array([self._value(item) for item in items])
            case Negation(operand):
                return combine("*", -1.0, self._operand(operand, "-"))
            case Operation(sign, left, right):
                return combine(sign, self._operand(left, sign), self._operand(right, sign))
            case Call("METRICS", arguments):
                return self._all_metrics(arguments)
            case Call("TIME_SERIES", arguments):
                return self._time_series([self._value(argument) for argument in arguments])
            case Call(function, arguments):
                return FUNCTIONS[function](function, [self._value(argument) for argument in arguments])

    def _operand(self, expression: Expression, sign: str) -> Value:
        value = self._value(expression)
        if isinstance(value, str):
            raise ExpressionError(f"unsupported operand type for {sign}: {kind(value)}")
        return value

    def _array(self, items: list[Argument]) -> list[Series]:
        found: list[Series] = []
        for item in items:
            if isinstance(item, Series):
                found.append(item)
            elif isinstance(item, list):
                found.extend(item)
            else:
                raise ExpressionError(f"an array holds time series, not {kind(item)}")
        return found

    def _all_metrics(self, arguments: tuple[Expression, ...]) -> list[Series]:
        match arguments:
            case ():
                return list(self._metrics.values())
            case (Text(part),):
                return [series for identifier, series in self._metrics.items() if part in identifier]
        raise ExpressionError("METRICS takes nothing, or a text that is a part of ids")

    def _time_series(self, arguments: list[Argument]) -> Series:
        match arguments:
            case [float() as value]:
                points = dict.fromkeys(self._grid.times(), value) if value == value else {}
                return Series(self._grid, points)
        raise ExpressionError("TIME_SERIES takes a scalar")
