"""Alarms are fired by the faults that they are for, and clear. The whole table: `drydock rehearse alarms`."""

from __future__ import annotations

import json

import pytest

from tests.rehearsals.environment import Environment

pytestmark = [pytest.mark.dock, pytest.mark.engine, pytest.mark.timeout(600)]

# Independent of each other, and of different sources: logs, PostgreSQL, Redis.
ONLY = ("payments", "connections", "cache-memory-1", "cache-memory-2")


def test_every_engine_is_measured_under_awss_names(environment: Environment) -> None:
    pages = environment.client("cloudwatch").get_paginator("list_metrics").paginate()
    found = {(metric["Namespace"], metric["MetricName"]) for page in pages for metric in page["Metrics"]}
    assert found >= {
        ("AWS/ECS", "CPUUtilization"),
        ("AWS/ECS", "MemoryUtilization"),
        ("AWS/ApplicationELB", "HealthyHostCount"),
        ("AWS/ApplicationELB", "RequestCount"),
        ("AWS/ApplicationELB", "TargetResponseTime"),
        ("AWS/RDS", "DatabaseConnections"),
        ("AWS/RDS", "FreeStorageSpace"),
        ("AWS/RDS", "CPUUtilization"),
        ("AWS/RDS", "MaximumUsedTransactionIDs"),
        ("AWS/ElastiCache", "DatabaseMemoryUsagePercentage"),
        ("AWS/ElastiCache", "EngineCPUUtilization"),
        ("AWS/ElastiCache", "ReplicationLag"),
        ("chatvrm/local", "ActiveConversations"),
        ("chatvrm/local", "VoiceQueueDepth"),
    }


def test_alarms_fire_by_their_faults_and_clear_after_them_and_five_payments_fire_nothing(
    environment: Environment,
) -> None:
    done = environment.run(f"drydock rehearse alarms --json --only {','.join(ONLY)}", check=False, seconds=540)
    document = json.loads(done.stdout)
    rows = {(row["alarm"], row["fault"]): row for row in document["alarms"]}
    assert {row["verdict"] for row in rows.values()} == {"passed"}, done.stdout
    assert (done.returncode, document["passed"]) == (0, True)
    assert {alarm for alarm, _ in rows} == set(ONLY)
    assert rows["payments", "five failed payments"]["fired_after"] is None
    assert 0 <= rows["payments", "six failed payments"]["fired_after"] <= 75
    for row in rows.values():
        assert row["fault"] == "five failed payments" or row["cleared_after"] is not None


def test_nothing_of_a_rehearsal_is_left(environment: Environment) -> None:
    assert environment.json("drydock fault list --json")["faults"] == []
    cloudwatch = environment.client("cloudwatch")
    names = [environment.manifest.alarms.names[key] for key in ONLY]
    assert {each["StateValue"] for each in cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]} == {"OK"}
