"""The alarms of each environment: the platform's thresholds, and what every alarm must have."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stacks import platforms
from stacks.environment import Environment
from tests.stacks.files import STACKS, settings_of
from tests.stacks.recording import Recording, record

PROJECT = Path(__file__).parents[2]
every_stack = pytest.mark.parametrize("stack", STACKS)


@cache
def recorded(stack: str) -> Recording:
    settings = settings_of(stack)
    return record(lambda: Environment(settings, platforms.load(settings.platform)), stack)


def alarms(stack: str) -> dict[str, dict[str, Any]]:
    """By key: the name without the environment's prefix."""
    found = recorded(stack).of("MetricAlarm") + recorded(stack).of("CompositeAlarm")
    prefix = f"{settings_of(stack).platform}-{stack}-"
    names = [(each.inputs.get("name") or each.inputs["alarmName"], each.inputs) for each in found]
    return {name.removeprefix(prefix): inputs for name, inputs in names}


@every_stack
def test_every_threshold_of_the_platform_has_its_alarm(stack):
    found, settings = alarms(stack), settings_of(stack)
    platform = platforms.load(settings.platform)
    limits = platform.thresholds
    assert found["error-rate"]["threshold"] == limits.error_rate_percent
    assert found["slow"]["threshold"] == limits.p95_seconds
    assert found["cpu"]["threshold"] == limits.cpu_percent
    # A share of the very number that the database is given.
    given = {each["name"]: each["value"] for group in recorded(stack).of("rds/parameterGroup:ParameterGroup")
             for each in group.inputs["parameters"]}  # fmt: skip
    assert found["connections"]["threshold"] == limits.connections_percent / 100 * int(given["max_connections"])
    nodes = [each for key, each in found.items() if key.startswith("cache-memory-")]
    assert len(nodes) == settings.cache.replicas + 1
    assert {each["threshold"] for each in nodes} == {limits.cache_memory_percent}
    assert (found["payments"]["threshold"], found["payments"]["comparisonOperator"]) == (
        limits.payment_failures,
        "GreaterThanThreshold",
    )


def test_in_production_thresholds_take_as_long_as_the_playbook_says():
    found = alarms("production")

    def seconds(key: str) -> int:
        period = found[key].get("period") or found[key]["metricQueries"][0]["metric"]["period"]
        return int(period * found[key]["evaluationPeriods"])

    assert {key: seconds(key) for key in ("error-rate", "cpu", "payments")} == {
        "error-rate": 300,
        "cpu": 600,
        "payments": 300,
    }
    windows = {key: seconds(key) for key in found if key.startswith("burn-") and key.endswith(("long", "short"))}
    assert windows == {
        "burn-1-long": 3600,
        "burn-1-short": 300,
        "burn-2-long": 6 * 3600,
        "burn-2-short": 1800,
        "burn-3-long": 3 * 86400,
        "burn-3-short": 6 * 3600,
    }
    assert [found[f"burn-{number}-long"]["threshold"] for number in (1, 2, 3)] == [1.44, 0.6, 0.1]


@every_stack
def test_every_alarm_names_an_owner_and_a_runbook_that_exists(stack):
    for key, alarm in alarms(stack).items():
        if key == "deployment":
            continue
        says, _, rest = alarm["alarmDescription"].partition(" Owner: ")
        owner, _, runbook = rest.partition(". Runbook: ")
        assert says, key
        assert owner, key
        assert (PROJECT / runbook).is_file(), f"{key}: {runbook}"


@every_stack
def test_every_alarm_reaches_somebody_itself_or_through_a_composite(stack):
    found = alarms(stack)
    prefix = f"{settings_of(stack).platform}-{stack}-"
    rules = " ".join(each.get("alarmRule", "") for each in found.values())
    for key, alarm in found.items():
        assert alarm.get("alarmActions") or f'ALARM("{prefix}{key}")' in rules or key == "deployment", key


@every_stack
def test_silence_is_an_alarm_and_a_quiet_night_is_none(stack):
    missing = {key: alarm["treatMissingData"] for key, alarm in alarms(stack).items() if "treatMissingData" in alarm}
    silent = {key for key, treatment in missing.items() if treatment == "breaching"}
    assert silent == {key for key in missing if key.endswith(("serve", "serves")) or "silent" in key}
    assert {missing[key] for key in ("error-rate", "slow", "cpu", "payments", "voice-queue")} == {"notBreaching"}


@every_stack
def test_only_what_a_deployment_disturbs_is_quiet_during_one(stack):
    suppressed = {key for key, alarm in alarms(stack).items() if "actionsSuppressor" in alarm}
    assert suppressed == {platforms.load(settings_of(stack).platform).service.name}


@every_stack
def test_the_dashboard_has_every_alarm_and_the_manifest_every_name(stack):
    body = json.loads(recorded(stack).one("Dashboard", "-dashboard").inputs["dashboardBody"])
    found = alarms(stack)
    assert len(body["widgets"][0]["properties"]["alarms"]) == len(found)
    document = json.loads(recorded(stack).one("Parameter", "-primary").inputs["insecureValue"])
    assert set(document["alarms"]["names"]) == set(found)
    assert len(json.dumps(document)) <= 8192
