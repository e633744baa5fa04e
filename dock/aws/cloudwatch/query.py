"""A set of metric queries: metrics and expressions over them, as GetMetricData and alarms have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dock.aws.cloudwatch import periods, statistics
from dock.aws.cloudwatch.archive import Archive, Bucket
from dock.aws.cloudwatch.datum import Metric, dimensions_of
from dock.aws.cloudwatch.distribution import Distribution
from dock.aws.cloudwatch.math import Evaluator, ExpressionError
from dock.aws.cloudwatch.problems import validation
from dock.aws.cloudwatch.series import Grid, Series, aggregated, computed
from dock.store import Scope

_IDENTIFIER = re.compile(r"[a-z][a-zA-Z0-9_]*")
_DEFAULT_PERIOD = 60
GridOf = Callable[[int], Grid]


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """One metric's statistic."""

    metric: Metric
    statistic: statistics.Statistic
    period: int
    unit: str | None

    def samples(self, archive: Archive, grid: Grid) -> dict[int, Distribution]:
        """The samples of each period, in the unit asked for or of all. Blocks."""
        end = grid.times()[-1] + grid.period if len(grid.times()) else grid.start
        found: list[Bucket] = archive.read(self.metric, grid.start, end)
        return aggregated((one for one in found if self.unit is None or one.unit == self.unit), grid)


@dataclass(frozen=True, slots=True)
class QuerySet:
    """Checked queries. `returned` are the ids whose data is wanted, `labels` what the request calls them."""

    metrics: dict[str, MetricQuery]
    expressions: dict[str, str]
    returned: tuple[str, ...]
    labels: dict[str, str]
    period: int

    @classmethod
    def of(cls, scope: Scope, queries: Sequence[dict[str, Any]]) -> QuerySet:
        """From `MetricDataQueries` or an alarm's `Metrics`. Raises AwsError ValidationError."""
        metrics: dict[str, MetricQuery] = {}
        expressions: dict[str, str] = {}
        given: list[int] = []
        for query in queries:
            identifier = query["Id"]
            if not _IDENTIFIER.fullmatch(identifier):
                raise validation(
                    f"The value {identifier} for parameter Id is not matching the pattern ^[a-z][a-zA-Z0-9_]*$."
                )
            if identifier in metrics or identifier in expressions:
                raise validation(f"The values for parameter Id are not unique: {identifier}.")
            if query.get("AccountId", scope.account) != scope.account:
                raise validation("The dock queries metrics of the caller's own account alone: AccountId is another's.")
            if ("MetricStat" in query) == ("Expression" in query):
                raise validation(f"Exactly one of MetricStat and Expression must be given for {identifier}.")
            if "MetricStat" in query:
                if "Period" in query:
                    raise validation(f"Period must not be given beside MetricStat for {identifier}.")
                metrics[identifier] = _metric_query(scope, query["MetricStat"])
            else:
                expressions[identifier] = query["Expression"]
                if "Period" in query:
                    periods.check_period(query["Period"])
                    given.append(query["Period"])
        returned = tuple(query["Id"] for query in queries if query.get("ReturnData", True))
        found = [one.period for one in metrics.values()] or given or [_DEFAULT_PERIOD]
        labels = {query["Id"]: query["Label"] for query in queries if "Label" in query}
        return cls(metrics, expressions, returned, labels, max(found))

    def evaluator(self, series: dict[str, Series], grid: Grid) -> Evaluator:
        """Raises AwsError ValidationError for wrong expressions."""
        try:
            return Evaluator(series, self.expressions, grid)
        except ExpressionError as problem:
            raise validation(str(problem)) from None

    def evaluate(self, archive: Archive, grid_of: GridOf) -> dict[str, Series | list[Series]]:
        """What each returned id gives. Blocks. Raises AwsError ValidationError."""
        names = self.metric_labels()
        series = {}
        for identifier, query in self.metrics.items():
            grid = grid_of(query.period)
            points = computed(query.samples(archive, grid), query.statistic)
            series[identifier] = Series(grid, points, self.labels.get(identifier, names[identifier]), metric=True)
        evaluator = self.evaluator(series, grid_of(self.period))
        try:
            return {identifier: evaluator.series(identifier) for identifier in self.returned}
        except ExpressionError as problem:
            raise validation(str(problem)) from None

    def metric_labels(self) -> dict[str, str]:
        """What metrics are called when the request doesn't say: the name, with what tells it from its likes."""
        names = [query.metric.name for query in self.metrics.values()]
        return {
            identifier: query.metric.name
            if names.count(query.metric.name) == 1 or not query.metric.dimensions
            else " ".join([query.metric.name, *(value for _, value in query.metric.dimensions)])
            for identifier, query in self.metrics.items()
        }


def _metric_query(scope: Scope, given: dict[str, Any]) -> MetricQuery:
    metric = given["Metric"]
    if "Namespace" not in metric or "MetricName" not in metric:
        raise validation("A MetricStat must name the Namespace and the MetricName of its metric.")
    try:
        statistic = statistics.parse(given["Stat"])
    except ValueError as problem:
        raise validation(f"The value {given['Stat']} for parameter Stat is not supported: {problem}") from None
    periods.check_period(given["Period"])
    dimensions = dimensions_of({one["Name"]: one["Value"] for one in metric.get("Dimensions", [])})
    return MetricQuery(
        Metric(scope, metric["Namespace"], metric["MetricName"], dimensions),
        statistic,
        given["Period"],
        given.get("Unit"),
    )
