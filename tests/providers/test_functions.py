"""The functions answer without a dock."""

from __future__ import annotations

import string
from typing import Any

import grpc
import pytest

from dock.providers.aws.functions import PUNCTUATION
from dock.providers.properties import Properties
from dock.providers.protocol import provider
from tests.providers.fakes import struct

PASSWORD = "aws:secretsmanager/getRandomPassword:getRandomPassword"


def invoke(client: Any, token: str, **arguments: Any) -> Properties:
    answer = client.Invoke(provider.InvokeRequest(tok=token, args=struct(arguments)), timeout=10)
    assert not answer.failures
    return Properties.of(getattr(answer, "return"))


def test_a_password_is_random_and_secret(client: Any) -> None:
    first, second = (invoke(client, PASSWORD) for _ in range(2))
    assert first.values["randomPassword"] != second.values["randomPassword"]
    assert first.secret == {"randomPassword"}


def test_a_password_has_every_kind_of_character_unless_told_otherwise(client: Any) -> None:
    password = invoke(client, PASSWORD, passwordLength=4).values["randomPassword"]
    for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits, PUNCTUATION):
        assert set(password) & set(kind)


def test_what_is_excluded_from_a_password_is_not_in_it(client: Any) -> None:
    arguments = {
        "passwordLength": 500,
        "excludePunctuation": True,
        "excludeUppercase": True,
        "excludeCharacters": "abc1",
    }
    password = invoke(client, PASSWORD, **arguments).values["randomPassword"]
    assert len(password) == 500
    assert set(password) <= set(string.ascii_lowercase + string.digits) - set("abc1")


@pytest.mark.parametrize("arguments", [{"passwordLength": 2}, {"passwordLength": 5000}])
def test_a_password_that_can_not_be_is_refused(client: Any, arguments: dict[str, Any]) -> None:
    answer = client.Invoke(provider.InvokeRequest(tok=PASSWORD, args=struct(arguments)), timeout=10)
    assert [failure.property for failure in answer.failures] == ["passwordLength"]


def test_zones_region_partition_and_identity_need_no_cloud(client: Any) -> None:
    client.Configure(
        provider.ConfigureRequest(args=struct({"region": "us-west-2", "allowedAccountIds": '["123456789012"]'}))
    )
    zones = invoke(client, "aws:index/getAvailabilityZones:getAvailabilityZones", state="available").values
    assert zones["names"] == ["us-west-2a", "us-west-2b", "us-west-2c"]
    assert invoke(client, "aws:index/getRegion:getRegion").values["name"] == "us-west-2"
    assert invoke(client, "aws:index/getPartition:getPartition").values["partition"] == "aws"
    assert invoke(client, "aws:index/getCallerIdentity:getCallerIdentity").values["accountId"] == "123456789012"


def test_a_region_that_the_dock_does_not_have_is_refused(client: Any) -> None:
    request = provider.InvokeRequest(tok="aws:index/getRegion:getRegion", args=struct({"name": "eu-west-1"}))
    assert "us-east-1, us-west-2" in client.Invoke(request, timeout=10).failures[0].reason


def test_another_function_is_refused_by_name(client: Any) -> None:
    with pytest.raises(grpc.RpcError, match="the dock has no function aws:ec2/getAmi:getAmi"):
        client.Invoke(provider.InvokeRequest(tok="aws:ec2/getAmi:getAmi"), timeout=10)
