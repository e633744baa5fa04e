"""The data about actions and resources: complete for what the dock serves, and true for a few that are known."""

from __future__ import annotations

from typing import Any

import pytest

from dock.authorization import reference, targets
from dock.emulator import EMULATED_SERVICES
from dock.services import SERVICES

ACCOUNT = "000000000001"


def test_every_operation_that_the_dock_serves_is_known() -> None:
    for service in SERVICES:
        known = reference.of(service.name)
        assert known is not None, f"{service.name} is missing in targets.yaml"
        missing = {name for name in service.operations() if not known.actions_of(name)}
        assert not missing, service.name


def test_every_emulated_service_is_known() -> None:
    for name in EMULATED_SERVICES:
        assert reference.of(name) is not None, f"{name} is missing in targets.yaml"


def test_what_targets_name_is_in_the_reference() -> None:
    for prefix in reference.prefixes():
        known = reference.load(prefix)
        for operation, actions in known.operations.items():
            assert set(actions) <= set(known.actions), f"{prefix} {operation}"
        described = reference._targets()[prefix].get("resources", {})
        assert set(described) <= set(known.resources), prefix
        if known.tagging is not None and "{}" not in known.tagging:
            assert known.tagging in known.actions, prefix


ARN = f"arn:aws:{{}}:us-east-1:{ACCOUNT}:{{}}"
KNOWN: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("ecs", "UpdateService", {"cluster": "a", "service": "web"}, [ARN.format("ecs", "service/a/web")]),
    ("ecs", "UpdateService", {"service": ARN.format("ecs", "service/a/web")}, [ARN.format("ecs", "service/a/web")]),
    ("ecs", "DescribeServices", {"services": ["x", "y"], "cluster": ARN.format("ecs", "cluster/a")},
     [ARN.format("ecs", "service/a/x"), ARN.format("ecs", "service/a/y")]),
    ("ecs", "RegisterTaskDefinition", {"family": "web"}, [ARN.format("ecs", "task-definition/web:*")]),
    ("ecs", "RunTask", {"taskDefinition": "web:3"}, [ARN.format("ecs", "task-definition/web:3")]),
    ("ecs", "ListClusters", {}, ["*"]),
    ("rds", "DeleteDBInstance", {"DBInstanceIdentifier": "a"}, [ARN.format("rds", "db:a")]),
    ("rds", "CreateDBSnapshot", {"DBInstanceIdentifier": "a", "DBSnapshotIdentifier": "s"},
     [ARN.format("rds", "db:a"), ARN.format("rds", "snapshot:s")]),
    ("ssm", "GetParameter", {"Name": "/a/b"}, [ARN.format("ssm", "parameter/a/b")]),
    ("logs", "PutLogEvents", {"logGroupName": "/a/b", "logStreamName": "s"},
     [ARN.format("logs", "log-group:/a/b:log-stream:s")]),
    ("logs", "PutRetentionPolicy", {"logGroupName": "/a/b"}, [ARN.format("logs", "log-group:/a/b:log-stream:")]),
    ("s3", "GetObject", {"Bucket": "b", "Key": "k/l"}, ["arn:aws:s3:::b/k/l"]),
    ("s3", "DeleteObject", {"Bucket": "b", "Delete": {"Objects": [{"Key": "x"}, {"Key": "y"}]}},
     ["arn:aws:s3:::b/x", "arn:aws:s3:::b/y"]),
    ("s3", "ListBucket", {"Bucket": "b"}, ["arn:aws:s3:::b"]),
    ("sns", "Publish", {"TopicArn": ARN.format("sns", "t")}, [ARN.format("sns", "t")]),
    ("ecr", "PutImage", {"repositoryName": "a/b"}, [ARN.format("ecr", "repository/a/b")]),
    ("dynamodb", "BatchGetItem", {"RequestItems": {"t": {}}}, [ARN.format("dynamodb", "table/t")]),
    ("ec2", "CreateSubnet", {"VpcId": "vpc-1"}, [ARN.format("ec2", "vpc/vpc-1"), ARN.format("ec2", "subnet/*")]),
    ("ec2", "DeleteSecurityGroup", {"GroupId": "sg-1"}, [ARN.format("ec2", "security-group/sg-1")]),
    ("elasticloadbalancing", "CreateRule",
     {"ListenerArn": ARN.format("elasticloadbalancing", "listener/app/a/1/2")},
     [ARN.format("elasticloadbalancing", "listener/app/a/1/2")]),
    ("route53", "ChangeResourceRecordSets", {"HostedZoneId": "/hostedzone/Z1"}, ["arn:aws:route53:::hostedzone/Z1"]),
    ("iam", "CreateRole", {"RoleName": "r", "Path": "/p/"}, [f"arn:aws:iam::{ACCOUNT}:role/p/r"]),
]  # fmt: skip


@pytest.mark.parametrize(("prefix", "action", "parameters", "arns"), KNOWN)
def test_an_actions_resources_follow_from_the_parameters(
    prefix: str, action: str, parameters: dict[str, Any], arns: list[str]
) -> None:
    known = reference.load(prefix)
    found = targets.resources(known, known.actions[action], parameters, "us-east-1", ACCOUNT)
    assert sorted(found) == sorted(arns)
