"""Dashboards are kept, checked and listed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.dock.cloudwatch.conftest import SCOPE, Bench

METRIC = {
    "type": "metric",
    "x": 0,
    "y": 0,
    "width": 12,
    "height": 6,
    "properties": {
        "metrics": [
            ["AWS/ApplicationELB", "RequestCount", "LoadBalancer", "app/web/1", {"stat": "Sum", "id": "m1"}],
            [{"expression": "m1 / 60", "label": "a second"}],
        ],
        "region": "us-east-1",
        "title": "requests",
        "period": 60,
        "view": "timeSeries",
    },
}
TEXT = {"type": "text", "properties": {"markdown": "# web"}}
ALARMS = {"type": "alarm", "properties": {"title": "alarms", "alarms": ["arn:aws:cloudwatch:us-east-1:1:alarm:a"]}}


def body(*widgets: Any, **more: Any) -> str:
    return json.dumps({"widgets": list(widgets), **more})


async def test_a_dashboard_is_kept_as_it_was_written(bench: Bench) -> None:
    written = body(METRIC, TEXT, ALARMS)
    answer = await bench.call("put_dashboard", DashboardName="web", DashboardBody=written)
    assert answer["DashboardValidationMessages"] == []
    shown = await bench.call("get_dashboard", DashboardName="web")
    assert shown["DashboardBody"] == written
    assert shown["DashboardArn"] == f"arn:aws:cloudwatch::{SCOPE.account}:dashboard/web"
    await bench.call("put_dashboard", DashboardName="api", DashboardBody=body())
    entries = (await bench.call("list_dashboards"))["DashboardEntries"]
    assert [(entry["DashboardName"], entry["Size"]) for entry in entries] == [("api", 15), ("web", len(written))]
    assert len((await bench.call("list_dashboards", DashboardNamePrefix="w"))["DashboardEntries"]) == 1
    await bench.call("tag_resource", ResourceARN=shown["DashboardArn"], Tags=[{"Key": "a", "Value": "b"}])
    tags = await bench.call("list_tags_for_resource", ResourceARN=shown["DashboardArn"])
    assert tags["Tags"] == [{"Key": "a", "Value": "b"}]
    await bench.call("delete_dashboards", DashboardNames=["web", "api"])
    assert (await bench.call("list_dashboards"))["DashboardEntries"] == []


async def test_deleting_what_is_not_there_deletes_nothing(bench: Bench) -> None:
    await bench.call("put_dashboard", DashboardName="web", DashboardBody=body())
    with pytest.raises(ClientError, match="ResourceNotFound"):
        await bench.call("delete_dashboards", DashboardNames=["web", "none"])
    assert len((await bench.call("list_dashboards"))["DashboardEntries"]) == 1


def metric(**properties: Any) -> dict[str, Any]:
    return {**METRIC, "properties": {**METRIC["properties"], **properties}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("{", "must be a valid JSON object"),
        ("[]", "must be a valid JSON object"),
        ("{}", "Should be an array of widgets"),
        (body({"type": "chart", "properties": {}}), "Should be one of alarm, custom, explorer, log, metric, text"),
        (body({"type": "text", "properties": {}}), "Should have required property 'markdown'"),
        (body({"type": "log", "properties": {"query": "fields @message"}}), "Should have required property 'region'"),
        (body({"type": "alarm", "properties": {"alarms": "a"}}), "Should be of the type array"),
        (body({**METRIC, "x": 24}), "Should be a whole number of 0 to 23"),
        (body({**METRIC, "width": 0}), "Should be a whole number of 1 to 24"),
        (body(metric(view="cake")), "Should be one of bar, gauge"),
        (body(metric(stat="p200")), "not a statistic"),
        (body(metric(period="60")), "Should be of the type number"),
        (body(metric(metrics=[["AWS/RDS"]])), "Should have a namespace, a metric name, and pairs"),
        (body(metric(metrics=[["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier"]])), "pairs of dimension"),
        (body({"type": "metric", "properties": {"region": "us-east-1"}}), "'metrics'"),
        (body(*[TEXT] * 501), "at most 500 widgets"),
    ],
)
async def test_a_body_that_can_not_be_drawn_is_refused(bench: Bench, written: str, complaint: str) -> None:
    with pytest.raises(ClientError) as caught:
        await bench.call("put_dashboard", DashboardName="web", DashboardBody=written)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterInput"
    assert complaint in caught.value.response["Error"]["Message"]
    assert (await bench.call("list_dashboards"))["DashboardEntries"] == []


async def test_an_unknown_property_is_warned_of_and_the_dashboard_kept(bench: Bench) -> None:
    written = body(metric(colour="red"))
    answer = await bench.call("put_dashboard", DashboardName="web", DashboardBody=written)
    (warning,) = answer["DashboardValidationMessages"]
    assert warning == {"DataPath": "/widgets/0/properties/colour", "Message": "Unknown property colour"}
    assert (await bench.call("get_dashboard", DashboardName="web"))["DashboardBody"] == written


async def test_a_wrong_name_is_refused(bench: Bench) -> None:
    with pytest.raises(ClientError, match="can only contain"):
        await bench.call("put_dashboard", DashboardName="a b", DashboardBody=body())
