"""Metric filters: numbers in CloudWatch out of log events, as they come."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

from dock.aws.cloudwatch import CloudWatch, Datum
from dock.aws.logs.archive import Group
from dock.aws.logs.embedded_metrics import embedded
from dock.aws.logs.filter_records import once
from dock.aws.logs.groups import Groups
from dock.aws.logs.pattern import compile_pattern, is_path, paths, value_at
from dock.aws.service import AwsError, Call, Request, Response, operation

MOST_FILTERS = 100
MOST_DIMENSIONS = 3
_PAGE = 50


class MetricFilters(Groups):
    """Handlers of metric filters; `measure` makes the metrics."""

    @operation(
        "PutMetricFilter",
        acts="logGroupName filterName filterPattern metricTransformations applyOnTransformedLogs",
    )
    async def put_metric_filter(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, request)
        name = request["filterName"]
        if request.get("applyOnTransformedLogs"):
            raise AwsError("InvalidParameterException", "The dock transforms no logs: applyOnTransformedLogs is false.")
        compile_pattern(request["filterPattern"])
        transformations = request["metricTransformations"]
        for transformation in transformations:
            _check(transformation, bool(paths(request["filterPattern"])) or not request["filterPattern"].strip())
        known = self.filters.of(group.scope, group.name)
        if len(known) >= MOST_FILTERS and all(record["name"] != name for record in known):
            raise AwsError("LimitExceededException", "Resource limit exceeded.")
        record = {
            "group": group.name,
            "name": name,
            "pattern": request["filterPattern"],
            "transformations": transformations,
            "created": next((each["created"] for each in known if each["name"] == name), self.now()),
        }
        self.filters.put(group.scope, record)
        return {}

    @operation("DescribeMetricFilters", acts="logGroupName filterNamePrefix metricName metricNamespace nextToken limit")
    async def describe_metric_filters(self, call: Call, request: Request) -> Response:
        if ("metricName" in request) != ("metricNamespace" in request):
            raise AwsError("InvalidParameterException", "metricName and metricNamespace go together.")
        if "logGroupName" in request:
            await self.group_of(call, {"logGroupName": request["logGroupName"]})
        wanted = {(request.get("metricNamespace"), request.get("metricName"))}
        found = [
            record
            for record in sorted(self.filters.all(call.scope), key=lambda record: (record["name"], record["group"]))
            if request.get("logGroupName") in (None, record["group"])
            and record["name"].startswith(request.get("filterNamePrefix", ""))
            and (
                "metricName" not in request
                or wanted & {(each["metricNamespace"], each["metricName"]) for each in record["transformations"]}
            )
        ]
        start = request.get("nextToken", "0")
        if not start.isdigit():
            raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
        end = int(start) + request.get("limit", _PAGE)
        shown = [
            {
                "filterName": record["name"],
                "filterPattern": record["pattern"],
                "metricTransformations": record["transformations"],
                "creationTime": record["created"],
                "logGroupName": record["group"],
            }
            for record in found[int(start) : end]
        ]
        return {"metricFilters": shown, "nextToken": str(end) if end < len(found) else None}

    @operation("DeleteMetricFilter", acts="logGroupName filterName")
    async def delete_metric_filter(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, {"logGroupName": request["logGroupName"]})
        if not self.filters.delete(group.scope, group.name, request["filterName"]):
            raise AwsError("ResourceNotFoundException", "The specified metric filter does not exist.")
        return {}

    @operation("TestMetricFilter", acts="filterPattern logEventMessages")
    async def test_metric_filter(self, call: Call, request: Request) -> Response:
        pattern = request["filterPattern"]
        matches, properties = compile_pattern(pattern), paths(pattern)
        found = []
        for number, message in enumerate(request["logEventMessages"], 1):
            if matches is None or await asyncio.to_thread(matches, message):
                document = once(message)
                values = {path: _shown(value_at(document(), path)) for path in properties}
                found.append({"eventNumber": number, "eventMessage": message, "extractedValues": values})
        return {"matches": found}

    def measure(self, group: Group, events: Sequence[tuple[int, str]]) -> None:
        """Give CloudWatch the metrics of events (milliseconds since the epoch, message) that were just kept."""
        cloudwatch = self.cloud.services.get("cloudwatch")
        if not isinstance(cloudwatch, CloudWatch):
            return
        for _, message in events:
            for namespace, datum in embedded(message, self.now()):
                cloudwatch.record(group.scope, namespace, datum)
        for each in self.filters.ready(group.scope, group.name):
            matching = [event for event in events if each.matches is None or each.matches(event[1])]
            for transformation in each.transformations:
                namespace = transformation["metricNamespace"]
                for timestamp, message in matching:
                    sample = _datum(transformation, timestamp / 1000, once(message))
                    if sample is not None:
                        cloudwatch.record(group.scope, namespace, sample)
                if events and not matching and "defaultValue" in transformation:
                    # Events came and none matched: only then, as on AWS.
                    value, unit = transformation["defaultValue"], transformation.get("unit", "None")
                    nothing = Datum(transformation["metricName"], {}, value, unit, events[-1][0] / 1000)
                    cloudwatch.record(group.scope, namespace, nothing)


def _datum(transformation: dict[str, Any], at: float, document: Callable[[], Any]) -> Datum | None:
    """The sample that an event gives; None when it lacks the number or a dimension."""
    given = transformation["metricValue"]
    value = value_at(document(), given) if given.startswith("$") else given
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if isinstance(value, bool) or not math.isfinite(number):
        return None
    dimensions = {name: value_at(document(), path) for name, path in transformation.get("dimensions", {}).items()}
    if any(not isinstance(each, str | int | float) or each == "" for each in dimensions.values()):
        return None
    texts = {name: _shown(each) for name, each in dimensions.items()}
    return Datum(transformation["metricName"], texts, number, transformation.get("unit", "None"), at)


def _check(transformation: dict[str, Any], reads_json: bool) -> None:
    """Raise AwsError for a transformation that could never give a metric."""

    def refuse(why: str) -> AwsError:
        return AwsError("InvalidParameterException", why)

    namespace, value = transformation["metricNamespace"], transformation["metricValue"]
    if namespace.startswith("AWS/"):
        raise refuse("Invalid metric transformation: namespaces that begin with AWS/ are AWS's own.")
    dimensions = transformation.get("dimensions", {})
    if dimensions and "defaultValue" in transformation:
        raise refuse("Invalid metric transformation: dimensions and a default value exclude each other.")
    if len(dimensions) > MOST_DIMENSIONS:
        raise refuse(f"Invalid metric transformation: at most {MOST_DIMENSIONS} dimensions.")
    for path in [*dimensions.values(), *([value] if value.startswith("$") else [])]:
        if not is_path(path):
            raise refuse(f"Invalid metric transformation: {path!r} is not a property such as $.latency")
        if not reads_json:
            raise refuse(f"Invalid metric transformation: {path} needs a JSON filter pattern.")
    if not value.startswith("$"):
        try:
            float(value)
        except ValueError:
            raise refuse(f"Invalid metric transformation: metricValue {value!r} is not a number.") from None


def _shown(value: Any) -> str:
    """A value as text: whole numbers without a point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
