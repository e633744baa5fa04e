"""Alarms: how late they are, what 200 of them cost, and how many metrics a second are taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import boto3
import psutil
from botocore.config import Config

from benchmarks.figure import Figure, in_pairs, spread

ALARMS = 200
PERIOD_SECONDS = 10
ROUNDS = 3
LATE_SECONDS = 2.0
CALLS = 100
DATUMS = 100
NAMESPACE = "Drydock/Benchmark"
PREFIX = "drydock-benchmark-"


def measure(endpoint_url: str, emulator_url: str, account: str, region: str, daemon_pid: int) -> list[Figure]:
    def client(name: str, url: str) -> Any:
        return boto3.client(
            name,
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="dock",
            config=Config(retries={"total_max_attempts": 1}),
        )

    cloudwatch = client("cloudwatch", endpoint_url)
    figures = [*_published(cloudwatch, client("sts", emulator_url).get_caller_identity)]
    names = [f"{PREFIX}{number:03}" for number in range(ALARMS)]
    try:
        figures += _evaluated(cloudwatch, names, daemon_pid)
    finally:
        for start in range(0, ALARMS, 100):
            with suppress(Exception):
                cloudwatch.delete_alarms(AlarmNames=names[start : start + 100])
    return figures


def _published(cloudwatch: Any, floor: Callable[[], object]) -> list[Figure]:
    """One client, one request after the other; the floor is a call that does next to nothing."""

    def publish() -> None:
        data = [{"MetricName": f"m{number}", "Value": number, "Unit": "Count"} for number in range(DATUMS)]
        cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data)

    def one() -> None:
        cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=[{"MetricName": "m", "Value": 1, "Unit": "Count"}])

    single, peer = in_pairs(one, floor, CALLS)
    many, _ = in_pairs(publish, floor, CALLS // 2)
    calls, floor_calls = len(single) / sum(single), len(peer) / sum(peer)
    return [
        Figure(
            "PutMetricData of one metric",
            f"{calls:.0f} a second; {spread(single, 'ms', 1000)}",
            f"the emulator's sts {floor_calls:.0f} a second",
            calls / floor_calls,
            "≥ 0.5 × the floor",
            calls >= 0.5 * floor_calls,
        ),
        Figure(
            f"PutMetricData of {DATUMS} metrics",
            f"{DATUMS * len(many) / sum(many):.0f} metrics a second; {spread(many, 'ms', 1000)}",
            "–",
            None,
            "≥ 1000 metrics a second",
            DATUMS * len(many) / sum(many) >= 1000,
        ),
    ]


def _evaluated(cloudwatch: Any, names: list[str], daemon_pid: int) -> list[Figure]:
    """All alarms change at once: each round one more sample makes the other state of them."""
    for name in names:
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace=NAMESPACE,
            MetricName="switch",
            Statistic="Maximum",
            Period=PERIOD_SECONDS,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
        )
    daemon = psutil.Process(daemon_pid)
    idle = _idle_rate(daemon)
    changed: list[float] = []
    seen: list[float] = []
    used = 0.0
    for number in range(ROUNDS):
        value = (number + 1) % 2
        _until(lambda: 2 < time.time() % PERIOD_SECONDS < 6)
        datum = {"MetricName": "switch", "Value": value, "StorageResolution": 1}
        cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=[datum])
        end = time.time() // PERIOD_SECONDS * PERIOD_SECONDS + PERIOD_SECONDS
        _sleep_until(end + 0.5)
        before, began = _processor(daemon), time.time()
        wanted = "ALARM" if value else "OK"
        while len(states := _changed(cloudwatch, wanted)) < ALARMS and time.time() < end + PERIOD_SECONDS - 1:
            time.sleep(0.2)
        seen.append(time.time() - end)
        changed += [at - end for at in states]
        used += _processor(daemon) - before - idle * (time.time() - began)
    cost = max(0.0, used) / ROUNDS / ALARMS
    return [
        Figure(
            f"from a period's end to the alarm's state, {ALARMS} alarms at once",
            f"{spread(changed)}; all seen by describe-alarms after {spread(seen)}",
            f"{len(changed)} of {ALARMS * ROUNDS} changes seen",
            None,
            f"≤ {LATE_SECONDS:.0f} s",
            len(changed) == ALARMS * ROUNDS and max(seen) <= LATE_SECONDS,
        ),
        Figure(
            "processor time of an alarm's evaluation and change",
            f"{cost * 1000:.2f} ms",
            f"{ALARMS} take {cost * ALARMS:.2f} s, the describe calls that watch them among it",
            None,
            "≤ 5 ms",
            cost <= 0.005,
        ),
    ]


def _changed(cloudwatch: Any, state: str) -> list[float]:
    """When each alarm came into the state."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=PREFIX, StateValue=state)
    return [alarm["StateTransitionedTimestamp"].timestamp() for page in pages for alarm in page["MetricAlarms"]]


def _processor(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def _idle_rate(daemon: psutil.Process) -> float:
    """What the daemon uses of a processor while no alarm is due, in seconds a second."""
    _until(lambda: 2 < time.time() % PERIOD_SECONDS < 3)
    before, began = _processor(daemon), time.time()
    _sleep_until(began + 6)
    return (_processor(daemon) - before) / 6


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


def _until(reached: Callable[[], bool]) -> None:
    while not reached():
        time.sleep(0.05)
