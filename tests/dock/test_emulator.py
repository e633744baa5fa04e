"""The contract with the emulator's package: what it acknowledged survives SIGKILL, no secret lies in clear text."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dock.cloud import Cloud
from dock.home import Home
from tests.dock.conftest import call, running_cloud

pytestmark = pytest.mark.dock

CANARY = "canary-9f2c51d7"


@pytest.fixture
async def cloud(home: Home) -> AsyncIterator[Cloud]:
    async with running_cloud(home, []) as running:
        yield running


async def kill_emulator(cloud: Cloud) -> None:
    before = cloud.emulator.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    async with asyncio.timeout(30):
        while cloud.emulator.pid in (before, None):
            await asyncio.sleep(0.02)
        await cloud.emulator.ready()


async def test_acknowledged_writes_of_every_durable_service_survive_sigkill(
    cloud: Cloud, account: str, region: str
) -> None:
    def client(service: str) -> Any:
        return cloud.client(service, account, region)

    ssm, secrets, s3, dynamodb = (client(name) for name in ("ssm", "secretsmanager", "s3", "dynamodb"))
    await call(ssm.put_parameter, Name="/drydock/test", Value="one", Type="String")
    await call(secrets.create_secret, Name="test", SecretString=CANARY)
    await call(s3.create_bucket, Bucket="evidence")
    await call(s3.put_object, Bucket="evidence", Key="run/1 é.json", Body=b"{}" * 5000)
    await call(
        dynamodb.create_table,
        TableName="journal",
        KeySchema=[{"AttributeName": "run", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "run", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    await asyncio.gather(
        *(call(dynamodb.put_item, TableName="journal", Item={"run": {"S": str(n)}}) for n in range(20))
    )
    vpc = (await call(client("ec2").create_vpc, CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    key = (await call(client("kms").create_key))["KeyMetadata"]["KeyId"]
    sealed = (await call(client("kms").encrypt, KeyId=key, Plaintext=b"text"))["CiphertextBlob"]

    await kill_emulator(cloud)

    assert (await call(ssm.get_parameter, Name="/drydock/test"))["Parameter"]["Value"] == "one"
    assert (await call(secrets.get_secret_value, SecretId="test"))["SecretString"] == CANARY
    kept = await call(s3.get_object, Bucket="evidence", Key="run/1 é.json")
    assert await asyncio.to_thread(kept["Body"].read) == b"{}" * 5000
    assert (await call(dynamodb.scan, TableName="journal"))["Count"] == 20
    assert vpc in {found["VpcId"] for found in (await call(client("ec2").describe_vpcs))["Vpcs"]}
    assert (await call(client("kms").decrypt, CiphertextBlob=sealed))["Plaintext"] == b"text"


async def test_no_secret_lies_in_the_home_in_clear_text(cloud: Cloud, account: str, region: str) -> None:
    secrets = cloud.client("secretsmanager", account, region)
    await call(secrets.create_secret, Name="test", SecretString=CANARY)
    await call(cloud.client("ssm", account, region).put_parameter, Name="/x", Value=CANARY, Type="SecureString")
    files = [path for path in cloud.home.root.rglob("*") if path.is_file()]
    assert any("secretsmanager" in path.name for path in files)
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


async def test_two_accounts_and_two_regions_are_apart(cloud: Cloud) -> None:
    first = cloud.client("ssm", "000000000001", "us-east-1")
    await call(first.put_parameter, Name="/here", Value="1", Type="String")
    for account, region in (("000000000002", "us-east-1"), ("000000000001", "us-west-2")):
        elsewhere = cloud.client("ssm", account, region)
        with pytest.raises(elsewhere.exceptions.ParameterNotFound):
            await call(elsewhere.get_parameter, Name="/here")


async def test_a_write_that_cannot_be_stored_is_not_acknowledged(
    cloud: Cloud, account: str, region: str, tmp_path: Path
) -> None:
    ssm = cloud.client("ssm", account, region)
    await call(ssm.put_parameter, Name="/before", Value="1", Type="String")
    # A folder in the place of the file that is to be written: as unwritable as a full disk, for root as well.
    blocker = cloud.home.data("emulator") / "ssm.new"
    blocker.mkdir()
    with pytest.raises(ssm.exceptions.ClientError, match="could not store the change to ssm"):
        await call(ssm.put_parameter, Name="/after", Value="1", Type="String")
    blocker.rmdir()
    await call(ssm.put_parameter, Name="/after", Value="2", Type="String", Overwrite=True)


async def test_a_service_that_nobody_serves_is_refused_by_name(cloud: Cloud, account: str, region: str) -> None:
    lambda_client = cloud.client("lambda", account, region)
    with pytest.raises(lambda_client.exceptions.ClientError, match="no service 'lambda'"):
        await call(lambda_client.list_functions)


async def test_items_survive_sigkill_one_by_one_in_the_order_of_their_writes(
    cloud: Cloud, account: str, region: str
) -> None:
    dynamodb = cloud.client("dynamodb", account, region)
    await call(
        dynamodb.create_table,
        TableName="leases",
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def add(number: int) -> Any:
        return call(
            dynamodb.update_item,
            TableName="leases",
            Key={"name": {"S": "counter"}},
            UpdateExpression="ADD #n :one SET #last = :number",
            ExpressionAttributeNames={"#n": "n", "#last": "last"},
            ExpressionAttributeValues={":one": {"N": "1"}, ":number": {"N": str(number)}},
        )

    for number in range(30):
        await add(number)
    # A table that is made in between has everything saved at once; what follows is in a new log.
    await call(
        dynamodb.create_table,
        TableName="between",
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    await asyncio.gather(*(add(number) for number in range(30, 60)))
    await call(
        dynamodb.transact_write_items,
        TransactItems=[{"Put": {"TableName": "between", "Item": {"name": {"S": CANARY}}}}],
    )
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        await call(
            dynamodb.put_item,
            TableName="between",
            Item={"name": {"S": CANARY}, "again": {"BOOL": True}},
            ConditionExpression="attribute_not_exists(#name)",
            ExpressionAttributeNames={"#name": "name"},
        )
    for _ in range(2):
        await kill_emulator(cloud)
        item = (await call(dynamodb.get_item, TableName="leases", Key={"name": {"S": "counter"}}))["Item"]
        assert item["n"] == {"N": "60"}, "no write is lost, and none is carried out twice"
        assert (await call(dynamodb.get_item, TableName="between", Key={"name": {"S": CANARY}}))["Item"] == {
            "name": {"S": CANARY}
        }
    kept = b"".join(path.read_bytes() for path in (cloud.home.root / "emulator").glob("dynamodb.*"))
    assert CANARY.encode() not in kept


async def test_a_write_that_was_cut_off_by_the_kill_is_left_out_and_no_more(
    cloud: Cloud, account: str, region: str
) -> None:
    dynamodb = cloud.client("dynamodb", account, region)
    await call(
        dynamodb.create_table,
        TableName="cut",
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    await call(dynamodb.put_item, TableName="cut", Item={"name": {"S": "one"}})
    (log,) = (cloud.home.root / "emulator").glob("dynamodb.*.log")
    with log.open("ab") as file:
        file.write(b"half a li")
    await kill_emulator(cloud)
    await call(dynamodb.put_item, TableName="cut", Item={"name": {"S": "two"}})
    await kill_emulator(cloud)
    items = (await call(dynamodb.scan, TableName="cut"))["Items"]
    assert sorted(item["name"]["S"] for item in items) == ["one", "two"]
