"""Inputs are checked before anything is done: in a preview too, and with the dock down."""

from __future__ import annotations

from typing import Any

import pytest

from dock.providers.properties import UNKNOWN, Properties
from dock.providers.protocol import provider
from tests.providers.fakes import check, struct, urn

INSTANCE = "aws:rds/instance:Instance"
GROUP = "aws:lb/targetGroup:TargetGroup"
SUBNET = "aws:ec2/subnet:Subnet"


def configure(client: Any, **settings: Any) -> None:
    request = provider.ConfigureRequest(
        urn="urn:pulumi:production::drydock::pulumi:providers:aws::dock", args=struct(settings)
    )
    client.Configure(request, timeout=10)


def test_a_misspelt_property_is_named_with_the_one_that_was_meant(client: Any) -> None:
    _, failures = check(client, SUBNET, {"vpcId": "vpc-1", "cidrBlok": "10.0.0.0/24"})
    assert failures == {"cidrBlok": "there is no property 'cidrBlok': did you mean 'cidrBlock'?"}


def test_a_misspelt_property_inside_an_object_is_named_by_its_path(client: Any) -> None:
    _, failures = check(client, GROUP, {"healthCheck": {"pathh": "/"}})
    assert list(failures) == ["healthCheck.pathh"]


def test_everything_that_is_wrong_is_said_at_once(client: Any) -> None:
    _, failures = check(client, SUBNET, {"cidrBlok": "10.0.0.0/24", "mapPublicIpOnLaunch": "yes"})
    assert set(failures) == {"cidrBlok", "mapPublicIpOnLaunch", "vpcId"}
    assert failures["vpcId"] == "this property is required and missing"
    assert failures["mapPublicIpOnLaunch"] == "must be a boolean, not a string"


def test_a_wrong_type_in_a_list_is_named_by_its_index(client: Any) -> None:
    _, failures = check(client, "aws:rds/subnetGroup:SubnetGroup", {"subnetIds": ["subnet-1", 2]})
    assert failures == {"subnetIds[1]": "must be a string, not an integer"}


def test_a_value_outside_of_an_enumeration_is_refused(client: Any) -> None:
    _, failures = check(client, GROUP, {"targetType": "ipp", "protocol": "HTTP"})
    assert failures == {"targetType": "must be one of instance, ip, lambda, alb (did you mean 'ip'?)"}


def test_a_property_that_the_dock_does_not_emulate_is_refused_rather_than_ignored(client: Any) -> None:
    _, failures = check(client, SUBNET, {"vpcId": "vpc-1", "outpostArn": "arn:aws:outposts:::o"})
    assert "does not emulate" in failures["outpostArn"]


def test_a_type_without_a_declaration_is_refused_by_name(client: Any) -> None:
    with pytest.raises(Exception, match="the dock does not emulate aws:redshift/cluster:Cluster"):
        check(client, "aws:redshift/cluster:Cluster", {})


@pytest.mark.parametrize(
    ("token", "inputs", "name"),
    [
        (INSTANCE, {"instanceClass": "db.t4g.micro", "engine": "mysql"}, "engine"),
        (
            INSTANCE,
            {"instanceClass": "db.t4g.micro", "engine": "postgres", "backupRetentionPeriod": 36},
            "backupRetentionPeriod",
        ),
        ("aws:kms/key:Key", {"deletionWindowInDays": 3}, "deletionWindowInDays"),
        ("aws:kms/alias:Alias", {"name": "web", "targetKeyId": "k"}, "name"),
        ("aws:secretsmanager/secret:Secret", {"recoveryWindowInDays": 5}, "recoveryWindowInDays"),
        ("aws:ssm/parameter:Parameter", {"type": "String"}, "value"),
        ("aws:ssm/parameter:Parameter", {"type": "SecureString", "insecureValue": "x"}, "insecureValue"),
        ("aws:ec2/route:Route", {"routeTableId": "rtb-1"}, "destinationCidrBlock"),
        (GROUP, {"name": "a-name-that-is-longer-than-32-letters"}, "name"),
        (
            "aws:elasticache/replicationGroup:ReplicationGroup",
            {"description": "d", "automaticFailoverEnabled": True, "numCacheClusters": 1},
            "automaticFailoverEnabled",
        ),
    ],
)
def test_values_that_can_not_be_together_are_refused(
    client: Any, token: str, inputs: dict[str, Any], name: str
) -> None:
    _, failures = check(client, token, inputs)
    assert list(failures) == [name]


def test_what_is_not_known_yet_fits_everywhere(client: Any) -> None:
    inputs = {
        "description": "d",
        "numCacheClusters": UNKNOWN,
        "automaticFailoverEnabled": True,
        "securityGroupIds": UNKNOWN,
    }
    _, failures = check(client, "aws:elasticache/replicationGroup:ReplicationGroup", inputs)
    assert failures == {}


def test_a_wrong_value_is_not_shown_because_it_may_be_a_secret(client: Any) -> None:
    _, failures = check(client, "aws:ssm/parameter:Parameter", {"type": "canary-7f3a", "value": "x"})
    assert "canary-7f3a" not in str(failures)


def test_defaults_and_the_providers_region_and_tags_are_filled_in(client: Any) -> None:
    configure(client, region="us-west-2", defaultTags='{"tags": {"team": "a", "name": "default"}}')
    inputs, _ = check(client, "aws:kms/key:Key", {"tags": {"name": "own"}})
    assert inputs["region"] == "us-west-2"
    assert inputs["keyUsage"] == "ENCRYPT_DECRYPT"
    assert inputs["tags"] == {"name": "own"}
    assert inputs["tagsAll"] == {"name": "own", "team": "a"}
    assert {"region", "keyUsage"} <= set(inputs["__defaults"])


def test_a_resources_own_region_wins(client: Any) -> None:
    configure(client, region="us-west-2")
    inputs, _ = check(client, "aws:kms/key:Key", {"region": "us-east-1"})
    assert inputs["region"] == "us-east-1"


def test_a_resource_without_a_name_gets_one_that_stays(client: Any) -> None:
    first, _ = check(client, GROUP, {"protocol": "HTTP"})
    again, _ = check(client, GROUP, {"protocol": "HTTP"}, olds=first)
    assert first["name"].startswith("it-")
    assert len(first["name"]) == len("it-") + 7
    assert again["name"] == first["name"]


def test_a_made_up_name_is_the_same_in_the_preview_and_in_its_update(client: Any) -> None:
    preview, _ = check(client, GROUP, {})
    update, _ = check(client, GROUP, {})
    assert preview["name"] == update["name"]


def test_a_made_up_name_fits_the_services_limit(client: Any) -> None:
    news = struct({})
    request = provider.CheckRequest(urn=urn(GROUP, "a" * 60), news=news, olds=struct({}), randomSeed=b"s")
    assert len(Properties.of(client.Check(request, timeout=10).inputs).values["name"]) == 32


def test_a_secret_input_is_still_secret_when_it_was_checked(client: Any) -> None:
    news = struct({"type": "SecureString", "value": "hidden"}, {"value"})
    answer = client.Check(
        provider.CheckRequest(urn=urn("aws:ssm/parameter:Parameter"), news=news, olds=struct({})), timeout=10
    )
    assert Properties.of(answer.inputs).secret == {"value"}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"regionn": "us-east-1"}, "regionn"),
        ({"allowedAccountIds": '"000000000001"'}, "allowedAccountIds"),
        ({"httpProxy": "http://proxy:3128"}, "httpProxy"),
    ],
)
def test_a_wrong_provider_configuration_is_named(client: Any, settings: dict[str, Any], name: str) -> None:
    request = provider.CheckRequest(urn="urn:pulumi:test::drydock::pulumi:providers:aws::dock", news=struct(settings))
    answer = client.CheckConfig(request, timeout=10)
    assert [failure.property for failure in answer.failures] == [name]


def test_the_configuration_that_the_sdk_sends_is_accepted(client: Any) -> None:
    settings = {
        "region": "us-east-1",
        "allowedAccountIds": '["000000000001"]',
        "defaultTags": '{"tags": {"a": "b"}}',
        "endpoints": '[{"s3": "http://127.0.0.1:1"}]',
        "skipCredentialsValidation": "true",
        "skipRegionValidation": "true",
        "version": "7.51.1",
    }
    request = provider.CheckRequest(urn="urn:pulumi:test::drydock::pulumi:providers:aws::dock", news=struct(settings))
    assert not client.CheckConfig(request, timeout=10).failures
