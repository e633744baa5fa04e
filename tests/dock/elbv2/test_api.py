"""The API of load balancers as boto3 shows it: what is described, and what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.dock.conftest import call
from tests.dock.elbv2.conftest import Dock, eventually, forward

pytestmark = [pytest.mark.dock, pytest.mark.asyncio(loop_scope="module")]


async def refused(code: str, method: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        await call(method, **parameters)
    assert caught.value.response["Error"]["Code"] == code
    return str(caught.value.response["Error"]["Message"])


async def test_a_load_balancer_is_described_as_it_was_made(dock: Dock) -> None:
    made = (
        await call(
            dock.elb.create_load_balancer,
            Name="web",
            Subnets=dock.subnets,
            Scheme="internal",
            Tags=[{"Key": "team", "Value": "chat"}],
        )
    )["LoadBalancers"][0]
    assert made["State"]["Code"] == "provisioning"
    arn = made["LoadBalancerArn"]

    async def state() -> str:
        found = await call(dock.elb.describe_load_balancers, Names=["web"])
        return str(found["LoadBalancers"][0]["State"]["Code"])

    await eventually(state, "active", 5)
    found = (await call(dock.elb.describe_load_balancers, LoadBalancerArns=[arn]))["LoadBalancers"][0]
    assert found["Type"], found["Scheme"] == ("application", "internal")
    assert found["DNSName"].startswith(f"127.{dock.cloud.addresses.octet}.1.")
    assert [zone["SubnetId"] for zone in found["AvailabilityZones"]] == dock.subnets
    assert found["VpcId"] == dock.vpc
    assert len(found["SecurityGroups"]) == 1
    again = await call(dock.elb.create_load_balancer, Name="web", Subnets=dock.subnets, Scheme="internal")
    assert again["LoadBalancers"][0]["LoadBalancerArn"] == arn
    await refused("DuplicateLoadBalancerName", dock.elb.create_load_balancer, Name="web", Subnets=dock.subnets)
    await call(dock.elb.add_tags, ResourceArns=[arn], Tags=[{"Key": "stage", "Value": "local"}])
    await call(dock.elb.remove_tags, ResourceArns=[arn], TagKeys=["team"])
    tags = await call(dock.elb.describe_tags, ResourceArns=[arn])
    assert tags["TagDescriptions"] == [{"ResourceArn": arn, "Tags": [{"Key": "stage", "Value": "local"}]}]

    protection = {"Key": "deletion_protection.enabled", "Value": "true"}
    await call(dock.elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=[protection])
    await refused("OperationNotPermitted", dock.elb.delete_load_balancer, LoadBalancerArn=arn)
    await call(
        dock.elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=[{**protection, "Value": "false"}]
    )
    group = await dock.target_group()
    listener = await call(
        dock.elb.create_listener, LoadBalancerArn=arn, Protocol="HTTP", Port=8080, DefaultActions=[forward(group)]
    )
    await call(dock.elb.delete_load_balancer, LoadBalancerArn=arn)
    await refused("LoadBalancerNotFound", dock.elb.describe_load_balancers, LoadBalancerArns=[arn])
    listener_arn = listener["Listeners"][0]["ListenerArn"]
    await refused("ListenerNotFound", dock.elb.describe_listeners, ListenerArns=[listener_arn])
    await call(dock.elb.delete_target_group, TargetGroupArn=group)
    await call(dock.elb.delete_load_balancer, LoadBalancerArn=arn)


async def test_attributes_are_checked_and_shown_with_their_defaults(dock: Dock) -> None:
    balancer, group = await dock.load_balancer(), await dock.target_group()
    found = (await call(dock.elb.describe_load_balancer_attributes, LoadBalancerArn=balancer.arn))["Attributes"]
    assert {"Key": "idle_timeout.timeout_seconds", "Value": "60"} in found
    modify, arn = dock.elb.modify_load_balancer_attributes, balancer.arn
    attributes = [{"Key": "idle_timeout.seconds", "Value": "3"}]
    assert "idle_timeout.seconds" in await refused(
        "ValidationError", modify, LoadBalancerArn=arn, Attributes=attributes
    )
    attributes = [{"Key": "idle_timeout.timeout_seconds", "Value": "0"}]
    await refused("InvalidConfigurationRequest", modify, LoadBalancerArn=arn, Attributes=attributes)
    modify = dock.elb.modify_target_group_attributes
    attributes = [{"Key": "stickiness.type", "Value": "app_cookie"}]
    await refused("InvalidConfigurationRequest", modify, TargetGroupArn=group, Attributes=attributes)
    attributes = [{"Key": "slow_start.duration_seconds", "Value": "30"}]
    await call(modify, TargetGroupArn=group, Attributes=attributes)
    found = (await call(dock.elb.describe_target_group_attributes, TargetGroupArn=group))["Attributes"]
    assert attributes[0] in found
    assert {"Key": "deregistration_delay.timeout_seconds", "Value": "300"} in found


async def test_target_groups_are_of_a_kind_that_the_dock_has(dock: Dock) -> None:
    create = dock.elb.create_target_group
    good: dict[str, Any] = {"Name": "kind", "Protocol": "HTTP", "Port": 80, "VpcId": dock.vpc, "TargetType": "ip"}
    message = await refused("InvalidConfigurationRequest", create, **{**good, "TargetType": "instance"})
    assert "TargetType ip only" in message
    await refused("UnsupportedProtocol", create, **{**good, "Protocol": "TCP"})
    await refused("UnsupportedProtocol", create, **good, ProtocolVersion="GRPC")
    await refused("ValidationError", create, **good, HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=5)
    await refused("InvalidConfigurationRequest", create, **good, Matcher={"HttpCode": "200-x"})
    arn = (await call(create, **good))["TargetGroups"][0]["TargetGroupArn"]
    assert (await call(create, **good))["TargetGroups"][0]["TargetGroupArn"] == arn
    await refused("DuplicateTargetGroupName", create, **{**good, "Port": 81})
    changed = await call(
        dock.elb.modify_target_group, TargetGroupArn=arn, HealthCheckPath="/x", Matcher={"HttpCode": "202"}
    )
    assert changed["TargetGroups"][0]["HealthCheckPath"] == "/x"
    assert changed["TargetGroups"][0]["HealthyThresholdCount"] == 5
    await refused(
        "InvalidTarget", dock.elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": "10.0.0.1", "Port": 80}]
    )
    await refused("TargetGroupNotFound", dock.elb.describe_target_groups, TargetGroupArns=[arn + "0"])


async def test_listeners_and_rules_are_checked(dock: Dock) -> None:
    balancer, other = await dock.load_balancer(), await dock.load_balancer()
    group = await dock.target_group()
    listener = await dock.listener(balancer, 8080, group)
    assert await dock.listener(balancer, 8080, group) == listener
    create = dock.elb.create_listener
    good: dict[str, Any] = {
        "LoadBalancerArn": balancer.arn,
        "Protocol": "HTTP",
        "Port": 8081,
        "DefaultActions": [forward(group)],
    }
    await refused("DuplicateListener", create, **{**good, "Port": 8080, "DefaultActions": [forward((group, 5))]})
    await refused("UnsupportedProtocol", create, **{**good, "Protocol": "TLS"})
    await refused("CertificateNotFound", create, **{**good, "Protocol": "HTTPS"})
    await refused("TargetGroupAssociationLimit", create, **{**good, "LoadBalancerArn": other.arn})
    await refused("TargetGroupNotFound", create, **{**good, "DefaultActions": [forward(group + "1")]})
    sticky = forward((group, 1), (await dock.target_group(), 1))
    sticky["ForwardConfig"]["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": 60}
    message = await refused("InvalidLoadBalancerAction", create, **{**good, "DefaultActions": [sticky]})
    assert "TargetGroupStickinessConfig" in message
    loop = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}
    await refused("InvalidLoadBalancerAction", create, **{**good, "DefaultActions": [loop]})
    await refused("ResourceInUse", dock.elb.delete_target_group, TargetGroupArn=group)

    rule: dict[str, Any] = {
        "ListenerArn": listener,
        "Priority": 1,
        "Conditions": [{"Field": "path-pattern", "Values": ["/a"]}],
        "Actions": [forward(group)],
    }
    made = (await call(dock.elb.create_rule, **rule))["Rules"][0]
    await refused("PriorityInUse", dock.elb.create_rule, **rule)
    regex = [{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["a.*"]}}]
    await refused("InvalidConfigurationRequest", dock.elb.create_rule, **{**rule, "Priority": 2, "Conditions": regex})
    bad = [{"Field": "path-pattern", "Values": ["/a b"]}]
    await refused("ValidationError", dock.elb.create_rule, **{**rule, "Priority": 2, "Conditions": bad})
    default = (await call(dock.elb.describe_rules, ListenerArn=listener))["Rules"][-1]
    assert default["IsDefault"]
    await refused("OperationNotPermitted", dock.elb.delete_rule, RuleArn=default["RuleArn"])
    assert (await call(dock.elb.describe_rules, RuleArns=[default["RuleArn"]]))["Rules"] == [default]
    await call(dock.elb.delete_rule, RuleArn=made["RuleArn"])
    await refused("RuleNotFound", dock.elb.describe_rules, RuleArns=[made["RuleArn"]])


async def test_a_network_that_does_not_exist_is_refused(dock: Dock) -> None:
    create = dock.elb.create_load_balancer
    await refused("ValidationError", create, Name="one-subnet", Subnets=dock.subnets[:1])
    await refused("SubnetNotFound", create, Name="no-subnet", Subnets=["subnet-1", "subnet-2"])
    await refused("InvalidSecurityGroup", create, Name="no-group", Subnets=dock.subnets, SecurityGroups=["sg-1"])
    await refused("InvalidConfigurationRequest", create, Name="nlb", Subnets=dock.subnets, Type="network")
    await refused("ValidationError", create, Name="-x-", Subnets=dock.subnets)


async def test_lists_come_in_pages(dock: Dock) -> None:
    arns = {await dock.target_group() for _ in range(3)}
    pages = await asyncio.to_thread(
        lambda: list(dock.elb.get_paginator("describe_target_groups").paginate(PaginationConfig={"PageSize": 1}))
    )
    assert arns <= {group["TargetGroupArn"] for page in pages for group in page["TargetGroups"]}
    assert len(pages) > 2
