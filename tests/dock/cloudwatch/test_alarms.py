"""Metric alarms over the API, evaluated at the ends of their periods by the test's own clock."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dock.aws.cloudwatch import Datum
from dock.aws.cloudwatch.archive import Outage
from dock.cloud import ACCOUNTS, REGIONS
from dock.store import Scope
from tests.dock.cloudwatch.conftest import NOON, SCOPE, Bench, topic

ALARM: dict[str, Any] = {
    "AlarmName": "failed payments",
    "Namespace": "App",
    "MetricName": "FailedPayments",
    "Statistic": "Sum",
    "Period": 10,
    "EvaluationPeriods": 1,
    "Threshold": 5,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
    "AlarmActions": [topic("pager")],
    "OKActions": [topic("pager")],
}


def without(*names: str) -> dict[str, Any]:
    return {key: value for key, value in ALARM.items() if key not in names}


def record(bench: Bench, value: float, at: float, name: str = "FailedPayments", **more: Any) -> None:
    bench.service.record(SCOPE, "App", Datum(name, value=value, at=at, **more))


async def refused(bench: Bench, operation: str = "put_metric_alarm", **parameters: Any) -> str:
    bench.client.meta.config.parameter_validation = False
    with pytest.raises(ClientError) as caught:
        await bench.call(operation, **parameters)
    return f"{caught.value.response['Error']['Code']}: {caught.value.response['Error']['Message']}"


async def test_six_failed_payments_fire_and_five_do_not(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **ALARM)
    assert (await bench.alarm("failed payments"))["StateReason"] == "Unchecked: Initial alarm creation"
    record(bench, 5, NOON + 3)
    await bench.round(NOON + 10)
    assert await bench.state("failed payments") == "OK"
    for _ in range(6):
        record(bench, 1, NOON + 14)
    await bench.round(NOON + 20)
    alarm = await bench.alarm("failed payments")
    assert alarm["StateValue"] == "ALARM"
    assert alarm["StateReason"].startswith(
        "Threshold Crossed: 1 out of the last 1 datapoints [6.0 (02/03/26 12:00:10)]"
    )
    assert alarm["StateTransitionedTimestamp"] == dt.datetime.fromtimestamp(NOON + 21, dt.UTC)
    data = json.loads(alarm["StateReasonData"])
    assert data["recentDatapoints"] == [6]
    assert data["evaluatedDatapoints"] == [{"timestamp": "2026-03-02T12:00:10.000+0000", "sampleCount": 6, "value": 6}]
    assert [(arn, told["NewStateValue"], told["OldStateValue"]) for arn, told in bench.notified] == [
        (topic("pager"), "OK", "INSUFFICIENT_DATA"),
        (topic("pager"), "ALARM", "OK"),
    ]


async def test_the_notification_is_what_aws_sends(bench: Bench) -> None:
    dimensions = [{"Name": "Shop", "Value": "one"}]
    await bench.call("put_metric_alarm", **ALARM, AlarmDescription="owner: payments", Dimensions=dimensions)
    record(bench, 9, NOON + 3, dimensions={"Shop": "one"})
    await bench.round(NOON + 10)
    ((_, told),) = bench.notified
    assert told == {
        "AlarmName": "failed payments",
        "AlarmDescription": "owner: payments",
        "AWSAccountId": SCOPE.account,
        "AlarmConfigurationUpdatedTimestamp": "2026-03-02T12:00:00.000+0000",
        "NewStateValue": "ALARM",
        "NewStateReason": told["NewStateReason"],
        "StateChangeTime": "2026-03-02T12:00:11.000+0000",
        "Region": "US East (N. Virginia)",
        "AlarmArn": f"arn:aws:cloudwatch:us-east-1:{SCOPE.account}:alarm:failed payments",
        "OldStateValue": "INSUFFICIENT_DATA",
        "OKActions": [topic("pager")],
        "AlarmActions": [topic("pager")],
        "InsufficientDataActions": [],
        "Trigger": {
            "MetricName": "FailedPayments",
            "Namespace": "App",
            "StatisticType": "Statistic",
            "Statistic": "SUM",
            "Unit": None,
            "Dimensions": [{"value": "one", "name": "Shop"}],
            "Period": 10,
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 5.0,
            "TreatMissingData": "notBreaching",
            "EvaluateLowSampleCountPercentile": "",
        },
    }


async def test_a_state_that_stays_notifies_nobody_again(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **ALARM)
    for number in range(3):
        record(bench, 9, NOON + 10 * number + 1)
        await bench.round(NOON + 10 * number + 10)
    assert len(bench.notified) == 1


async def test_two_of_three_periods(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **{**ALARM, "EvaluationPeriods": 3, "DatapointsToAlarm": 2})
    states = []
    for number, value in enumerate([9, 0, 0, 9, 0, 9, 0, 0, 0]):
        record(bench, value, NOON + 10 * number + 1)
        await bench.round(NOON + 10 * number + 10)
        states.append(await bench.state("failed payments"))
    assert states == ["OK", "OK", "OK", "OK", "OK", "ALARM", "OK", "OK", "OK"]


async def test_a_metric_that_stops_is_missing_after_its_last_points_left_the_range(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **{**ALARM, "TreatMissingData": "missing"})
    record(bench, 9, NOON + 1)
    states = []
    for number in range(5):
        await bench.round(NOON + 10 * number + 10)
        states.append(await bench.state("failed payments"))
    assert states == ["ALARM", "ALARM", "ALARM", "INSUFFICIENT_DATA", "INSUFFICIENT_DATA"]


async def test_a_datapoint_that_comes_late_counts_at_the_next_evaluation(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **ALARM)
    await bench.round(NOON + 10)
    assert await bench.state("failed payments") == "OK"
    record(bench, 9, NOON + 5)
    await bench.round(NOON + 20)
    assert await bench.state("failed payments") == "ALARM"


async def test_alarms_of_a_minute_are_evaluated_each_minute_over_a_sliding_window(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **{**ALARM, "Period": 300})
    record(bench, 4, NOON - 200)
    record(bench, 4, NOON + 50)
    await bench.round(NOON + 50)
    assert await bench.state("failed payments") == "INSUFFICIENT_DATA", "not a whole minute"
    await bench.round(NOON + 60)
    assert await bench.state("failed payments") == "ALARM", "8 within the last five minutes"
    await bench.round(NOON + 120)
    assert await bench.state("failed payments") == "OK", "4 within the last five minutes"


async def test_an_alarm_on_an_error_rate_with_a_minimum_of_traffic(bench: Bench) -> None:
    def metric(identifier: str, name: str) -> dict[str, Any]:
        of = {"Namespace": "App", "MetricName": name}
        return {"Id": identifier, "ReturnData": False, "MetricStat": {"Metric": of, "Period": 60, "Stat": "Sum"}}

    expression = "IF(FILL(requests, 0) >= 20, 100 * FILL(errors, 0) / requests, 0)"
    await bench.call(
        "put_metric_alarm",
        AlarmName="error rate",
        Metrics=[metric("errors", "Errors"), metric("requests", "Requests"), {"Id": "rate", "Expression": expression}],
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[topic("pager")],
    )
    states = []
    for number, (errors, requests) in enumerate([(5, 10), (0, 100), (2, 100), (0, 0)]):
        if requests:
            record(bench, errors, NOON + 60 * number + 1, "Errors")
            record(bench, requests, NOON + 60 * number + 1, "Requests")
        await bench.round(NOON + 60 * number + 60)
        states.append(await bench.state("error rate"))
    assert states == ["OK", "OK", "ALARM", "OK"]
    assert bench.notified[0][1]["Trigger"]["Metrics"][2]["Expression"] == expression


async def test_a_percentile_with_few_samples_is_not_judged_when_it_shall_not_be(bench: Bench) -> None:
    extended = {**without("Statistic"), "ExtendedStatistic": "p90", "Threshold": 1}
    for name, low in (("careful", "ignore"), ("quick", "evaluate")):
        await bench.call("put_metric_alarm", **{**extended, "AlarmName": name, "EvaluateLowSampleCountPercentile": low})
    bench.service.record(SCOPE, "App", Datum("FailedPayments", values=[2.0], counts=[99], at=NOON + 1))
    await bench.round(NOON + 10)
    assert [await bench.state(name) for name in ("careful", "quick")] == ["INSUFFICIENT_DATA", "ALARM"]
    bench.service.record(SCOPE, "App", Datum("FailedPayments", values=[2.0], counts=[100], at=NOON + 11))
    await bench.round(NOON + 20)
    assert await bench.state("careful") == "ALARM"


async def test_a_unit_that_nobody_publishes_has_no_data(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **{**ALARM, "Unit": "Seconds", "TreatMissingData": "missing"})
    record(bench, 9, NOON + 1, unit="Count")
    await bench.round(NOON + 10)
    assert await bench.state("failed payments") == "INSUFFICIENT_DATA"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"Period": 45}, "Period must be 10, 20, 30 or a multiple of 60"),
        ({"Period": 5}, "Period must be 10, 20, 30 or a multiple of 60"),
        ({"Period": 3600, "EvaluationPeriods": 200}, "more than seven days"),
        ({"Period": 600, "EvaluationPeriods": 200}, "more than a day"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm must not be greater than EvaluationPeriods"),
        ({"TreatMissingData": "bad"}, "unsupported for TreatMissingData"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "no anomaly detection"),
        ({"ComparisonOperator": "Greater"}, "expected one of"),
        ({"Threshold": None}, "Threshold must be specified"),
        ({"EvaluationPeriods": None}, "EvaluationPeriods must be specified"),
        ({"MetricName": None}, "MetricName must be specified"),
        ({"Statistic": None}, "Exactly one of the parameters Statistic"),
        ({"ExtendedStatistic": "p90"}, "Exactly one of the parameters Statistic"),
        ({"Statistic": None, "ExtendedStatistic": "p900"}, "not supported"),
        ({"Statistic": None, "ExtendedStatistic": "Sum"}, "belongs into the parameter Statistic"),
        ({"EvaluateLowSampleCountPercentile": "ignore"}, "percentile"),
        ({"AlarmName": "x" * 256}, "less than or equal to 255"),
        ({"AlarmName": "a\nb"}, "printable"),
        ({"AlarmActions": ["pager"]}, "Invalid arn syntax"),
        ({"AlarmActions": [topic("a")] * 6}, "less than or equal to 5"),
        ({"AlarmActions": ["arn:aws:sns:us-west-2:000000000001:a"]}, "Only us-east-1 is supported"),
        ({"AlarmActions": ["arn:aws:lambda:us-east-1:000000000001:function:f"]}, "the dock does not do the action"),
        ({"ThresholdMetricId": "band"}, "does not act on ThresholdMetricId"),
        ({"Dimensions": [{"Name": "a", "Value": "b"}] * 2}, "names a dimension twice"),
        ({"Metrics": []}, "mutually exclusive"),
    ],
)
async def test_an_alarm_that_aws_would_refuse_is_refused(bench: Bench, changes: dict[str, Any], complaint: str) -> None:
    parameters = {key: value for key, value in {**ALARM, **changes}.items() if value is not None}
    assert complaint in await refused(bench, **parameters)
    assert (await bench.call("describe_alarms"))["MetricAlarms"] == []


def of_metrics(*metrics: dict[str, Any]) -> dict[str, Any]:
    one = ("Namespace", "MetricName", "Statistic", "Period")
    return {**without(*one), "Metrics": list(metrics)}


def stat(identifier: str, period: int = 60, *, returned: bool = False) -> dict[str, Any]:
    metric = {"Namespace": "App", "MetricName": identifier}
    return {"Id": identifier, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}, "ReturnData": returned}


@pytest.mark.parametrize(
    ("metrics", "complaint"),
    [
        ([stat("a"), stat("b")], "Exactly one element of the metrics list should return data"),
        ([stat("a", returned=True), stat("b", returned=True)], "Exactly one element of the metrics list"),
        ([stat("a"), stat("b", 300), {"Id": "e", "Expression": "a + b"}], "Period must be the same"),
        ([stat("a"), {"Id": "e", "Expression": "METRICS()"}], "a single time series"),
        ([stat("a"), {"Id": "e", "Expression": "MAX(a)"}], "scalar"),
        ([stat("a"), {"Id": "e", "Expression": "a +"}], "error at character"),
        ([stat("a"), {"Id": "e", "Expression": "ANOMALY_DETECTION_BAND(a)"}], "does not do ANOMALY_DETECTION_BAND"),
        ([{"Id": "e", "Expression": "TIME_SERIES(1)"}], "at least one metric"),
        ([stat(f"m{n}") for n in range(11)] + [{"Id": "e", "Expression": "SUM(METRICS())"}], "at most 10"),
        ([stat("a", 45, returned=True)], "multiple of 60"),
    ],
)
async def test_an_alarm_on_expressions_is_checked_before_there_is_data(
    bench: Bench, metrics: list[dict[str, Any]], complaint: str
) -> None:
    assert complaint in await refused(bench, **of_metrics(*metrics))


async def test_a_changed_alarm_keeps_its_state_and_its_tags(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **ALARM, Tags=[{"Key": "owner", "Value": "a"}])
    record(bench, 9, NOON + 1)
    await bench.round(NOON + 10)
    await bench.call("put_metric_alarm", **{**without("OKActions"), "Threshold": 20})
    alarm = await bench.alarm("failed payments")
    assert (alarm["StateValue"], alarm["Threshold"], alarm["OKActions"]) == ("ALARM", 20, [])
    tags = await bench.call("list_tags_for_resource", ResourceARN=alarm["AlarmArn"])
    assert tags["Tags"] == [{"Key": "owner", "Value": "a"}]
    await bench.call("tag_resource", ResourceARN=alarm["AlarmArn"], Tags=[{"Key": "tier", "Value": "1"}])
    await bench.call("untag_resource", ResourceARN=alarm["AlarmArn"], TagKeys=["owner"])
    tags = await bench.call("list_tags_for_resource", ResourceARN=alarm["AlarmArn"])
    assert tags["Tags"] == [{"Key": "tier", "Value": "1"}]


async def test_setting_a_state_by_hand_acts_and_lasts_until_the_next_evaluation(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **ALARM)
    await bench.round(NOON + 10)
    by_hand = {"AlarmName": "failed payments", "StateValue": "ALARM", "StateReason": "drill"}
    await bench.call("set_alarm_state", **by_hand, StateReasonData='{"by": "me"}')
    await bench.service.actions.settled()
    assert [told["NewStateReason"] for _, told in bench.notified][-1] == "drill"
    await bench.round(NOON + 20)
    assert await bench.state("failed payments") == "OK"
    assert "InvalidFormat" in await refused(bench, "set_alarm_state", **by_hand, StateReasonData="{")
    assert "ResourceNotFound" in await refused(bench, "set_alarm_state", **{**by_hand, "AlarmName": "none"})


async def test_disabled_actions_are_not_done(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **ALARM)
    await bench.call("disable_alarm_actions", AlarmNames=["failed payments", "none"])
    record(bench, 9, NOON + 1)
    await bench.round(NOON + 10)
    assert (await bench.state("failed payments"), bench.notified) == ("ALARM", [])
    await bench.call("enable_alarm_actions", AlarmNames=["failed payments"])
    await bench.round(NOON + 50)
    assert [told["NewStateValue"] for _, told in bench.notified] == ["OK"]


async def test_the_history_tells_configuration_states_and_actions(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **ALARM)
    record(bench, 9, NOON + 1)
    await bench.round(NOON + 10)
    await bench.call("delete_alarms", AlarmNames=["failed payments"])
    answer = await bench.call("describe_alarm_history", AlarmName="failed payments", ScanBy="TimestampAscending")
    assert [(item["HistoryItemType"], item["HistorySummary"]) for item in answer["AlarmHistoryItems"]] == [
        ("ConfigurationUpdate", 'Alarm "failed payments" created'),
        ("StateUpdate", "Alarm updated from INSUFFICIENT_DATA to ALARM"),
        ("Action", f"Successfully executed action {topic('pager')}"),
        ("ConfigurationUpdate", 'Alarm "failed payments" deleted'),
    ]
    states = await bench.call("describe_alarm_history", HistoryItemType="StateUpdate")
    data = json.loads(states["AlarmHistoryItems"][0]["HistoryData"])
    assert (data["oldState"]["stateValue"], data["newState"]["stateValue"]) == ("INSUFFICIENT_DATA", "ALARM")
    page = await bench.call("describe_alarm_history", MaxRecords=3)
    rest = await bench.call("describe_alarm_history", MaxRecords=3, NextToken=page["NextToken"])
    assert (len(page["AlarmHistoryItems"]), len(rest["AlarmHistoryItems"])) == (3, 1)
    assert "NextToken" not in rest


async def test_an_action_that_fails_is_tried_again_and_then_shows_in_the_history(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dock.aws.cloudwatch.actions.RETRY_SECONDS", (0.01, 0.01))
    tries: list[str] = []

    async def broken(scope: Scope, arn: str, notification: dict[str, Any]) -> None:
        tries.append(arn)
        if len(tries) < 3 or arn.endswith("gone"):
            raise ConnectionError("no such topic")

    bench.service.register_action("arn:aws:sns:", broken)
    await bench.call("put_metric_alarm", **{**ALARM, "AlarmActions": [topic("slow"), topic("gone")]})
    record(bench, 9, NOON + 1)
    await bench.round(NOON + 10)
    answer = await bench.call("describe_alarm_history", HistoryItemType="Action", ScanBy="TimestampAscending")
    first, second = answer["AlarmHistoryItems"]
    assert tries == [topic("slow")] * 3 + [topic("gone")] * 3
    assert first["HistorySummary"] == f"Successfully executed action {topic('slow')}"
    assert second["HistorySummary"].startswith(f"Failed to execute action {topic('gone')}. Received error:")
    assert json.loads(second["HistoryData"])["error"] == "ConnectionError: no such topic"


async def test_a_scaling_action_is_repeated_each_period_and_a_notification_is_not(bench: Bench) -> None:
    policy = "arn:aws:autoscaling:us-east-1:000000000001:scalingPolicy:1:resource/ecs/service/c/s:policyName/p"
    scaled: list[str] = []

    async def scale(scope: Scope, arn: str, notification: dict[str, Any]) -> None:
        scaled.append(notification["NewStateValue"])

    bench.service.register_action("arn:aws:autoscaling:", scale, repeats=True)
    await bench.call("put_metric_alarm", **{**ALARM, "AlarmActions": [policy, topic("pager")], "OKActions": []})
    for number in range(3):
        record(bench, 9, NOON + 10 * number + 1)
        await bench.round(NOON + 10 * number + 10)
    assert scaled == ["ALARM"] * 3
    assert len(bench.notified) == 1


async def test_alarms_are_found_by_name_prefix_state_and_action(bench: Bench) -> None:
    for name in ("api-errors", "api-latency", "db-cpu"):
        actions = [topic("pager")] if name == "db-cpu" else []
        await bench.call("put_metric_alarm", **{**ALARM, "AlarmName": name, "AlarmActions": actions, "OKActions": []})
    await bench.call("set_alarm_state", AlarmName="db-cpu", StateValue="ALARM", StateReason="drill")

    async def names(**parameters: Any) -> list[str]:
        return [alarm["AlarmName"] for alarm in (await bench.call("describe_alarms", **parameters))["MetricAlarms"]]

    assert await names() == ["api-errors", "api-latency", "db-cpu"]
    assert await names(AlarmNamePrefix="api-") == ["api-errors", "api-latency"]
    assert await names(AlarmNames=["db-cpu", "none"]) == ["db-cpu"]
    assert await names(StateValue="ALARM") == ["db-cpu"]
    assert await names(ActionPrefix="arn:aws:sns:") == ["db-cpu"]
    assert await names(AlarmTypes=["CompositeAlarm"]) == []
    page = await bench.call("describe_alarms", MaxRecords=2)
    assert await names(MaxRecords=2, NextToken=page["NextToken"]) == ["db-cpu"]
    assert "mutually exclusive" in await refused(bench, "describe_alarms", AlarmNames=["a"], AlarmNamePrefix="b")
    found = await bench.call(
        "describe_alarms_for_metric", Namespace="App", MetricName="FailedPayments", Statistic="Sum"
    )
    assert len(found["MetricAlarms"]) == 3
    other = await bench.call("describe_alarms_for_metric", Namespace="App", MetricName="FailedPayments", Period=60)
    assert other["MetricAlarms"] == []


async def test_alarms_of_regions_and_accounts_do_not_meet(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **ALARM)
    bench.service.record(Scope(ACCOUNTS[1], REGIONS[0]), "App", Datum("FailedPayments", value=9, at=NOON + 1))
    bench.service.record(Scope(ACCOUNTS[0], REGIONS[1]), "App", Datum("FailedPayments", value=9, at=NOON + 1))
    await bench.round(NOON + 10)
    assert await bench.state("failed payments") == "OK"


async def test_after_an_outage_nothing_fires_that_only_the_outage_explains(bench: Bench) -> None:
    for name, missing in (("beat", "breaching"), ("quiet", "missing")):
        await bench.call("put_metric_alarm", **{**ALARM, "AlarmName": name, "TreatMissingData": missing})
    record(bench, 1, NOON + 1)
    await bench.round(NOON + 10)
    assert [await bench.state(name) for name in ("beat", "quiet")] == ["OK", "OK"]
    bench.service.archive.flush(NOON + 11)
    bench.at = NOON + 600
    bench.service.watch.resume(bench.service.archive.alive())
    assert bench.service.watch.outages == [Outage(NOON + 11, NOON + 610)]
    for boundary in (600, 610, 620, 630):
        await bench.round(NOON + boundary)
        assert [await bench.state(name) for name in ("beat", "quiet")] == ["OK", "OK"], boundary
    await bench.round(NOON + 640)
    assert [await bench.state(name) for name in ("beat", "quiet")] == ["ALARM", "INSUFFICIENT_DATA"]


async def test_what_a_killed_daemon_had_not_notified_is_notified_by_the_next(bench: Bench) -> None:
    waiting: list[str] = []

    async def never(scope: Scope, arn: str, notification: dict[str, Any]) -> None:
        waiting.append(arn)
        raise ConnectionError("the network is gone")

    bench.service.register_action("arn:aws:sns:", never)
    await bench.call("put_metric_alarm", **ALARM)
    record(bench, 9, NOON + 1)
    bench.at = NOON + 11
    await bench.service.watch.round(int(NOON + 10))
    await bench.service.actions.stop()

    from dock.aws.cloudwatch.actions import Actions
    from dock.aws.cloudwatch.history import History

    history = History(bench.cloud.store)
    reborn = Actions(bench.cloud, history, lambda: bench.at)
    reborn.register("arn:aws:sns:", bench._notify)
    reborn.start()
    await reborn.settled()
    assert [told["NewStateValue"] for _, told in bench.notified] == ["ALARM"]
    assert bench.cloud.store.table("cloudwatch/action").all() == []
    assert [entry["HistoryItemType"] for entry in history.of(SCOPE, "failed payments")][-1] == "Action"


async def test_the_status_lists_the_alarms_that_are_not_ok(bench: Bench) -> None:
    await bench.call("put_metric_alarm", **ALARM)
    await bench.call("put_metric_alarm", **{**ALARM, "AlarmName": "other"})
    await bench.call("set_alarm_state", AlarmName="other", StateValue="OK", StateReason="drill")
    await bench.call("set_alarm_state", AlarmName="failed payments", StateValue="ALARM", StateReason="six of them")
    assert bench.service.status() == [
        {
            "kind": "alarm",
            "name": "failed payments",
            "state": "ALARM",
            "problem": "six of them",
            "account": SCOPE.account,
            "region": SCOPE.region,
        }
    ]


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("put_anomaly_detector", {"Namespace": "a", "MetricName": "b", "Stat": "Sum"}),
        ("put_insight_rule", {"RuleName": "a", "RuleDefinition": "{}"}),
        ("list_metric_streams", {}),
        ("get_metric_widget_image", {"MetricWidget": "{}"}),
    ],
)
async def test_what_is_not_done_is_refused(bench: Bench, operation: str, parameters: dict[str, Any]) -> None:
    assert "the dock does not do cloudwatch:" in await refused(bench, operation, **parameters)
