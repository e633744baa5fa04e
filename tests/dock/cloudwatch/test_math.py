"""Metric math, held against AWS's documented examples and against the same arithmetic on plain lists."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dock.aws.cloudwatch.math import Evaluator, ExpressionError
from dock.aws.cloudwatch.series import Grid, Series

GRID = Grid(0, 300, 60)
Values = list[float | None]


def series(values: Values) -> Series:
    points = {60 * index: float(value) for index, value in enumerate(values) if value is not None}
    return Series(GRID, points, metric=True)


def values_of(one: Series) -> Values:
    return [one.points.get(at) for at in GRID.times()]


def result(expression: str, **metrics: Values) -> Any:
    """The values at the five periods, or a list of them for several series."""
    found = Evaluator({name: series(values) for name, values in metrics.items()}, {"e": expression}, GRID).series("e")
    return [values_of(one) for one in found] if isinstance(found, list) else values_of(found)


N = None
ONE: Values = [1, 1, 0, 0, N]
TWO: Values = [30, N, 0, 0, 30]
THREE: Values = [0, 0, 20, N, 20]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("IF(m1, m2, m3)", [30, 0, 20, N, N]),
        ("IF(m1, 5, m3)", [5, 5, 20, N, N]),
        ("IF(m1, m2, 5)", [30, 0, 5, 5, N]),
        ("IF(m1, m2)", [30, 0, N, N, N]),
        ("IF(1, m2, m3)", TWO),
        ("IF(0, m2, m3)", THREE),
        ("IF(0, m2)", [N, N, N, N, N]),
    ],
)
def test_if_follows_the_documented_tables(expression: str, expected: Values) -> None:
    assert result(expression, m1=ONE, m2=TWO, m3=THREE) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("metric1 < metric2", [0, 0, 1, 0, N]),
        ("metric1 >= 30", [1, 0, 0, 0, N]),
        ("metric1 > 15 AND metric2 > 15", [1, 0, 0, 0, N]),
        ("metric1 > 15 && metric2 > 15", [1, 0, 0, 0, N]),
        ("metric1 > 25 OR metric2 > 15", [1, 0, 1, 0, N]),
        ("metric1 == 0 || metric2 != 20", [0, 0, 1, 1, N]),
    ],
)
def test_comparisons_follow_the_documented_tables(expression: str, expected: Values) -> None:
    assert result(expression, metric1=[30, 20, 0, 0, N], metric2=[20, N, 20, N, N]) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("FILL(m, 7)", [7, 1, 7, 3, 7]),
        ("FILL(m, REPEAT)", [N, 1, 1, 3, 3]),
        ("FILL(m, LINEAR)", [N, 1, 2, 3, N]),
        ("FILL(m, MAX(m))", [3, 1, 3, 3, 3]),
        ("FILL(m, other)", [5, 1, N, 3, 6]),
        ("RATE(m)", [N, N, N, 2 / 120, N]),
        ("DIFF(m)", [N, N, N, 2, N]),
        ("DIFF_TIME(m)", [N, N, N, 120, N]),
        ("RUNNING_SUM(m)", [N, 1, N, 4, N]),
        ("m / PERIOD(m)", [N, 1 / 60, N, 0.05, N]),
        ("TIME_SERIES(SUM(m))", [4, 4, 4, 4, 4]),
        ("m - AVG(m)", [N, -1, N, 1, N]),
        ("m / (m - 1)", [N, N, N, 1.5, N]),
        ("LOG10(m * 10 - 10)", [N, N, N, math.log10(20), N]),
        ("CEIL(m / 2)", [N, 1, N, 2, N]),
        ("FLOOR(m / 2)", [N, 0, N, 1, N]),
        ("ABS(-m)", [N, 1, N, 3, N]),
        ("MINUTE(m)", [0, 1, 2, 3, 4]),
        ("YEAR(m)", [1970] * 5),
        ("DAY(m)", [4] * 5),
        ("EPOCH(m)", [0, 60, 120, 180, 240]),
        ("2 ^ m ^ 2", [N, 2, N, 512, N]),
        ("-m ^ 2", [N, -1, N, -9, N]),
        ("10 - 2 - m", [N, 7, N, 5, N]),
        ("m * 2 + m / 2 > 4", [N, 0, N, 1, N]),
        ("m / DATAPOINT_COUNT(m)", [N, 0.5, N, 1.5, N]),
        ("TIME_SERIES(STDDEV(m))", [1] * 5),
    ],
)
def test_functions_of_one_series(expression: str, expected: Values) -> None:
    found = result(expression, m=[N, 1, N, 3, N], other=[5, 5, N, N, 6])
    assert found == [one if one is None else pytest.approx(one) for one in expected]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("SUM(METRICS())", [6, 2, 6, N, N]),
        ("AVG(METRICS())", [2, 2 / 3, 2, N, N]),
        ("MIN(METRICS())", [1, 2, 6, N, N]),
        ("MAX([a1, b1])", [3, 2, 6, N, N]),
        ('SUM(METRICS("a"))', [3, N, 6, N, N]),
        ("DATAPOINT_COUNT(METRICS())", [3, 1, 1, N, N]),
        ("a1 / METRIC_COUNT(METRICS())", [1 / 3, N, 2, N, N]),
        ("SUM(100 / [a1, b1])", [100 + 100 / 3, 50, 100 / 6, N, N]),
        ("FIRST(SORT(METRICS(), SUM, DESC))", [1, N, 6, N, N]),
        ("LAST(SORT(METRICS(), SUM, DESC))", [2, N, N, N, N]),
        ("SUM(SLICE(SORT(METRICS(), SUM, DESC), 0, 2))", [4, 2, 6, N, N]),
    ],
)
def test_functions_of_arrays(expression: str, expected: Values) -> None:
    found = result(expression, a1=[1, N, 6, N, N], b1=[3, 2, N, N, N], a2=[2, N, N, N, N])
    assert found == [one if one is None else pytest.approx(one) for one in expected]


def test_arrays_can_be_a_result() -> None:
    assert result("METRICS() * 10", a=[1, N, 2, N, N], b=[N, N, N, N, N]) == [[10, N, 20, N, N], [N] * 5]
    assert result("REMOVE_EMPTY(METRICS())", a=[1, N, 2, N, N], b=[N, N, N, N, N]) == [[1, N, 2, N, N]]


def test_expressions_build_on_each_other_in_any_order() -> None:
    evaluator = Evaluator({"m": series([1, 2, 3, 4, 5])}, {"c": "b * 2", "b": "m + 1"}, GRID)
    assert values_of(evaluator.series("c")) == [4, 6, 8, 10, 12]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("m +", "error at character"),
        ("m m", "error at character 2"),
        ("(m", "error at character"),
        ("other", "Undefined variable other"),
        ("AVERAGE(m)", "Unknown function AVERAGE"),
        ("COUNT(m)", "Unknown function COUNT"),
        ("SEARCH('{AWS/EC2,InstanceId} CPU', 'Average')", "the dock does not do SEARCH"),
        ("ANOMALY_DETECTION_BAND(m)", "the dock does not do ANOMALY_DETECTION_BAND"),
        ("SELECT(m)", "the dock does not do SELECT"),
        ("AVG(m)", "the result is a scalar"),
        ("5", "the result is a scalar"),
        ("'text'", "the result is a String"),
        ("PERIOD(m + 1)", "PERIOD takes a metric"),
        ("METRICS() + METRICS()", "unsupported operand types for +"),
        ("FILL(m, NEXT)", "FILL does not take"),
        ("IF(METRICS(), 1)", "IF does not take"),
        ("ABS(3)", "ABS does not take"),
        ("[m, 3]", "an array holds time series"),
        ("e + 1", "refer to each other in a circle"),
        ("m" + "+m" * 600, "at most 1024 characters"),
        ("-" * 1000 + "m", "nested too deeply"),
    ],
)
def test_a_wrong_expression_says_what_is_wrong(expression: str, complaint: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        result(expression, m=[1, 2, 3, 4, 5])
    assert complaint in str(caught.value)


def test_metrics_of_different_periods_are_refused() -> None:
    metrics = {"a": series([1, 2, 3, 4, 5]), "b": Series(Grid(0, 300, 300), {0: 1.0}, metric=True)}
    with pytest.raises(ExpressionError, match="same period"):
        Evaluator(metrics, {"e": "a / b"}, GRID).series("e")


VALUES = st.lists(st.none() | st.integers(-50, 50), min_size=5, max_size=5)


@given(VALUES, VALUES, st.sampled_from("+-*/"))
def test_arithmetic_takes_a_missing_point_as_zero(left: Values, right: Values, sign: str) -> None:
    expected: Values = []
    for one, other in zip(left, right, strict=True):
        if one is None and other is None:
            expected.append(None)
        else:
            first, second = one or 0, other or 0
            if sign == "/" and second == 0:
                expected.append(None)
            else:
                computed = {"+": first + second, "-": first - second, "*": first * second}
                expected.append(first / second if sign == "/" else computed[sign])
    assert result(f"a {sign} b", a=left, b=right) == expected


@given(VALUES, VALUES)
def test_a_rate_with_a_minimum_of_traffic_is_zero_below_it(errors: Values, requests: Values) -> None:
    found = result("IF(FILL(requests, 0) > 10, 100 * errors / requests, 0)", errors=errors, requests=requests)
    for error, request, value in zip(errors, requests, found, strict=True):
        if request is None or request <= 10:
            assert value == 0
        else:
            assert value == pytest.approx(100 * (error or 0) / request)


@given(VALUES)
def test_filling_leaves_what_is_there_and_no_gaps(values: Values) -> None:
    filled = result("FILL(m, -1)", m=values)
    assert filled == [-1 if value is None else value for value in values]
    repeated = result("FILL(m, REPEAT)", m=values)
    known = None
    for value, shown in zip(values, repeated, strict=True):
        known = known if value is None else value
        assert shown == known


@given(VALUES)
def test_a_line_between_neighbours_stays_between_them(values: Values) -> None:
    found = result("FILL(m, LINEAR)", m=values)
    known = [index for index, value in enumerate(values) if value is not None]
    for index, value in enumerate(found):
        if not known or index < known[0] or index > known[-1]:
            assert value is None
        else:
            before = values[max(one for one in known if one <= index)]
            after = values[min(one for one in known if one >= index)]
            assert before is not None
            assert after is not None
            assert min(before, after) - 1e-9 <= value <= max(before, after) + 1e-9


@given(VALUES, VALUES)
def test_differences_add_up_to_the_running_sum(one: Values, other: Values) -> None:
    total = result("DIFF(RUNNING_SUM(SUM([a, b])))", a=one, b=other)
    plain = result("SUM([a, b])", a=one, b=other)
    first = next((index for index, value in enumerate(plain) if value is not None), None)
    assert total == [value if index != first else None for index, value in enumerate(plain)]


ATOMS = st.sampled_from(["a", "b", "3", "0.5", "AVG(a)", "FILL(b, 0)", "[a, b]", "METRICS()", "'x'", "REPEAT"])


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(["+", "-", "*", "/", "^", "<", ">=", "==", "!=", "AND", "OR", "&&", "||"])
    names = st.sampled_from(["SUM", "ABS", "RATE", "IF", "FILL", "SORT", "SLICE", "TIME_SERIES", "FIRST", "LOG", "NO"])
    return st.one_of(
        st.tuples(inner, signs, inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
        inner.map(lambda part: f"-{part}"),
        st.tuples(names, st.lists(inner, max_size=3)).map(lambda parts: f"{parts[0]}({', '.join(parts[1])})"),
    )


@given(st.recursive(ATOMS, _wider, max_leaves=6), VALUES, VALUES)
def test_any_expression_gives_finite_points_or_a_clear_refusal(expression: str, a: Values, b: Values) -> None:
    try:
        found = Evaluator({"a": series(a), "b": series(b)}, {"e": expression}, GRID).series("e")
    except ExpressionError:
        return
    for one in found if isinstance(found, list) else [found]:
        assert all(math.isfinite(value) for value in one.points.values())
        assert set(one.points) <= set(GRID.times())


@given(st.text(max_size=40))
def test_nonsense_is_refused_and_never_an_accident(text: str) -> None:
    try:
        Evaluator({"m": series([1, 2, 3, 4, 5])}, {"e": text}, GRID).series("e")
    except ExpressionError:
        return
