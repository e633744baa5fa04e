"""What an alarm says to the topic that it notifies, in AWS's own words."""

from __future__ import annotations

import datetime as dt
from typing import Any

from dock.store import Record, Scope

# As AWS names them in messages.
_REGIONS = {"us-east-1": "US East (N. Virginia)", "us-west-2": "US West (Oregon)"}
_SUBJECT_CHARACTERS = 100


def timestamp(at: float) -> str:
    """Seconds since the epoch as alarms write them, for example `2026-03-01T12:00:00.000+0000`."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def subject(document: dict[str, Any]) -> str:
    """The subject that goes with a notification."""
    text = f'{document["NewStateValue"]}: "{document["AlarmName"]}" in {document["Region"]}'
    return text if len(text) <= _SUBJECT_CHARACTERS else f"{text[: _SUBJECT_CHARACTERS - 3]}..."


def notification(scope: Scope, alarm: Record, old: str) -> dict[str, Any]:
    """The message's JSON document."""
    document: dict[str, Any] = {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription"),
        "AWSAccountId": scope.account,
        "AlarmConfigurationUpdatedTimestamp": timestamp(alarm["AlarmConfigurationUpdatedTimestamp"]),
        "NewStateValue": alarm["StateValue"],
        "NewStateReason": alarm["StateReason"],
        "StateChangeTime": timestamp(alarm["StateTransitionedTimestamp"]),
        "Region": _REGIONS.get(scope.region, scope.region),
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": old,
        "OKActions": alarm["OKActions"],
        "AlarmActions": alarm["AlarmActions"],
        "InsufficientDataActions": alarm["InsufficientDataActions"],
    }
    if alarm["kind"] == "CompositeAlarm":
        return document | {"AlarmRule": alarm["AlarmRule"], "TriggeringChildren": alarm.get("triggering", [])}
    return document | {"Trigger": _trigger(alarm)}


def _trigger(alarm: Record) -> dict[str, Any]:
    common = {
        "Period": alarm.get("Period"),
        "EvaluationPeriods": alarm["EvaluationPeriods"],
        "DatapointsToAlarm": alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]),
        "ComparisonOperator": alarm["ComparisonOperator"],
        "Threshold": alarm["Threshold"],
        "TreatMissingData": alarm.get("TreatMissingData", "missing"),
        "EvaluateLowSampleCountPercentile": alarm.get("EvaluateLowSampleCountPercentile", ""),
    }
    if "Metrics" in alarm:
        return common | {"Metrics": alarm["Metrics"]}
    extended = "ExtendedStatistic" in alarm
    statistic = (
        {"ExtendedStatistic": alarm["ExtendedStatistic"]} if extended else {"Statistic": alarm["Statistic"].upper()}
    )
    return {
        "MetricName": alarm["MetricName"],
        "Namespace": alarm["Namespace"],
        "StatisticType": "ExtendedStatistic" if extended else "Statistic",
        **statistic,
        "Unit": alarm.get("Unit"),
        "Dimensions": [{"value": one["Value"], "name": one["Name"]} for one in alarm.get("Dimensions", [])],
        **common,
    }
