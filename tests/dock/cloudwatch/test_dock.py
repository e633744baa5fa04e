"""Real periods on a real dock: from a metric to the message in a queue, over the front door and the emulator."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from dock.aws.cloudwatch import CloudWatch
from dock.cloud import Cloud
from dock.home import Home
from tests.dock.cloudwatch.conftest import SCOPE
from tests.dock.conftest import call, running_cloud

pytestmark = pytest.mark.dock

# From the end of a period to the alarm's state, as the benchmark has it.
LATE_SECONDS = 2


def client(cloud: Cloud, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=cloud.url,
        region_name="us-east-1",
        aws_access_key_id="000000000001",
        aws_secret_access_key="dock",
    )


async def pager(cloud: Cloud) -> tuple[str, str]:
    """A topic whose messages come into a queue: the topic's ARN and the queue's URL."""
    sns, sqs = client(cloud, "sns"), client(cloud, "sqs")
    topic = (await call(sns.create_topic, Name="pager"))["TopicArn"]
    queue = (await call(sqs.create_queue, QueueName="pager"))["QueueUrl"]
    found = await call(sqs.get_queue_attributes, QueueUrl=queue, AttributeNames=["QueueArn"])
    await call(sns.subscribe, TopicArn=topic, Protocol="sqs", Endpoint=found["Attributes"]["QueueArn"])
    return topic, queue


async def next_message(cloud: Cloud, queue: str) -> dict[str, Any]:
    """What the alarm told next."""
    sqs = client(cloud, "sqs")
    async with asyncio.timeout(40):
        while True:
            answer = await call(sqs.receive_message, QueueUrl=queue, WaitTimeSeconds=5)
            for message in answer.get("Messages", []):
                await call(sqs.delete_message, QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                return dict(json.loads(json.loads(message["Body"])["Message"]))


async def aws(cloud: Cloud, *arguments: str) -> Any:
    """What the ordinary command says, as JSON."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cloud.home.root),
        "AWS_ENDPOINT_URL": cloud.url,
        "AWS_ACCESS_KEY_ID": "000000000001",
        "AWS_SECRET_ACCESS_KEY": "dock",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = Path(sys.executable).parent / "aws"
    process = await asyncio.create_subprocess_exec(
        str(command),
        "cloudwatch",
        *arguments,
        "--output",
        "json",
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, wrong = await process.communicate()
    assert process.returncode == 0, wrong.decode()
    return json.loads(said) if said.strip() else None


async def test_an_alarm_fires_within_two_seconds_of_its_period_and_the_message_arrives(home: Home) -> None:
    async with running_cloud(home, [CloudWatch]) as cloud:
        topic, queue = await pager(cloud)
        await aws(
            cloud, "put-metric-alarm", "--alarm-name", "payments", "--namespace", "App", "--metric-name", "Failed",
            "--statistic", "Sum", "--period", "10", "--evaluation-periods", "1", "--threshold", "5",
            "--comparison-operator", "GreaterThanThreshold", "--treat-missing-data", "notBreaching",
            "--alarm-actions", topic,
        )  # fmt: skip
        await aws(cloud, "put-composite-alarm", "--alarm-name", "site", "--alarm-rule", "ALARM(payments)")
        await aws(
            cloud, "put-metric-data", "--namespace", "App", "--metric-name", "Failed", "--value", "6",
            "--storage-resolution", "1",
        )  # fmt: skip
        published = time.time()
        told = await next_message(cloud, queue)
        assert (told["AlarmName"], told["NewStateValue"]) == ("payments", "ALARM")
        shown = await aws(cloud, "describe-alarms", "--alarm-types", "MetricAlarm", "CompositeAlarm")
        (alarm,), (site,) = shown["MetricAlarms"], shown["CompositeAlarms"]
        assert (alarm["StateValue"], site["StateValue"]) == ("ALARM", "ALARM")
        changed = alarm["StateTransitionedTimestamp"]
        assert changed < published + 10 + LATE_SECONDS
        assert changed % 10 < LATE_SECONDS
        history = await aws(cloud, "describe-alarm-history", "--alarm-name", "payments")
        assert f"Successfully executed action {topic}" in [
            item["HistorySummary"] for item in history["AlarmHistoryItems"]
        ]


async def test_alarms_metrics_and_history_survive_a_restart(home: Home) -> None:
    start = time.time()
    async with running_cloud(home, [CloudWatch]) as cloud:
        cloudwatch = client(cloud, "cloudwatch")
        await call(cloudwatch.put_metric_data, Namespace="App", MetricData=[{"MetricName": "x", "Value": 3}])
        await call(
            cloudwatch.put_metric_alarm,
            AlarmName="beat",
            Namespace="App",
            MetricName="beat",
            Statistic="Sum",
            Period=10,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="breaching",
        )
        await call(cloudwatch.set_alarm_state, AlarmName="beat", StateValue="OK", StateReason="it beats")
    async with running_cloud(home, [CloudWatch]) as cloud:
        began = time.time()
        cloudwatch = client(cloud, "cloudwatch")
        (alarm,) = (await call(cloudwatch.describe_alarms))["MetricAlarms"]
        assert (alarm["StateValue"], alarm["StateReason"]) == ("OK", "it beats")
        answer = await call(
            cloudwatch.get_metric_statistics,
            Namespace="App",
            MetricName="x",
            StartTime=start - 60,
            EndTime=time.time() + 60,
            Period=60,
            Statistics=["Sum"],
        )
        assert [point["Sum"] for point in answer["Datapoints"]] == [3]
        items = (await call(cloudwatch.describe_alarm_history))["AlarmHistoryItems"]
        assert [item["HistoryItemType"] for item in items] == ["StateUpdate", "ConfigurationUpdate"]
        # Two rounds: the dock was not there when the metric would have come, and that alone fires nothing.
        while time.time() < began + 12:
            assert cloud.service(CloudWatch).book.state_of(SCOPE, "beat") == "OK"
            await asyncio.sleep(0.5)
