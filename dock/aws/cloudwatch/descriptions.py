"""Showing alarms and what became of them."""

from __future__ import annotations

from typing import Any

from dock.aws.cloudwatch import limits
from dock.aws.cloudwatch.alarms import Alarms
from dock.aws.cloudwatch.book import COMPOSITE, METRIC
from dock.aws.cloudwatch.periods import seconds
from dock.aws.cloudwatch.problems import place, token, validation
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

_PAGE, _HISTORY_PAGE = 50, 100


class Descriptions(Alarms):
    """DescribeAlarms, DescribeAlarmsForMetric, DescribeAlarmHistory."""

    @operation(
        "DescribeAlarms",
        acts="AlarmNames AlarmNamePrefix AlarmTypes ChildrenOfAlarmName ParentsOfAlarmName StateValue ActionPrefix"
        " MaxRecords NextToken",
    )
    async def describe_alarms(self, call: Call, request: Request) -> Response:
        limits.check(call, request)
        if "AlarmNames" in request and "AlarmNamePrefix" in request:
            raise validation("AlarmNames and AlarmNamePrefix are mutually exclusive.")
        related = [name for name in ("ChildrenOfAlarmName", "ParentsOfAlarmName") if name in request]
        if related:
            beside = set(request) - {related[0], "MaxRecords", "NextToken"}
            if beside:
                raise validation(f"{related[0]} can't be combined with {sorted(beside)[0]}.")
            found = self._related(call, related[0], request[related[0]])
        else:
            kinds = request.get("AlarmTypes", [METRIC])
            found = [record for record in self.book.alarms(call.scope) if record["kind"] in kinds]
            if "AlarmNames" in request:
                found = [record for record in found if record["AlarmName"] in request["AlarmNames"]]
            found = [record for record in found if _fits(record, request)]
        if "NextToken" in request:
            after = place(request["NextToken"])
            if not isinstance(after, str):
                raise AwsError("InvalidNextToken", "The specified NextToken is invalid.")
            found = [record for record in found if record["AlarmName"] > after]
        limit = request.get("MaxRecords", _PAGE)
        page = found[:limit]
        return {
            "MetricAlarms": [record for record in page if record["kind"] == METRIC],
            "CompositeAlarms": [record for record in page if record["kind"] == COMPOSITE],
            "NextToken": token(page[-1]["AlarmName"]) if len(found) > limit else None,
        }

    def _related(self, call: Call, kind: str, name: str) -> list[Record]:
        """Children or parents of an alarm, with the few properties that AWS gives of them."""
        record = self.book.get(call.scope, name)
        if record is None:
            raise validation(f"There is no alarm {name}.")
        shown = ["AlarmName", "AlarmArn", "kind"]
        if kind == "ChildrenOfAlarmName":
            if record["kind"] != COMPOSITE:
                raise validation(f"{name} is no composite alarm.")
            names = self.book.children(call.scope, record)
            shown += ["StateValue", "StateUpdatedTimestamp"]
        else:
            names = self.book.parents(call.scope, name)
        found = [self.book.get(call.scope, one) for one in sorted(set(names))]
        return [{key: one[key] for key in shown} for one in found if one is not None]

    @operation(
        "DescribeAlarmsForMetric", acts="MetricName Namespace Statistic ExtendedStatistic Dimensions Period Unit"
    )
    async def describe_alarms_for_metric(self, call: Call, request: Request) -> Response:
        wanted = {key: value for key, value in request.items() if key != "Dimensions"}
        dimensions = _pairs(request.get("Dimensions", []))
        found = [
            record
            for record in self.book.alarms(call.scope, METRIC)
            if all(record.get(key) == value for key, value in wanted.items())
            and _pairs(record.get("Dimensions", [])) == dimensions
        ]
        return {"MetricAlarms": found}

    @operation(
        "DescribeAlarmHistory",
        acts="AlarmName AlarmTypes HistoryItemType StartDate EndDate MaxRecords NextToken ScanBy",
    )
    async def describe_alarm_history(self, call: Call, request: Request) -> Response:
        limits.check(call, request)
        kinds = request.get("AlarmTypes", [METRIC])
        begin = seconds(request["StartDate"]) if "StartDate" in request else float("-inf")
        end = seconds(request["EndDate"]) if "EndDate" in request else float("inf")
        found = [
            entry
            for entry in self.history.of(call.scope, request.get("AlarmName"))
            if entry["AlarmType"] in kinds
            and request.get("HistoryItemType", entry["HistoryItemType"]) == entry["HistoryItemType"]
            and begin <= entry["Timestamp"] <= end
        ]
        if request.get("ScanBy", "TimestampDescending") == "TimestampDescending":
            found.reverse()
        skip = place(request["NextToken"]) if "NextToken" in request else 0
        if not isinstance(skip, int) or skip < 0:
            raise AwsError("InvalidNextToken", "The specified NextToken is invalid.")
        limit = request.get("MaxRecords", _HISTORY_PAGE)
        more = token(skip + limit) if len(found) > skip + limit else None
        return {"AlarmHistoryItems": found[skip : skip + limit], "NextToken": more}


def _pairs(dimensions: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(one["Name"], one["Value"]) for one in dimensions}


def _fits(record: dict[str, Any], request: Request) -> bool:
    prefix = request.get("ActionPrefix")
    actions = [*record["OKActions"], *record["AlarmActions"], *record["InsufficientDataActions"]]
    return (
        record["AlarmName"].startswith(request.get("AlarmNamePrefix", ""))
        and request.get("StateValue", record["StateValue"]) == record["StateValue"]
        and (prefix is None or any(arn.startswith(prefix) for arn in actions))
    )
