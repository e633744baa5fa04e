"""GetMetricData."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
from typing import Any

from dock.aws.cloudwatch import labels, periods
from dock.aws.cloudwatch.base import Base
from dock.aws.cloudwatch.problems import place, token, validation
from dock.aws.cloudwatch.query import QuerySet
from dock.aws.cloudwatch.series import Series
from dock.aws.service import AwsError, Call, Request, Response, operation

MOST_QUERIES = 500
MOST_DATAPOINTS = 100_800
# What a query may stretch over; AWS sets no number here, but keeps no such resolution for so long either.
MOST_PERIODS = 1_000_000


class Data(Base):
    """Series of metrics and of expressions over them."""

    @operation("GetMetricData", acts="MetricDataQueries StartTime EndTime NextToken ScanBy MaxDatapoints LabelOptions")
    async def get_metric_data(self, call: Call, request: Request) -> Response:
        start, end = periods.seconds(request["StartTime"]), periods.seconds(request["EndTime"])
        if start >= end:
            raise validation("The parameter StartTime must be less than the parameter EndTime.")
        queries = request["MetricDataQueries"]
        if not 0 < len(queries) <= MOST_QUERIES:
            raise validation(f"The collection MetricDataQueries must have 1 to {MOST_QUERIES} queries.")
        most = request.get("MaxDatapoints", MOST_DATAPOINTS)
        if not 0 < most <= MOST_DATAPOINTS:
            raise validation(f"The parameter MaxDatapoints must be 1 to {MOST_DATAPOINTS}.")
        try:
            zone = labels.timezone(request.get("LabelOptions", {}).get("Timezone", "+0000"))
        except ValueError as problem:
            raise validation(f"The parameter LabelOptions.Timezone: {problem}") from None
        asked = QuerySet.of(call.scope, queries)
        if not asked.returned:
            raise validation("At least one of the queries must have ReturnData set to true.")
        for period in {*(query.period for query in asked.metrics.values()), asked.period}:
            if (end - start) / period > MOST_PERIODS:
                raise validation(f"The time range has more than {MOST_PERIODS} periods of {period} seconds.")
        now = self.now()
        found = await asyncio.to_thread(
            asked.evaluate, self.archive, lambda period: periods.grid(start, end, period, now)
        )
        shown = [
            (identifier, _label(asked, identifier, one, zone, several=isinstance(result, list)), one)
            for identifier, result in found.items()
            for one in (result if isinstance(result, list) else [result])
        ]
        descending = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        return _page(shown, request, most, descending=descending)


def _label(asked: QuerySet, identifier: str, one: Series, zone: dt.tzinfo, *, several: bool) -> str:
    if identifier in asked.metrics:
        return labels.filled(asked.labels.get(identifier, one.label), one, asked.metrics[identifier], zone)
    label = labels.filled(asked.labels.get(identifier, identifier), one, None, zone)
    return f"{label} {one.label}".strip() if several else label


def _page(shown: list[tuple[str, str, Series]], request: Request, most: int, *, descending: bool) -> Response:
    """The points from where the token says, at most so many in all."""
    same = {key: value for key, value in request.items() if key not in ("NextToken", "MaxDatapoints")}
    fingerprint = hashlib.sha256(json.dumps(same, default=str, sort_keys=True).encode()).hexdigest()[:16]
    skip = 0
    if "NextToken" in request:
        known, skip = _resumed(request["NextToken"])
        if known != fingerprint:
            raise AwsError("InvalidNextToken", "The NextToken is another request's.")
    results: list[dict[str, Any]] = []
    passed = 0
    for identifier, label, one in shown:
        points = sorted(one.points.items(), reverse=descending)
        first = max(0, skip - passed)
        room = skip + most - passed
        passed += len(points)
        if room < 0 or (first and first >= len(points)):
            continue
        chosen = points[first : max(0, room)]
        results.append(
            {
                "Id": identifier,
                "Label": label,
                "Timestamps": [periods.moment(at) for at, _ in chosen],
                "Values": [value for _, value in chosen],
                "StatusCode": "Complete" if first + len(chosen) == len(points) else "PartialData",
            }
        )
    more = token([fingerprint, skip + most]) if passed > skip + most else None
    return {"MetricDataResults": results, "NextToken": more, "Messages": []}


def _resumed(given: str) -> tuple[str, int]:
    match place(given):
        case [str() as known, int() as skip] if skip >= 0:
            return known, skip
    raise AwsError("InvalidNextToken", "The specified NextToken is invalid.")
