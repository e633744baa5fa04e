"""Publishing metrics and reading them again, as boto3 does."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import botocore.parsers
import botocore.serialize
import httpx
import pytest
from botocore.exceptions import ClientError

from dock.aws.cloudwatch import Datum
from dock.aws.cloudwatch.archive import Archive
from dock.aws.cloudwatch.datum import Metric
from dock.aws.cloudwatch.distribution import Distribution
from dock.aws.models import service_model
from dock.store import Scope
from tests.dock.cloudwatch.conftest import NOON, SCOPE, Bench


def moment(at: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(at, dt.UTC)


async def put(bench: Bench, **datum: Any) -> None:
    await bench.call("put_metric_data", Namespace="App", MetricData=[{"MetricName": "Latency", **datum}])


async def statistics(bench: Bench, **parameters: Any) -> list[dict[str, Any]]:
    answer = await bench.call(
        "get_metric_statistics",
        **{
            "Namespace": "App",
            "MetricName": "Latency",
            "StartTime": moment(NOON - 3600),
            "EndTime": moment(NOON + 3600),
            "Period": 60,
            **parameters,
        },
    )
    return sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])


async def data(bench: Bench, queries: list[dict[str, Any]], **parameters: Any) -> Any:
    return await bench.call(
        "get_metric_data",
        **{
            "MetricDataQueries": queries,
            "StartTime": moment(NOON - 600),
            "EndTime": moment(NOON),
            "ScanBy": "TimestampAscending",
            **parameters,
        },
    )


def query(identifier: str, name: str, stat: str = "Sum", period: int = 60, **more: Any) -> dict[str, Any]:
    metric = {"Namespace": "App", "MetricName": name}
    return {"Id": identifier, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}, **more}


async def refusal(calling: Any) -> dict[str, str]:
    with pytest.raises(ClientError) as caught:
        await calling
    return dict(caught.value.response["Error"])


async def test_what_is_published_is_read_again_with_every_statistic(bench: Bench) -> None:
    for value in (99, 100):
        await put(bench, Value=value, Unit="Milliseconds")
    await put(bench, Values=list(range(1, 99)), Counts=[1] * 98, Unit="Milliseconds")
    points = await statistics(
        bench,
        Statistics=["Sum", "Average", "Minimum", "Maximum", "SampleCount"],
        ExtendedStatistics=["p95"],
    )
    assert len(points) == 1
    assert points[0] == {
        "Timestamp": moment(NOON),
        "Unit": "Milliseconds",
        "Sum": 5050,
        "Average": 50.5,
        "Minimum": 1,
        "Maximum": 100,
        "SampleCount": 100,
        "ExtendedStatistics": {"p95": 95},
    }


async def test_statistic_sets_add_up_and_have_no_percentiles(bench: Bench) -> None:
    for total in (10, 20):
        await put(bench, StatisticValues={"SampleCount": 5, "Sum": total, "Minimum": 1, "Maximum": total / 2})
    (point,) = await statistics(bench, Statistics=["Sum", "Maximum", "SampleCount"], ExtendedStatistics=["p50"])
    assert (point["Sum"], point["Maximum"], point["SampleCount"]) == (30, 10, 10)
    assert "ExtendedStatistics" not in point


async def test_each_unit_has_its_own_datapoints(bench: Bench) -> None:
    await put(bench, Value=1, Unit="Seconds")
    await put(bench, Value=1000, Unit="Milliseconds")
    assert [(point["Unit"], point["Sum"]) for point in await statistics(bench, Statistics=["Sum"])] == [
        ("Milliseconds", 1000),
        ("Seconds", 1),
    ]
    (point,) = await statistics(bench, Statistics=["Sum"], Unit="Seconds")
    assert point["Sum"] == 1


async def test_high_resolution_metrics_have_periods_of_seconds(bench: Bench) -> None:
    for second in range(30):
        await put(bench, Value=1, Timestamp=moment(NOON + second), StorageResolution=1)
    await put(bench, Value=1, Timestamp=moment(NOON + 90))
    points = await statistics(
        bench, Statistics=["Sum"], Period=10, StartTime=moment(NOON + 3), EndTime=moment(NOON + 120)
    )
    assert [(point["Timestamp"], point["Sum"]) for point in points] == [
        (moment(NOON), 10),
        (moment(NOON + 10), 10),
        (moment(NOON + 20), 10),
        (moment(NOON + 60), 1),
    ], "a metric of standard resolution has one point a minute"


@pytest.mark.parametrize(
    ("datum", "code", "complaint"),
    [
        ({}, "MissingParameter", "At least one of"),
        ({"Value": 1, "Values": [1]}, "InvalidParameterCombination", "mutually exclusive"),
        ({"Value": 1, "Counts": [1]}, "InvalidParameterCombination", "Counts needs"),
        ({"Values": [1, 2], "Counts": [1]}, "InvalidParameterCombination", "same size"),
        ({"Values": list(range(151))}, "InvalidParameterValue", "1 to 150"),
        ({"Values": [1], "Counts": [-1]}, "InvalidParameterValue", "greater than 0"),
        ({"Value": float("nan")}, "Invalid", "Value"),
        ({"Value": 1e300}, "InvalidParameterValue", "2^360"),
        ({"Value": 1, "StorageResolution": 5}, "InvalidParameterValue", "1 or 60"),
        ({"Value": 1, "Timestamp": moment(NOON + 7300)}, "InvalidParameterValue", "two hours in the future"),
        ({"Value": 1, "Timestamp": moment(NOON - 15 * 86400)}, "InvalidParameterValue", "past two weeks"),
        ({"Value": 1, "Unit": "Furlongs"}, "", "expected one of"),
        ({"Value": 1, "Dimensions": [{"Name": str(n), "Value": "x"} for n in range(31)]}, "", "30"),
        ({"Value": 1, "Dimensions": [{"Name": "a", "Value": "x"}] * 2}, "InvalidParameterValue", "given twice"),
        ({"Value": 1, "Dimensions": [{"Name": ":a", "Value": "x"}]}, "InvalidParameterValue", "colon"),
        (
            {"StatisticValues": {"SampleCount": 0, "Sum": 0, "Minimum": 0, "Maximum": 0}},
            "InvalidParameterValue",
            "SampleCount",
        ),
        (
            {"StatisticValues": {"SampleCount": 1, "Sum": 0, "Minimum": 1, "Maximum": 0}},
            "InvalidParameterCombination",
            "Maximum",
        ),
    ],
)
async def test_a_wrong_datum_is_refused_and_nothing_of_its_request_is_taken(
    bench: Bench, datum: dict[str, Any], code: str, complaint: str
) -> None:
    bench.client.meta.config.parameter_validation = False
    whole = [{"MetricName": "Good", "Value": 1}, {"MetricName": "Bad", **datum}]
    error = await refusal(bench.call("put_metric_data", Namespace="App", MetricData=whole))
    assert code in error["Code"]
    assert complaint in error["Message"]
    assert (await bench.call("list_metrics"))["Metrics"] == []


async def test_callers_may_not_publish_as_aws(bench: Bench) -> None:
    calling = bench.call("put_metric_data", Namespace="AWS/RDS", MetricData=[{"MetricName": "x", "Value": 1}])
    assert "AWS/" in (await refusal(calling))["Message"]


async def test_the_dock_records_its_engines_metrics_in_process(bench: Bench) -> None:
    dimensions = {"DBInstanceIdentifier": "chat"}
    bench.service.record(SCOPE, "AWS/RDS", Datum("CPUUtilization", dimensions, 40.0, "Percent", at=NOON))
    bench.service.record(SCOPE, "AWS/RDS", Datum("ReadLatency", dimensions, values=[1, 2], counts=[3, 1], at=NOON))
    answer = await bench.call("list_metrics", Namespace="AWS/RDS")
    assert [metric["MetricName"] for metric in answer["Metrics"]] == ["CPUUtilization", "ReadLatency"]
    (point,) = await statistics(
        bench,
        Namespace="AWS/RDS",
        MetricName="ReadLatency",
        Dimensions=[{"Name": "DBInstanceIdentifier", "Value": "chat"}],
        Statistics=["Sum", "SampleCount"],
        Period=10,
        EndTime=moment(NOON + 60),
        StartTime=moment(NOON - 60),
    )
    assert (point["Sum"], point["SampleCount"]) == (5, 4)
    with pytest.raises(ValueError, match="neither a value nor values"):
        bench.service.record(SCOPE, "AWS/RDS", Datum("CPUUtilization"))


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"Period": 7}, "multiple of 60"),
        ({"Period": 60, "StartTime": moment(NOON + 9), "EndTime": moment(NOON)}, "must be less than"),
        ({"Period": 60, "StartTime": moment(NOON - 2 * 86400)}, "exceeds the limit of 1,440"),
        ({"ExtendedStatistics": ["p200"]}, "not a statistic"),
        ({"ExtendedStatistics": ["Sum"]}, "not supported"),
    ],
)
async def test_wrong_statistics_are_refused(bench: Bench, parameters: dict[str, Any], complaint: str) -> None:
    bench.client.meta.config.parameter_validation = False
    error = await refusal(statistics(bench, **{"Statistics": ["Sum"], **parameters}))
    assert complaint in error["Message"]


async def test_metrics_are_listed_by_namespace_name_and_dimensions(bench: Bench) -> None:
    for name, cluster in (("A", "one"), ("A", "two"), ("B", "one")):
        dimensions = [{"Name": "Cluster", "Value": cluster}, {"Name": "Zone", "Value": "a"}]
        metric = {"MetricName": name, "Dimensions": dimensions, "Value": 1}
        await bench.call("put_metric_data", Namespace="App", MetricData=[metric])
    bench.at += 4 * 3600
    await bench.call("put_metric_data", Namespace="Late", MetricData=[{"MetricName": "C", "Value": 1}])

    async def names(**parameters: Any) -> list[str]:
        return [metric["MetricName"] for metric in (await bench.call("list_metrics", **parameters))["Metrics"]]

    assert await names() == ["A", "A", "B", "C"]
    assert await names(Dimensions=[{"Name": "Cluster", "Value": "one"}]) == ["A", "B"]
    assert await names(MetricName="A", Dimensions=[{"Name": "Cluster"}]) == ["A", "A"]
    assert await names(Dimensions=[{"Name": "Other"}]) == []
    assert await names(RecentlyActive="PT3H") == ["C"]
    bench.at += 15 * 86400
    assert await names() == [], "what had no data for two weeks is no longer listed"


async def test_the_list_of_metrics_comes_in_pages(bench: Bench) -> None:
    metrics = [{"MetricName": f"m{number:04}", "Value": 1} for number in range(700)]
    await bench.call("put_metric_data", Namespace="App", MetricData=metrics)
    first = await bench.call("list_metrics")
    assert len(first["Metrics"]) == 500
    second = await bench.call("list_metrics", NextToken=first["NextToken"])
    assert [metric["MetricName"] for metric in second["Metrics"]] == [f"m{number:04}" for number in range(500, 700)]
    assert (await refusal(bench.call("list_metrics", NextToken="nonsense")))["Code"] == "InvalidParameterValue"


async def test_metric_data_is_computed_by_expressions_over_metrics(bench: Bench) -> None:
    for minute, (errors, requests) in enumerate([(1, 10), (0, 4), (30, 40)]):
        at = moment(NOON - 300 + 60 * minute)
        for name, value in (("Errors", errors), ("Requests", requests)):
            metric = {"MetricName": name, "Value": value, "Timestamp": at}
            await bench.call("put_metric_data", Namespace="App", MetricData=[metric])
    answer = await data(
        bench,
        [
            query("errors", "Errors", ReturnData=False),
            query("requests", "Requests", Label="in ${DATAPOINT_COUNT} periods, at most ${MAX}"),
            {"Id": "rate", "Expression": "IF(requests >= 10, 100 * errors / requests, 0)", "Label": "error rate"},
        ],
    )
    requests, rate = answer["MetricDataResults"]
    assert (requests["Label"], requests["Values"]) == ("in 3 periods, at most 40", [10, 4, 40])
    assert (rate["Id"], rate["Label"], rate["Values"]) == ("rate", "error rate", [10, 0, 75])
    assert rate["Timestamps"] == [moment(NOON - 300 + 60 * minute) for minute in range(3)]
    assert rate["StatusCode"] == "Complete"
    newest_first = await data(bench, [query("requests", "Requests")], ScanBy="TimestampDescending")
    assert newest_first["MetricDataResults"][0]["Values"] == [40, 4, 10]


async def test_metric_data_comes_in_pages(bench: Bench) -> None:
    for minute in range(10):
        at = moment(NOON - 600 + 60 * minute)
        await bench.call(
            "put_metric_data",
            Namespace="App",
            MetricData=[{"MetricName": name, "Value": minute, "Timestamp": at} for name in ("A", "B")],
        )
    queries = [query("a", "A"), query("b", "B")]
    values: dict[str, list[float]] = {"a": [], "b": []}
    statuses, token, pages = [], {}, 0
    while True:
        answer = await data(bench, queries, MaxDatapoints=7, **token)
        pages += 1
        for result in answer["MetricDataResults"]:
            values[result["Id"]] += result["Values"]
            statuses.append(result["StatusCode"])
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert values == {"a": list(range(10)), "b": list(range(10))}
    assert pages == 3
    assert statuses[-1] == "Complete"
    assert "PartialData" in statuses
    error = await refusal(data(bench, [query("a", "A")], MaxDatapoints=7, **token))
    assert error["Code"] == "InvalidNextToken"


@pytest.mark.parametrize(
    ("queries", "complaint"),
    [
        ([query("A", "A")], "pattern"),
        ([query("a", "A"), query("a", "B")], "not unique"),
        ([{"Id": "e", "Expression": "m + 1"}], "Undefined variable m"),
        ([query("a", "A", ReturnData=False)], "ReturnData"),
        ([query("a", "A"), {"Id": "e", "Expression": "SUM(a)"}], "scalar"),
        ([query("a", "A", stat="p999")], "not supported"),
        ([query("a", "A", period=61)], "multiple of 60"),
        ([{**query("a", "A"), "AccountId": "000000000009"}], "AccountId"),
        ([query("a", "A"), query("b", "B", period=300), {"Id": "e", "Expression": "a / b"}], "same period"),
        ([{"Id": "e", "Expression": "SEARCH('{App} x', 'Sum')"}], "does not do SEARCH"),
        ([{"Id": "e", "Expression": 'SELECT AVG(x) FROM "App"', "Period": 60}], "error at character"),
    ],
)
async def test_wrong_queries_are_refused(bench: Bench, queries: list[dict[str, Any]], complaint: str) -> None:
    error = await refusal(data(bench, queries))
    assert error["Code"] in ("ValidationError", "InvalidParameterValue")
    assert complaint in error["Message"]


async def test_a_time_range_without_end_is_refused(bench: Bench) -> None:
    error = await refusal(data(bench, [query("a", "A", period=1)], StartTime=moment(0)))
    assert "more than 1000000 periods" in error["Message"]


@pytest.mark.parametrize("protocol", ["smithy-rpc-v2-cbor", "query", "json"])
async def test_every_protocol_of_the_service_is_spoken(bench: Bench, protocol: str) -> None:
    """SDKs differ in what they choose: boto3 sends JSON, others CBOR or forms."""
    model = service_model("cloudwatch")

    async def call(name: str, parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        operation = model.operation_model(name)
        request = botocore.serialize.create_serializer(protocol).serialize_to_request(parameters, operation)
        body = request["body"]
        content = urlencode(body).encode() if isinstance(body, dict) else body
        credential = f"{SCOPE.account}/20260302/{SCOPE.region}/monitoring/aws4_request"
        headers = {**request["headers"], "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, Signature=x"}
        async with httpx.AsyncClient() as client:
            answer = await client.post(bench.cloud.url + request["url_path"], content=content, headers=headers)
        parser = botocore.parsers.create_parser(protocol)
        found = {"status_code": answer.status_code, "headers": answer.headers, "body": answer.content}
        return answer.status_code, parser.parse(found, operation.output_shape)

    datum = {
        "MetricName": "x",
        "Value": 1.5,
        "Timestamp": moment(NOON - 60),
        "Dimensions": [{"Name": "a", "Value": "b"}],
    }
    status, _ = await call("PutMetricData", {"Namespace": "App", "MetricData": [datum]})
    assert status == 200
    _, shown = await call(
        "GetMetricStatistics",
        {
            "Namespace": "App",
            "MetricName": "x",
            "Dimensions": [{"Name": "a", "Value": "b"}],
            "StartTime": moment(NOON - 600),
            "EndTime": moment(NOON),
            "Period": 60,
            "Statistics": ["Sum"],
        },
    )
    assert shown["Datapoints"] == [{"Timestamp": moment(NOON - 60), "Sum": 1.5, "Unit": "None"}]
    status, refused = await call("GetDashboard", {"DashboardName": "none"})
    assert status == 404
    assert refused["Error"]["Code"] == "ResourceNotFound"


def archive_with(folder: Path) -> tuple[Archive, Metric]:
    return Archive(folder), Metric(Scope("000000000001", "us-east-1"), "App", "x", ())


def test_old_data_is_rolled_up_and_then_dropped(tmp_path: Path) -> None:
    archive, metric = archive_with(tmp_path)
    for second in range(120):
        archive.add(metric, NOON + second, 1, "None", Distribution.of({float(second): 1.0}))

    def widths() -> list[tuple[int, float]]:
        return [(bucket.width, bucket.samples.count) for bucket in archive.read(metric, NOON - 3600, NOON + 3600)]

    archive.tidy(NOON + 3600)
    assert widths() == [(1, 1)] * 120
    archive.tidy(NOON + 4 * 3600)
    assert widths() == [(60, 60), (60, 60)]
    archive.tidy(NOON + 16 * 86400)
    assert widths() == [(300, 120)]
    archive.tidy(NOON + 70 * 86400)
    assert widths() == [(3600, 120)]
    (bucket,) = archive.read(metric, NOON - 3600, NOON + 3600)
    assert (bucket.samples.total, bucket.samples.low, bucket.samples.high) == (sum(range(120)), 0, 119)
    archive.tidy(NOON + 460 * 86400)
    assert widths() == []
    assert archive.metrics(metric.scope, 0) == []
    archive.close()


def test_a_file_that_is_too_large_loses_its_oldest_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, metric = archive_with(tmp_path)
    for second in range(12_000):
        archive.add(metric, NOON + second, 1, "None", Distribution.of({float(second): 1.0}))
    archive.flush()
    monkeypatch.setattr("dock.aws.cloudwatch.archive.MOST_BYTES", 400_000)
    archive.tidy(NOON + 12_000)
    left = archive.read(metric, 0, NOON + 20_000)
    assert 0 < len(left) < 12_000
    assert left[-1].start == NOON + 11_999
    archive.close()


def test_what_was_flushed_survives_a_kill(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from tests.dock.cloudwatch.test_metrics import archive_with, NOON
from dock.aws.cloudwatch.distribution import Distribution
archive, metric = archive_with(Path({str(tmp_path)!r}))
archive.add(metric, NOON, 60, "Count", Distribution.of({{1.0: 2.0, 5.0: 1.0}}))
archive.flush(NOON + 1)
archive.add(metric, NOON + 60, 60, "Count", Distribution.of({{7.0: 1.0}}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3])
    assert killed.returncode == -9
    archive, metric = archive_with(tmp_path)
    (bucket,) = archive.read(metric, 0, NOON + 3600)
    assert bucket.samples == Distribution.of({1.0: 2.0, 5.0: 1.0})
    assert bucket.unit == "Count"
    assert archive.alive() == NOON + 1
    archive.close()


def test_a_page_token_is_opaque_and_checked() -> None:
    from dock.aws.cloudwatch.problems import place, token
    from dock.aws.service import AwsError

    assert place(token(["App", "x", [["a", "b"]]])) == ["App", "x", [["a", "b"]]]
    for nonsense in ("x", "éé", token("x")[:-3], json.dumps([1])):
        with pytest.raises(AwsError):
            place(nonsense)
