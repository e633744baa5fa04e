"""API faults as users meet them: through boto3, on services that the dock answers and on the emulator's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from dock.aws.ecr import Ecr
from dock.aws.logs import Logs
from dock.calls import read
from dock.cloud import ACCOUNTS, Cloud
from dock.faults.model import FaultError
from dock.home import Home
from tests.dock.conftest import call, running_cloud

pytestmark = pytest.mark.dock


@pytest.fixture
async def cloud(home: Home) -> AsyncIterator[Cloud]:
    async with running_cloud(home, [Logs, Ecr]) as running:
        yield running


def user(
    cloud: Cloud, service: str, *, attempts: int = 1, region: str = "us-east-1", account: str = ACCOUNTS[0]
) -> Any:
    """A client as a user has it; `cloud.client` is the dock's own, whom no fault hits."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=cloud.url,
        region_name=region,
        aws_access_key_id=account,
        aws_secret_access_key="dock",
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, connect_timeout=5, read_timeout=10),
    )


async def error(method: Any, **parameters: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as refused:
        await call(method, **parameters)
    response = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


async def test_each_service_throttles_in_its_own_words_and_its_sdk_tries_again(cloud: Cloud) -> None:
    asked = [
        ("logs", "describe_log_groups", ("ThrottlingException", 400)),
        ("ecr", "describe_repositories", ("ThrottlingException", 400)),
        ("ec2", "describe_vpcs", ("RequestLimitExceeded", 503)),
        ("s3", "list_buckets", ("SlowDown", 503)),
        ("iam", "list_roles", ("Throttling", 400)),
        ("sqs", "list_queues", ("RequestThrottled", 400)),
        ("ssm", "describe_parameters", ("ThrottlingException", 400)),
    ]
    fault = await cloud.faults.add({"kind": "api-throttled"})
    for service, method, expected in asked:
        assert await error(getattr(user(cloud, service), method)) == expected, service
    await cloud.faults.clear(fault["id"])
    for service, method, _ in asked:
        await call(getattr(user(cloud, service), method))
    await cloud.faults.add({"kind": "api-throttled", "service": "s3", "calls": 1})
    answer = await call(user(cloud, "s3", attempts=3).list_buckets)
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
    assert cloud.faults.shown() == [] or cloud.faults.shown()[0]["calls"] == 0


async def test_a_lost_answer_is_lost_after_the_act_and_the_record_of_calls_proves_it(cloud: Cloud) -> None:
    dynamodb, logs = user(cloud, "dynamodb"), user(cloud, "logs", attempts=2)
    await call(
        dynamodb.create_table,
        TableName="journal",
        KeySchema=[{"AttributeName": "run", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "run", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    await cloud.faults.add({"kind": "api-lost", "service": "dynamodb", "operation": "PutItem", "calls": 1})
    item = {"run": {"S": "1"}}
    with pytest.raises(ConnectionClosedError):
        await call(dynamodb.put_item, TableName="journal", Item=item)
    assert (await call(dynamodb.get_item, TableName="journal", Key=item))["Item"] == item

    await cloud.faults.add(
        {"kind": "api-lost", "service": "logs", "operation": "CreateLogGroup", "calls": 1, "status": 503}
    )
    # The SDK tries again, and the group is there already: the very trap that a runbook must not fall into.
    assert (await error(logs.create_log_group, logGroupName="/a"))[0] == "ResourceAlreadyExistsException"
    kept = [entry for entry in read(cloud.home.logs) if entry["operation"] in ("PutItem", "CreateLogGroup")]
    assert [(entry["operation"], entry["acted"], entry["error"]) for entry in kept] == [
        ("PutItem", True, "no answer"),
        ("CreateLogGroup", True, "ServiceUnavailable"),
        ("CreateLogGroup", False, "ResourceAlreadyExistsException"),
    ]
    assert kept[1]["digest"] == kept[2]["digest"] != kept[0]["digest"]
    assert kept[1]["about"] == {"logGroupName": "/a"}


async def test_a_named_error_and_a_slow_call(cloud: Cloud) -> None:
    await cloud.faults.add(
        {"kind": "api-failing", "service": "ecr", "operation": "DescribeImages", "error": "RepositoryNotFoundException"}
    )
    await cloud.faults.add({"kind": "api-failing", "service": "s3", "status": 500})
    await cloud.faults.add({"kind": "api-slow", "service": "sqs", "latency": 0.4})
    ecr = user(cloud, "ecr")
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        await call(ecr.describe_images, repositoryName="web")
    assert await error(user(cloud, "s3").list_buckets) == ("InternalError", 500)
    began = time.monotonic()
    await call(user(cloud, "sqs").list_queues)
    assert 0.4 <= time.monotonic() - began < 2


async def test_a_region_that_is_down_answers_nobody_and_the_other_region_goes_on(cloud: Cloud) -> None:
    await cloud.faults.add({"kind": "region-down", "region": "us-east-1"})
    for service, method in (("logs", "describe_log_groups"), ("ssm", "describe_parameters"), ("iam", "list_roles")):
        with pytest.raises(ConnectionClosedError):
            await call(getattr(user(cloud, service), method))
    for service, method in (("logs", "describe_log_groups"), ("ssm", "describe_parameters")):
        await call(getattr(user(cloud, service, region="us-west-2"), method))
    await cloud.faults.clear(None)
    await call(user(cloud, "logs").describe_log_groups)


async def test_an_account_that_is_denied_is_told_so_in_every_protocol(cloud: Cloud) -> None:
    await cloud.faults.add({"kind": "account-denied", "account": ACCOUNTS[1]})
    assert await error(user(cloud, "logs", account=ACCOUNTS[1]).describe_log_groups) == ("AccessDeniedException", 400)
    assert await error(user(cloud, "ec2", account=ACCOUNTS[1]).describe_vpcs) == ("UnauthorizedOperation", 403)
    assert await error(user(cloud, "s3", account=ACCOUNTS[1]).list_buckets) == ("AccessDenied", 403)
    await call(user(cloud, "logs").describe_log_groups)


async def test_the_docks_own_calls_meet_no_fault_and_are_not_on_record(cloud: Cloud) -> None:
    await cloud.faults.add({"kind": "api-failing"})
    await call(cloud.client("ec2", ACCOUNTS[0], "us-east-1").describe_subnets)
    assert [entry for entry in read(cloud.home.logs) if entry["operation"] == "DescribeSubnets"] == []


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"kind": "api-lost", "service": "ecz"}, "botocore has no service 'ecz'"),
        ({"kind": "api-lost", "service": "ecr", "operation": "PutImages"}, "do you mean PutImage"),
        ({"kind": "api-lost", "region": "eu-west-1"}, "the dock has no region 'eu-west-1'"),
        ({"kind": "account-denied", "account": "7"}, "the dock has no account '7'"),
        ({"kind": "zone-down", "zone": "mars-1a"}, "the dock has no region 'mars-1'"),
        ({"kind": "engine-down", "target": "no-such-database"}, "nothing here is called 'no-such-database'"),
        ({"kind": "network-slow", "target": "emulator", "latency": 1}, "a emulator has no endpoint of its own"),
    ],
)
async def test_a_fault_that_would_never_hit_anybody_is_refused(cloud: Cloud, document: Any, complaint: str) -> None:
    with pytest.raises(FaultError) as refused:
        await cloud.faults.add(document)
    assert complaint in str(refused.value)
    assert cloud.faults.shown() == []


async def test_the_emulator_stays_down_for_as_long_as_its_fault_is_on_and_comes_back_by_itself(cloud: Cloud) -> None:
    before = cloud.emulator.pid
    await cloud.faults.add({"kind": "engine-down", "target": "emulator", "seconds": 2})
    assert await error(user(cloud, "ssm").describe_parameters) == ("ServiceUnavailable", 503)
    await call(user(cloud, "logs").describe_log_groups)
    async with asyncio.timeout(20):
        while cloud.faults.shown() or cloud.emulator.pid is None:
            await asyncio.sleep(0.05)
    assert cloud.emulator.pid not in (None, before)
    await cloud.emulator.ready()
    await call(user(cloud, "ssm").describe_parameters)
