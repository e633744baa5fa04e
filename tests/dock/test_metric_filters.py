"""Metrics out of log events: metric filters, and the embedded metric format."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dock.aws.cloudwatch import CloudWatch
from dock.aws.logs import Logs
from dock.aws.logs.embedded_metrics import embedded
from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.home import Home
from dock.store import Scope
from tests.dock.conftest import call, running_cloud

GROUP, STREAM, NAMESPACE = "/chatvrm/local/web", "web/web/1", "chatvrm/local"
HERE = Scope(ACCOUNTS[0], REGIONS[0])
FAILED = '{ $.event = "payment" && $.outcome = "failed" }'


@pytest.fixture
async def cloud(home: Home) -> AsyncIterator[Cloud]:
    async with running_cloud(home, [CloudWatch, Logs]) as running:
        client = running.client("logs", *HERE)
        await call(client.create_log_group, logGroupName=GROUP)
        await call(client.create_log_stream, logGroupName=GROUP, logStreamName=STREAM)
        yield running


@pytest.fixture
def logs(cloud: Cloud) -> Any:
    return cloud.client("logs", *HERE)


async def filtered(logs: Any, name: str = "failed", pattern: str = FAILED, **transformation: Any) -> None:
    known = {"metricName": "PaymentsFailed", "metricNamespace": NAMESPACE, "metricValue": "1", **transformation}
    await call(
        logs.put_metric_filter,
        logGroupName=GROUP,
        filterName=name,
        filterPattern=pattern,
        metricTransformations=[known],
    )


async def put(logs: Any, *documents: dict[str, Any] | str) -> None:
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": each if isinstance(each, str) else json.dumps(each)} for each in documents]
    await call(logs.put_log_events, logGroupName=GROUP, logStreamName=STREAM, logEvents=events)


async def statistics(cloud: Cloud, metric: str, dimensions: dict[str, str] | None = None) -> dict[str, float]:
    """Sum, SampleCount and Maximum of all that there is; nothing when there is nothing."""
    now = dt.datetime.now(dt.UTC)
    answer = await call(
        cloud.client("cloudwatch", *HERE).get_metric_statistics,
        Namespace=NAMESPACE,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in (dimensions or {}).items()],
        StartTime=now - dt.timedelta(hours=1),
        EndTime=now + dt.timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum", "SampleCount", "Maximum"],
    )
    points = answer["Datapoints"]
    return {
        "Sum": sum(point["Sum"] for point in points),
        "SampleCount": sum(point["SampleCount"] for point in points),
        "Maximum": max((point["Maximum"] for point in points), default=0.0),
    }


@pytest.mark.dock
async def test_what_a_filter_matches_is_counted_as_it_comes(cloud: Cloud, logs: Any) -> None:
    await filtered(logs)
    await put(logs, {"event": "payment", "outcome": "failed"}, {"event": "payment", "outcome": "succeeded"})
    await put(logs, {"event": "payment", "outcome": "failed"}, "no JSON at all")
    assert (await statistics(cloud, "PaymentsFailed"))["Sum"] == 2


@pytest.mark.dock
async def test_what_containers_write_is_counted_too(cloud: Cloud, logs: Any) -> None:
    await filtered(logs)
    line = json.dumps({"event": "payment", "outcome": "failed"})
    await cloud.service(Logs).append(HERE, GROUP, "another", [(int(time.time() * 1000), line)])
    assert (await statistics(cloud, "PaymentsFailed"))["Sum"] == 1


@pytest.mark.dock
async def test_a_default_is_reported_only_when_events_come_and_none_matches(cloud: Cloud, logs: Any) -> None:
    await filtered(logs, defaultValue=0.0)
    assert (await statistics(cloud, "PaymentsFailed"))["SampleCount"] == 0
    await put(logs, {"event": "draining"})
    found = await statistics(cloud, "PaymentsFailed")
    assert (found["Sum"], found["SampleCount"]) == (0, 1)


@pytest.mark.dock
async def test_values_and_dimensions_come_from_the_event_and_an_event_without_them_gives_nothing(
    cloud: Cloud, logs: Any
) -> None:
    await filtered(
        logs,
        pattern="{ $.duration_ms > 0 }",
        metricName="Duration",
        metricValue="$.duration_ms",
        dimensions={"Route": "$.request.route"},
        unit="Milliseconds",
    )
    await put(logs, {"duration_ms": 12.5, "request": {"route": "/api"}}, {"duration_ms": 99})
    found = await statistics(cloud, "Duration", {"Route": "/api"})
    assert (found["Sum"], found["SampleCount"]) == (12.5, 1)


@pytest.mark.dock
async def test_filters_are_listed_changed_and_removed_and_go_with_their_group(logs: Any) -> None:
    await filtered(logs)
    await filtered(logs, name="other", metricName="Other")
    listed = await call(logs.describe_metric_filters, logGroupName=GROUP)
    assert [each["filterName"] for each in listed["metricFilters"]] == ["failed", "other"]
    found = await call(logs.describe_metric_filters, metricName="Other", metricNamespace=NAMESPACE)
    assert [each["filterName"] for each in found["metricFilters"]] == ["other"]
    await filtered(logs, pattern='{ $.event = "payment" }')
    changed = (await call(logs.describe_metric_filters, filterNamePrefix="failed"))["metricFilters"][0]
    assert changed["filterPattern"] == '{ $.event = "payment" }'
    assert (await call(logs.describe_log_groups))["logGroups"][0]["metricFilterCount"] == 2
    await call(logs.delete_metric_filter, logGroupName=GROUP, filterName="other")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        await call(logs.delete_metric_filter, logGroupName=GROUP, filterName="other")
    await call(logs.delete_log_group, logGroupName=GROUP)
    assert (await call(logs.describe_metric_filters))["metricFilters"] == []


@pytest.mark.dock
async def test_a_filter_can_be_tried_before_it_is_kept(logs: Any) -> None:
    messages = [json.dumps({"event": "payment", "outcome": outcome}) for outcome in ("failed", "succeeded")]
    tried = await call(logs.test_metric_filter, filterPattern=FAILED, logEventMessages=messages)
    (match,) = tried["matches"]
    assert match["eventNumber"] == 1
    assert match["extractedValues"] == {"$.event": "payment", "$.outcome": "failed"}


@pytest.mark.dock
@pytest.mark.parametrize(
    "wrong",
    [
        {"metricNamespace": "AWS/ECS"},
        {"metricValue": "many"},
        {"metricValue": "$latency"},
        {"dimensions": {"A": "$.a"}, "defaultValue": 0.0},
        {"dimensions": dict.fromkeys("ABCD", "$.a")},
    ],
)
async def test_a_filter_that_could_give_no_metric_is_refused(logs: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException"):
        await filtered(logs, **wrong)


def carried(**changes: Any) -> dict[str, Any]:
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["service"], []],
        "Metrics": [{"Name": "depth", "Unit": "Count"}, {"Name": "times"}],
    }
    envelope = {"Timestamp": 1_000_000, "CloudWatchMetrics": [directive | changes]}
    return {"_aws": envelope, "service": "web", "depth": 7, "times": [1, 2.5], "message": "hello"}


def test_an_event_carries_metrics_under_each_of_its_sets_of_dimensions() -> None:
    found = list(embedded(json.dumps(carried()), 1_000_000))
    assert [(namespace, datum.name, dict(datum.dimensions)) for namespace, datum in found] == [
        (NAMESPACE, "depth", {"service": "web"}),
        (NAMESPACE, "depth", {}),
        (NAMESPACE, "times", {"service": "web"}),
        (NAMESPACE, "times", {}),
    ]
    assert [list(datum.values or ()) for _, datum in found] == [[7.0], [7.0], [1.0, 2.5], [1.0, 2.5]]
    assert {datum.at for _, datum in found} == {1000.0}


@pytest.mark.parametrize(
    "message",
    [
        "CloudWatchMetrics in a sentence",
        '{"_aws": {"CloudWatchMetrics": []}}',
        json.dumps(carried(Namespace="AWS/ECS")),
        json.dumps(carried(Dimensions=[["absent"]])),
        json.dumps(carried(Metrics=[{"Name": "message"}])),
        json.dumps({**carried(), "_aws": None}),
        json.dumps({**carried(), "_aws": {"Timestamp": 1, "CloudWatchMetrics": "x"}}),
    ],
)
def test_what_is_not_of_the_format_gives_no_metric_and_no_error(message: str) -> None:
    assert list(embedded(message, 1_000_000)) == []


def test_an_event_of_long_ago_gives_no_metric() -> None:
    assert list(embedded(json.dumps(carried()), 1_000_000 + 15 * 86_400_000)) == []


@pytest.mark.dock
async def test_carried_metrics_arrive_in_cloudwatch(cloud: Cloud, logs: Any) -> None:
    document = carried()
    document["_aws"]["Timestamp"] = int(time.time() * 1000)
    await put(logs, document)
    assert (await statistics(cloud, "depth"))["Maximum"] == 7
