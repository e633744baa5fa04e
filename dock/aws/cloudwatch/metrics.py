"""Publishing metrics, listing them, and their statistics."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from dock.aws.cloudwatch import limits, periods, statistics
from dock.aws.cloudwatch.base import Base
from dock.aws.cloudwatch.datum import Dimensions, Metric, dimensions_of
from dock.aws.cloudwatch.distribution import Distribution
from dock.aws.cloudwatch.problems import combination, invalid, missing, place, token
from dock.aws.cloudwatch.series import aggregated, computed
from dock.aws.service import Call, Request, Response, operation

# CloudWatch's limits (API reference, PutMetricData, GetMetricStatistics and ListMetrics).
MOST_DATUMS = 1000
MOST_VALUES = 150
MOST_DATAPOINTS = 1440
_PAGE = 500
_OLDEST = 14 * 86400
_FUTURE = 2 * 3600
_RECENTLY = 3 * 3600
_LISTED = 14 * 86400
_LEAST, _MOST = 2.0**-360, 2.0**360


class Metrics(Base):
    """PutMetricData, ListMetrics, GetMetricStatistics."""

    @operation("PutMetricData", acts="Namespace MetricData")
    async def put_metric_data(self, call: Call, request: Request) -> Response:
        limits.check(call, request)
        namespace = request["Namespace"]
        if namespace.startswith("AWS/"):
            raise invalid("The value AWS/ for parameter Namespace is invalid.")
        if namespace.startswith(":"):
            raise invalid("The parameter Namespace must not begin with a colon.")
        data = request.get("MetricData") or []
        if not data:
            raise missing("The parameter MetricData is required.")
        if len(data) > MOST_DATUMS:
            raise invalid(f"The collection MetricData must not have a size greater than {MOST_DATUMS}.")
        now = self.now()
        # All are checked before the first is taken: AWS takes all or none.
        taken = [
            (
                Metric(call.scope, namespace, _name(datum, where), _dimensions(datum.get("Dimensions", []), where)),
                _at(datum, where, now),
                _resolution(datum, where),
                datum.get("Unit", "None"),
                _samples(datum, where),
            )
            for where, datum in ((f"MetricData.member.{number}", datum) for number, datum in enumerate(data, 1))
        ]
        for metric, at, resolution, unit, samples in taken:
            self.archive.add(metric, at, resolution, unit, samples)
        return {}

    @operation("ListMetrics", acts="Namespace MetricName Dimensions NextToken RecentlyActive IncludeLinkedAccounts")
    async def list_metrics(self, call: Call, request: Request) -> Response:
        if request.get("IncludeLinkedAccounts"):
            raise invalid("The dock links no accounts: IncludeLinkedAccounts must be false.")
        age = _RECENTLY if "RecentlyActive" in request else _LISTED
        found = await asyncio.to_thread(self.archive.metrics, call.scope, self.now() - age)
        wanted = request.get("Dimensions", [])
        found = [
            metric
            for metric in found
            if request.get("Namespace", metric.namespace) == metric.namespace
            and request.get("MetricName", metric.name) == metric.name
            and all(_has(metric.dimensions, one) for one in wanted)
        ]
        if "NextToken" in request:
            after = place(request["NextToken"], "InvalidParameterValue")
            found = [metric for metric in found if _place(metric) > after]
        page = found[:_PAGE]
        return {
            "Metrics": [metric_view(metric) for metric in page],
            "NextToken": token(_place(page[-1])) if len(found) > _PAGE else None,
        }

    @operation(
        "GetMetricStatistics",
        acts="Namespace MetricName Dimensions StartTime EndTime Period Statistics ExtendedStatistics Unit",
    )
    async def get_metric_statistics(self, call: Call, request: Request) -> Response:
        limits.check(call, request)
        period = request["Period"]
        periods.check_period(period)
        start, end = periods.seconds(request["StartTime"]), periods.seconds(request["EndTime"])
        if start >= end:
            raise invalid("The parameter StartTime must be less than the parameter EndTime.")
        simple, extended = request.get("Statistics", []), request.get("ExtendedStatistics", [])
        if not simple and not extended:
            raise missing("Must specify either Statistics or ExtendedStatistics")
        wanted = [*simple, *extended]
        try:
            chosen = [statistics.parse(name) for name in wanted]
        except ValueError as problem:
            raise invalid(str(problem)) from None
        if wrong := [name for name in extended if name in statistics.SIMPLE]:
            raise invalid(f"The value {wrong[0]} for parameter ExtendedStatistics is not supported.")
        grid = periods.grid(start, end, period, self.now())
        count = len(grid.times())
        if count > MOST_DATAPOINTS:
            raise combination(
                f"You have requested up to {count:,} datapoints, which exceeds the limit of {MOST_DATAPOINTS:,}."
                " You may reduce the datapoints requested by increasing Period, or decreasing the time range."
            )
        metric = metric_of(call, request)
        buckets = await asyncio.to_thread(self.archive.read, metric, grid.start, grid.end)
        points = []
        for unit in sorted({bucket.unit for bucket in buckets}):
            if request.get("Unit", unit) != unit:
                continue
            samples = aggregated((bucket for bucket in buckets if bucket.unit == unit), grid)
            values = {one.name: computed(samples, one) for one in chosen}
            for at in samples:
                point: dict[str, Any] = {"Timestamp": periods.moment(at), "Unit": unit}
                point |= {name: values[name][at] for name in simple if at in values[name]}
                further = {name: values[name][at] for name in extended if at in values[name]}
                if further:
                    point["ExtendedStatistics"] = further
                if len(point) > 2:
                    points.append(point)
        return {"Label": request["MetricName"], "Datapoints": points}


def metric_of(call: Call, request: Request) -> Metric:
    """The metric that Namespace, MetricName and Dimensions name. Raises AwsError."""
    dimensions = _dimensions(request.get("Dimensions", []), "Dimensions")
    return Metric(call.scope, request["Namespace"], request["MetricName"], dimensions)


def metric_view(metric: Metric) -> dict[str, Any]:
    """A metric as the API shows it."""
    return {
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
    }


def _place(metric: Metric) -> list[Any]:
    return [metric.namespace, metric.name, [list(pair) for pair in metric.dimensions]]


def _has(dimensions: Dimensions, wanted: dict[str, str]) -> bool:
    return any(name == wanted["Name"] and wanted.get("Value", value) == value for name, value in dimensions)


def _name(datum: Request, where: str) -> str:
    name: str = datum["MetricName"]
    if not name.isprintable() or not name.isascii():
        raise invalid(f"The parameter {where}.MetricName must be printable ASCII.")
    return name


def _dimensions(given: list[dict[str, str]], where: str) -> Dimensions:
    found: dict[str, str] = {}
    for one in given:
        name, value = one["Name"], one["Value"]
        if not name.isascii() or not value.isascii() or not name.strip() or not value.strip():
            raise invalid(f"The parameter {where}: names and values of dimensions must be ASCII, and not blank.")
        if name.startswith(":"):
            raise invalid(f"The parameter {where}: the name of a dimension must not begin with a colon.")
        if name in found:
            raise invalid(f"The parameter {where}: the dimension {name} is given twice.")
        found[name] = value
    return dimensions_of(found)


def _at(datum: Request, where: str, now: float) -> float:
    if "Timestamp" not in datum:
        return now
    at = periods.seconds(datum["Timestamp"])
    if at > now + _FUTURE:
        raise invalid(f"The parameter {where}.Timestamp must specify a time no more than two hours in the future.")
    if at < now - _OLDEST:
        raise invalid(f"The parameter {where}.Timestamp must specify a time within the past two weeks.")
    return at


def _resolution(datum: Request, where: str) -> int:
    resolution: int = datum.get("StorageResolution", 60)
    if resolution not in (1, 60):
        raise invalid(f"The parameter {where}.StorageResolution must be 1 or 60.")
    return resolution


def _number(value: float, where: str) -> float:
    if not math.isfinite(value) or (value != 0 and not _LEAST <= abs(value) <= _MOST):
        raise invalid(f"The parameter {where} must be 0 or a number of the magnitude 2^-360 to 2^360; it is {value}.")
    return float(value)


def _samples(datum: Request, where: str) -> Distribution:
    given = [name for name in ("Value", "Values", "StatisticValues") if name in datum]
    if len(given) > 1:
        raise combination(f"The parameters {where}.{given[0]} and {where}.{given[1]} are mutually exclusive.")
    if not given:
        raise missing(f"At least one of the parameters {where}.Value, .Values or .StatisticValues must be specified.")
    if "Counts" in datum and "Values" not in datum:
        raise combination(f"The parameter {where}.Counts needs {where}.Values.")
    if "Value" in datum:
        return Distribution.of({_number(datum["Value"], f"{where}.Value"): 1.0})
    if "Values" in datum:
        return _distribution(datum, where)
    given_set = datum["StatisticValues"]
    count, total, low, high = (
        _number(given_set[name], f"{where}.StatisticValues.{name}")
        for name in ("SampleCount", "Sum", "Minimum", "Maximum")
    )
    if count <= 0:
        raise invalid(f"The parameter {where}.StatisticValues.SampleCount must be greater than 0.")
    if low > high:
        raise combination(f"The parameter {where}.StatisticValues.Maximum must not be less than Minimum.")
    return Distribution.of_statistics(count, total, low, high)


def _distribution(datum: Request, where: str) -> Distribution:
    values: list[float] = datum["Values"]
    counts: list[float] = datum.get("Counts", [1.0] * len(values))
    if not values or len(values) > MOST_VALUES:
        raise invalid(f"The parameter {where}.Values must have 1 to {MOST_VALUES} values; it has {len(values)}.")
    if len(counts) != len(values):
        raise combination(f"The parameters {where}.Values and {where}.Counts must be of the same size.")
    found: dict[float, float] = {}
    for index, (value, times) in enumerate(zip(values, counts, strict=True), 1):
        number = _number(value, f"{where}.Values.member.{index}")
        if _number(times, f"{where}.Counts.member.{index}") <= 0:
            raise invalid(f"The parameter {where}.Counts.member.{index} must be greater than 0.")
        found[number] = found.get(number, 0.0) + times
    return Distribution.of(found)
