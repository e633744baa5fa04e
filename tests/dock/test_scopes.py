"""Two accounts and two regions: nobody sees, finds or changes what is in another, in any service of the dock."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.home import Home
from dock.services import SERVICES
from tests.dock.conftest import call, running_cloud

pytestmark = pytest.mark.dock

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


@dataclass(frozen=True)
class Thing:
    """Something that a service keeps: how it is made, how all are listed, and how one is asked for by its name."""

    make: str
    parameters: dict[str, Any]
    listing: str
    asking: tuple[str, dict[str, Any]] | None = None
    everywhere: bool = False
    """Whether it is the account's in every region, as on AWS."""


THINGS: dict[str, Thing] = {
    "acm": Thing("request_certificate", {"DomainName": "zqmine.test"}, "list_certificates"),
    "backup": Thing("create_backup_vault", {"BackupVaultName": "zqmine"}, "list_backup_vaults"),
    "cloudwatch": Thing(
        "put_metric_alarm",
        {
            "AlarmName": "zqmine",
            "Namespace": "Zqmine",
            "MetricName": "zqmine",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "Statistic": "Sum",
        },
        "describe_alarms",
    ),
    "dynamodb": Thing(
        "create_table",
        {
            "TableName": "zqmine",
            "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
        "list_tables",
        ("describe_table", {"TableName": "zqmine"}),
    ),
    "ecr": Thing(
        "create_repository",
        {"repositoryName": "zqmine"},
        "describe_repositories",
        ("describe_images", {"repositoryName": "zqmine"}),
    ),
    "ecs": Thing(
        "create_cluster", {"clusterName": "zqmine"}, "list_clusters", ("list_services", {"cluster": "zqmine"})
    ),
    "elasticache": Thing(
        "create_cache_parameter_group",
        {"CacheParameterGroupName": "zqmine", "CacheParameterGroupFamily": "redis7", "Description": "zqmine"},
        "describe_cache_parameter_groups",
        ("describe_cache_parameters", {"CacheParameterGroupName": "zqmine"}),
    ),
    "elbv2": Thing(
        "create_target_group",
        {"Name": "zqmine", "Protocol": "HTTP", "Port": 80, "TargetType": "ip", "VpcId": "vpc"},
        "describe_target_groups",
        ("describe_target_groups", {"Names": ["zqmine"]}),
    ),
    "iam": Thing(
        "create_role",
        {"RoleName": "zqmine", "AssumeRolePolicyDocument": TRUST},
        "list_roles",
        ("get_role", {"RoleName": "zqmine"}),
        everywhere=True,
    ),
    "kms": Thing("create_alias", {"AliasName": "alias/zqmine", "TargetKeyId": "key"}, "list_aliases"),
    "logs": Thing(
        "create_log_group",
        {"logGroupName": "zqmine"},
        "describe_log_groups",
        ("describe_log_streams", {"logGroupName": "zqmine"}),
    ),
    "rds": Thing(
        "create_db_parameter_group",
        {"DBParameterGroupName": "zqmine", "DBParameterGroupFamily": "postgres15", "Description": "zqmine"},
        "describe_db_parameter_groups",
        ("describe_db_parameters", {"DBParameterGroupName": "zqmine"}),
    ),
    "route53": Thing(
        "create_hosted_zone", {"Name": "zqmine.test", "CallerReference": "1"}, "list_hosted_zones", everywhere=True
    ),
    "secretsmanager": Thing(
        "create_secret",
        {"Name": "zqmine", "SecretString": "canary"},
        "list_secrets",
        ("get_secret_value", {"SecretId": "zqmine"}),
    ),
    "sns": Thing("create_topic", {"Name": "zqmine"}, "list_topics"),
    "sqs": Thing("create_queue", {"QueueName": "zqmine"}, "list_queues", ("get_queue_url", {"QueueName": "zqmine"})),
    "ssm": Thing(
        "put_parameter",
        {"Name": "/zqmine", "Value": "1", "Type": "String"},
        "describe_parameters",
        ("get_parameter", {"Name": "/zqmine"}),
    ),
}
# What they keep is another service's things (scalable targets) or what was done (events), or nothing.
WITHOUT = {"application-autoscaling", "cloudtrail"}


@pytest.fixture(scope="module")
def module_home() -> Iterator[Home]:
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    yield Home(root / "home")
    shutil.rmtree(root, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(module_home: Home) -> AsyncIterator[Cloud]:
    async with running_cloud(module_home, SERVICES) as running:
        yield running


async def found(client: Any, thing: Thing) -> bool:
    answer = await call(getattr(client, thing.listing))
    answer.pop("ResponseMetadata")
    return "zqmine" in json.dumps(answer, default=str)


async def prepared(cloud: Cloud, service: str, thing: Thing) -> dict[str, Any]:
    """The parameters, with the ids of what must be there before."""
    parameters = dict(thing.parameters)
    if "VpcId" in parameters:
        ec2 = cloud.client("ec2", ACCOUNTS[0], REGIONS[0])
        parameters["VpcId"] = (await call(ec2.create_vpc, CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    if "TargetKeyId" in parameters:
        key = await call(cloud.client("kms", ACCOUNTS[0], REGIONS[0]).create_key)
        parameters["TargetKeyId"] = key["KeyMetadata"]["KeyId"]
    return parameters


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("service", sorted(THINGS))
async def test_what_is_made_in_one_account_and_region_is_there_alone(cloud: Cloud, service: str) -> None:
    thing = THINGS[service]
    home = cloud.client(service, ACCOUNTS[0], REGIONS[0])
    await call(getattr(home, thing.make), **await prepared(cloud, service, thing))
    assert await found(home, thing)
    for account, region in ((ACCOUNTS[0], REGIONS[1]), (ACCOUNTS[1], REGIONS[0]), (ACCOUNTS[1], REGIONS[1])):
        other = cloud.client(service, account, region)
        seen = thing.everywhere and account == ACCOUNTS[0]
        assert await found(other, thing) is seen, (account, region)
        if thing.asking is not None and not seen:
            method, parameters = thing.asking
            with pytest.raises(ClientError) as refused:
                await call(getattr(other, method), **parameters)
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404)


def test_every_service_of_the_dock_is_among_those_that_are_tried() -> None:
    assert {service.name for service in SERVICES} - set(THINGS) == WITHOUT


@pytest.mark.asyncio(loop_scope="module")
async def test_a_bucket_has_one_owner_in_the_whole_world(cloud: Cloud) -> None:
    mine, theirs = (cloud.client("s3", account, REGIONS[0]) for account in ACCOUNTS)
    await call(mine.create_bucket, Bucket="one-world")
    with pytest.raises((theirs.exceptions.BucketAlreadyExists, theirs.exceptions.BucketAlreadyOwnedByYou)) as refused:
        await call(theirs.create_bucket, Bucket="one-world")
    assert refused.value.response["Error"]["Code"] == "BucketAlreadyExists"
