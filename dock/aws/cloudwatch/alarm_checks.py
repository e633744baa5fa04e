"""What an alarm may be, before it is written down."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dock.aws.cloudwatch import rules, statistics
from dock.aws.cloudwatch.book import COMPOSITE, Book
from dock.aws.cloudwatch.evaluation import BREACHING, COMPARISONS, IGNORE, MISSING, NOT_BREACHING
from dock.aws.cloudwatch.math import ExpressionError
from dock.aws.cloudwatch.problems import validation
from dock.aws.cloudwatch.query import QuerySet
from dock.aws.cloudwatch.series import Grid, Series
from dock.aws.service import Call, Request
from dock.store import Scope

_DAY, _HOUR = 86400, 3600
# API reference, PutMetricAlarm.
MOST_METRICS = 10
_PERIODS = (10, 20, 30)
_ONE_METRIC = ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit")
_ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")
_ARN = re.compile(r"arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:(\d{12})?:\S+")


def check_name(name: str) -> None:
    """Raises AwsError for a name that alarms can't have."""
    if not name.strip() or not name.isprintable():
        raise validation("The parameter AlarmName must not be blank, and only have printable characters.")


def check_actions(call: Call, request: Request, known: Callable[[str], bool]) -> None:
    """Raises AwsError for actions that nobody here would do."""
    for property_ in _ACTIONS:
        for number, arn in enumerate(request.get(property_, []), 1):
            where = f"{property_}.member.{number}"
            if not _ARN.fullmatch(arn):
                raise validation(f"The parameter {where}: Invalid arn syntax: {arn}")
            if arn.startswith("arn:aws:sns:") and arn.split(":")[3] != call.region:
                raise validation(
                    f"Invalid region {arn.split(':')[3]} specified in {where}. Only {call.region} is supported."
                )
            if not known(arn):
                raise validation(
                    f"The parameter {where}: the dock does not do the action {arn}; it notifies SNS topics and runs"
                    " scaling policies (docs/differences-from-aws.md)."
                )


def check_metric_alarm(scope: Scope, request: Request) -> None:
    """Raises AwsError ValidationError for a metric alarm that AWS would refuse."""
    for needed in ("EvaluationPeriods", "ComparisonOperator", "Threshold"):
        if needed not in request:
            raise validation(f"The parameter {needed} must be specified.")
    if request["ComparisonOperator"] not in COMPARISONS:
        raise validation("The dock has no anomaly detection: the comparison must be with a static Threshold.")
    missing = request.get("TreatMissingData", MISSING)
    if missing not in (MISSING, IGNORE, BREACHING, NOT_BREACHING):
        raise validation(
            f"The value {missing} is unsupported for TreatMissingData; it must be one of breaching, notBreaching,"
            " ignore, missing."
        )
    periods = request["EvaluationPeriods"]
    if request.get("DatapointsToAlarm", periods) > periods:
        raise validation("The parameter DatapointsToAlarm must not be greater than EvaluationPeriods.")
    period = _check_metrics(scope, request) if "Metrics" in request else _check_one_metric(request)
    most = 7 * _DAY if period >= _HOUR else _DAY
    if periods * period > most:
        raise validation(
            "Metrics cannot be checked across more than"
            f" {'seven days' if most > _DAY else 'a day'} (EvaluationPeriods * Period must be <= {most})."
        )
    low = request.get("EvaluateLowSampleCountPercentile")
    if low is not None:
        if low not in ("evaluate", "ignore"):
            raise validation("The parameter EvaluateLowSampleCountPercentile must be evaluate or ignore.")
        if not request.get("ExtendedStatistic", "").startswith("p"):
            raise validation("EvaluateLowSampleCountPercentile goes with a percentile in ExtendedStatistic alone.")


def _check_one_metric(request: Request) -> int:
    for needed in ("MetricName", "Namespace", "Period"):
        if needed not in request:
            raise validation(f"The parameter {needed} must be specified, or Metrics instead of one metric.")
    if ("Statistic" in request) == ("ExtendedStatistic" in request):
        raise validation("Exactly one of the parameters Statistic and ExtendedStatistic must be specified.")
    if "ExtendedStatistic" in request:
        name = request["ExtendedStatistic"]
        try:
            statistics.parse(name)
        except ValueError as problem:
            raise validation(f"The value {name} for parameter ExtendedStatistic is not supported: {problem}") from None
        if name in statistics.SIMPLE:
            raise validation(f"The value {name} belongs into the parameter Statistic.")
    names = [one["Name"] for one in request.get("Dimensions", [])]
    if len(set(names)) < len(names):
        raise validation("The parameter Dimensions names a dimension twice.")
    period: int = request["Period"]
    _check_period(period)
    return period


def _check_period(period: int) -> None:
    if period not in _PERIODS and (period < 60 or period % 60):
        raise validation("Period must be 10, 20, 30 or a multiple of 60.")


def _check_metrics(scope: Scope, request: Request) -> int:
    beside = [name for name in _ONE_METRIC if name in request]
    if beside:
        raise validation(f"The parameters Metrics and {beside[0]} are mutually exclusive.")
    queries: list[dict[str, Any]] = request["Metrics"]
    asked = QuerySet.of(scope, queries)
    if not asked.metrics:
        raise validation("The parameter Metrics must have at least one metric.")
    if len(asked.metrics) > MOST_METRICS:
        raise validation(f"The parameter Metrics must have at most {MOST_METRICS} metrics.")
    if len(asked.returned) != 1:
        raise validation("Exactly one element of the metrics list should return data.")
    if len({query.period for query in asked.metrics.values()}) > 1:
        raise validation("Period must be the same for all metrics of an alarm.")
    _check_period(asked.period)
    # Whether the expression gives one time series doesn't depend on the data.
    grid = Grid(0, asked.period, asked.period)
    empty = {identifier: Series(grid, metric=True) for identifier in asked.metrics}
    try:
        result = asked.evaluator(empty, grid).series(asked.returned[0])
    except ExpressionError as problem:
        raise validation(str(problem)) from None
    if isinstance(result, list):
        raise validation("The expression of an alarm must return a single time series, not several.")
    return asked.period


def check_composite(book: Book, call: Call, request: Request) -> None:
    """Raises AwsError ValidationError for a rule that can't be read, names what isn't there, or makes a circle."""
    name = request["AlarmName"]
    try:
        rule = rules.parse(request["AlarmRule"])
    except ValueError as problem:
        raise validation(str(problem)) from None
    for alarm in rules.alarms(rule):
        _check_there(book, call.scope, alarm, "AlarmRule")
    if "ActionsSuppressor" in request:
        for needed in ("ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod"):
            if request.get(needed, -1) < 0:
                raise validation(f"The parameter {needed} must be specified with ActionsSuppressor, and not negative.")
        _check_there(book, call.scope, request["ActionsSuppressor"], "ActionsSuppressor")
    elif "ActionsSuppressorWaitPeriod" in request or "ActionsSuppressorExtensionPeriod" in request:
        raise validation("ActionsSuppressorWaitPeriod and ActionsSuppressorExtensionPeriod need an ActionsSuppressor.")
    seen: set[str] = set()
    ahead = [book.named(call.scope, alarm) for alarm in rules.alarms(rule)]
    while ahead:
        child = ahead.pop()
        if child == name:
            raise validation(f"AlarmRule makes a circle: {name} would depend on itself.")
        record = book.get(call.scope, child) if child is not None and child not in seen else None
        if record is not None and record["kind"] == COMPOSITE:
            seen.add(record["AlarmName"])
            ahead.extend(book.children(call.scope, record))


def _check_there(book: Book, scope: Scope, alarm: str, where: str) -> None:
    if book.named(scope, alarm) is None:
        raise validation(f"{where} must name alarms of the same account and region, not {alarm}.")
    if book.state_of(scope, alarm) is None:
        raise validation(f"{where} names the alarm {alarm}, which does not exist.")
