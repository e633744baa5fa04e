"""Creating, changing and deleting over a scripted cloud: what is asked, and what follows a bad or late answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from dock.providers.aws.configuration import Configuration
from dock.providers.cloud import CallError
from dock.providers.declaration import declaration
from dock.providers.errors import PartlyCreated, ProviderError
from dock.providers.lifecycle import Lifecycle
from dock.providers.reading import from_import
from tests.providers.fakes import ScriptedCloud


def lifecycle(token: str, cloud: ScriptedCloud, timeout: float = 0, said: list[str] | None = None) -> Lifecycle:
    declared = declaration(token)
    assert declared is not None
    return Lifecycle(declared, cloud, (said if said is not None else []).append, threading.Event(), timeout)


def refusing(
    code: str, times: int = 10**6, then: Any = None, repeated: bool = False
) -> Callable[[dict[str, Any]], Any]:
    left = [times]

    def answer(parameters: dict[str, Any]) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise CallError("Operation", code, "refused", repeated)
        return then if then is not None else {}

    return answer


def after(times: int, first: Any, then: Any) -> Callable[[dict[str, Any]], Any]:
    seen = [0]

    def answer(parameters: dict[str, Any]) -> Any:
        seen[0] += 1
        return first if seen[0] <= times else then

    return answer


GATEWAY = {"NatGateway": {"NatGatewayId": "nat-1"}}


def gateway(state: str) -> dict[str, Any]:
    return {"NatGateways": [{"NatGatewayId": "nat-1", "SubnetId": "subnet-1", "State": state}]}


class TestCreate:
    def test_it_waits_until_the_resource_is_ready_and_says_so(self) -> None:
        cloud = ScriptedCloud(
            {"CreateNatGateway": GATEWAY, "DescribeNatGateways": after(2, gateway("pending"), gateway("available"))}
        )
        said: list[str] = []
        id, values = lifecycle("aws:ec2/natGateway:NatGateway", cloud, said=said).create(
            {"subnetId": "subnet-1", "region": "us-east-1", "tagsAll": {"a": "b"}}
        )
        assert id == "nat-1"
        assert values["subnetId"] == "subnet-1"
        assert said == ["waiting: pending"]
        (asked,) = cloud.asked("CreateNatGateway")
        assert asked["TagSpecifications"] == [{"ResourceType": "natgateway", "Tags": [{"Key": "a", "Value": "b"}]}]

    def test_a_resource_that_fails_is_kept_with_its_id(self) -> None:
        cloud = ScriptedCloud({"CreateNatGateway": GATEWAY, "DescribeNatGateways": gateway("failed")})
        with pytest.raises(PartlyCreated, match="won't leave: failed") as failure:
            lifecycle("aws:ec2/natGateway:NatGateway", cloud).create({"subnetId": "subnet-1"})
        assert failure.value.id == "nat-1"
        assert failure.value.outputs["subnetId"] == "subnet-1"

    def test_a_database_whose_creation_failed_is_removed_and_made_anew_by_the_next_run(self) -> None:
        database = {"DBInstanceIdentifier": "db", "DbiResourceId": "db-ABC", "DBInstanceStatus": "failed"}
        cloud = ScriptedCloud(
            {
                "CreateDBInstance": {"DBInstance": database},
                "DescribeDBInstances": after(1, {"DBInstances": [database]}, {"DBInstances": []}),
            }
        )
        with pytest.raises(ProviderError, match="won't leave: failed; it was removed") as failure:
            lifecycle("aws:rds/instance:Instance", cloud).create({"identifier": "db", "engine": "postgres"})
        assert not isinstance(failure.value, PartlyCreated)
        (asked,) = cloud.asked("DeleteDBInstance")
        assert asked == {"DBInstanceIdentifier": "db", "SkipFinalSnapshot": True, "DeleteAutomatedBackups": True}

    def test_a_failed_database_that_can_not_be_removed_is_kept_with_its_id(self) -> None:
        database = {"DBInstanceIdentifier": "db", "DbiResourceId": "db-ABC", "DBInstanceStatus": "failed"}
        cloud = ScriptedCloud(
            {
                "CreateDBInstance": {"DBInstance": database},
                "DescribeDBInstances": {"DBInstances": [database]},
                "DeleteDBInstance": refusing("InternalFailure"),
            }
        )
        with pytest.raises(PartlyCreated, match="won't leave: failed") as failure:
            lifecycle("aws:rds/instance:Instance", cloud).create({"identifier": "db", "engine": "postgres"})
        assert failure.value.id == "db-ABC"

    def test_a_resource_that_does_not_get_ready_in_time_is_kept_with_its_id(self) -> None:
        cloud = ScriptedCloud({"CreateNatGateway": GATEWAY, "DescribeNatGateways": gateway("pending")})
        with pytest.raises(PartlyCreated, match=r"still pending after 0 s.*pulumi up"):
            lifecycle("aws:ec2/natGateway:NatGateway", cloud, timeout=0.2).create({"subnetId": "subnet-1"})

    def test_a_failure_after_the_creation_keeps_the_resource(self) -> None:
        cloud = ScriptedCloud(
            {
                "CreateKey": {"KeyMetadata": {"KeyId": "k"}},
                "EnableKeyRotation": refusing("UnsupportedOperationException"),
                "DescribeKey": {"KeyMetadata": {"KeyId": "k", "Arn": "arn:k", "KeyState": "Enabled"}},
                "GetKeyPolicy": {"Policy": "{}"},
            }
        )
        with pytest.raises(PartlyCreated, match="UnsupportedOperationException") as failure:
            lifecycle("aws:kms/key:Key", cloud).create({"enableKeyRotation": True})
        assert failure.value.id == "k"
        assert failure.value.outputs["arn"] == "arn:k"

    def test_a_refused_creation_leaves_nothing(self) -> None:
        cloud = ScriptedCloud({"CreateVpc": refusing("VpcLimitExceeded")})
        with pytest.raises(CallError, match="VpcLimitExceeded"):
            lifecycle("aws:ec2/vpc:Vpc", cloud).create({"cidrBlock": "10.0.0.0/16"})

    def test_a_creation_whose_answer_was_lost_is_ours(self) -> None:
        instance = {
            "DBInstances": [{"DBInstanceIdentifier": "db", "DbiResourceId": "db-ABC", "DBInstanceStatus": "available"}]
        }
        cloud = ScriptedCloud(
            {"CreateDBInstance": refusing("DBInstanceAlreadyExists", repeated=True), "DescribeDBInstances": instance}
        )
        id, _ = lifecycle("aws:rds/instance:Instance", cloud).create({"identifier": "db", "engine": "postgres"})
        assert id == "db-ABC"

    def test_a_name_that_another_has_is_not_ours(self) -> None:
        cloud = ScriptedCloud({"CreateDBInstance": refusing("DBInstanceAlreadyExists")})
        with pytest.raises(CallError, match="DBInstanceAlreadyExists"):
            lifecycle("aws:rds/instance:Instance", cloud).create({"identifier": "db", "engine": "postgres"})

    @pytest.mark.parametrize(("present", "ours"), [("local", True), ("staging", False)])
    def test_what_a_killed_run_made_is_ours_when_it_carries_our_tags(self, present: str, ours: bool) -> None:
        instance = {
            "DBInstanceIdentifier": "db",
            "DbiResourceId": "db-ABC",
            "DBInstanceArn": "arn:db",
            "DBInstanceStatus": "available",
        }
        cloud = ScriptedCloud(
            {
                "CreateDBInstance": refusing("DBInstanceAlreadyExists"),
                "DescribeDBInstances": {"DBInstances": [instance]},
                "ListTagsForResource": {"TagList": [{"Key": "environment", "Value": present}]},
            }
        )
        inputs = {"identifier": "db", "engine": "postgres", "tagsAll": {"environment": "local"}}
        if ours:
            assert lifecycle("aws:rds/instance:Instance", cloud).create(inputs)[0] == "db-ABC"
        else:
            with pytest.raises(CallError, match="DBInstanceAlreadyExists"):
                lifecycle("aws:rds/instance:Instance", cloud).create(inputs)

    def test_what_is_not_given_is_not_sent(self) -> None:
        cloud = ScriptedCloud({"CreateSubnet": refusing("Stop")})
        with pytest.raises(CallError):
            lifecycle("aws:ec2/subnet:Subnet", cloud).create({"vpcId": "vpc-1", "cidrBlock": "10.0.0.0/24"})
        assert cloud.asked("CreateSubnet") == [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24"}]

    def test_a_resource_that_appears_a_moment_later_is_found(self) -> None:
        cloud = ScriptedCloud(
            {"DescribeLogGroups": after(2, {"logGroups": []}, {"logGroups": [{"logGroupName": "g", "arn": "a:*"}]})}
        )
        id, values = lifecycle("aws:cloudwatch/logGroup:LogGroup", cloud).create({"name": "g"})
        assert (id, values["arn"]) == ("g", "a")


class TestUpdate:
    ROLE: ClassVar = {"Role": {"RoleName": "r", "Arn": "arn:r", "AssumeRolePolicyDocument": {}}}

    def test_only_what_changed_is_called(self) -> None:
        cloud = ScriptedCloud({"GetRole": self.ROLE, "ListAttachedRolePolicies": {"AttachedPolicies": []}})
        before = {"name": "r", "description": "a", "assumeRolePolicy": "{}", "maxSessionDuration": 3600, "path": "/"}
        lifecycle("aws:iam/role:Role", cloud).update("r", {**before, "description": "b"}, before, before, [])
        assert [name for name, _ in cloud.calls if not name.startswith(("Get", "List"))] == ["UpdateRole"]

    def test_tags_are_added_and_removed_one_by_one(self) -> None:
        cloud = ScriptedCloud({"GetRole": self.ROLE, "ListAttachedRolePolicies": {"AttachedPolicies": []}})
        before = {"name": "r", "tagsAll": {"a": "1", "b": "1"}, "tags": {"a": "1", "b": "1"}}
        lifecycle("aws:iam/role:Role", cloud).update(
            "r", {"name": "r", "tags": {"a": "2"}, "tagsAll": {"a": "2"}}, before, before, []
        )
        assert cloud.asked("UntagRole") == [{"RoleName": "r", "TagKeys": ["b"]}]
        assert cloud.asked("TagRole") == [{"RoleName": "r", "Tags": [{"Key": "a", "Value": "2"}]}]

    def test_one_call_carries_all_that_changed(self) -> None:
        instance = {
            "DBInstances": [{"DBInstanceIdentifier": "db", "DbiResourceId": "db-ABC", "DBInstanceStatus": "available"}]
        }
        cloud = ScriptedCloud({"DescribeDBInstances": instance})
        before = {"identifier": "db", "instanceClass": "db.a", "port": 5432, "multiAz": False, "applyImmediately": True}
        wanted = {**before, "instanceClass": "db.b", "multiAz": True}
        lifecycle("aws:rds/instance:Instance", cloud).update("db-ABC", wanted, before, before, [])
        assert cloud.asked("ModifyDBInstance") == [
            {"DBInstanceIdentifier": "db", "DBInstanceClass": "db.b", "MultiAZ": True, "ApplyImmediately": True}
        ]

    def test_what_the_api_calls_otherwise_in_a_change_is_sent_under_that_name_alone(self) -> None:
        instance = {
            "DBInstances": [{"DBInstanceIdentifier": "new", "DbiResourceId": "db-ABC", "DBInstanceStatus": "available"}]
        }
        cloud = ScriptedCloud({"DescribeDBInstances": instance})
        before = {"identifier": "db", "port": 5432, "enabledCloudwatchLogsExports": ["upgrade"]}
        wanted = {"identifier": "new", "port": 5433, "enabledCloudwatchLogsExports": ["postgresql"]}
        lifecycle("aws:rds/instance:Instance", cloud).update("db-ABC", wanted, before, before, [])
        assert cloud.asked("ModifyDBInstance") == [
            {
                "DBInstanceIdentifier": "db",
                "NewDBInstanceIdentifier": "new",
                "DBPortNumber": 5433,
                "CloudwatchLogsExportConfiguration": {
                    "EnableLogTypes": ["postgresql"],
                    "DisableLogTypes": ["upgrade"],
                },
                "ApplyImmediately": False,
            }
        ]

    def test_what_others_own_is_not_written_back(self) -> None:
        service = {"services": [{"serviceName": "s", "serviceArn": "arn:s", "status": "ACTIVE"}]}
        cloud = ScriptedCloud({"DescribeServices": service})
        before = {
            "name": "s",
            "cluster": "c",
            "desiredCount": 0,
            "taskDefinition": "t:1",
            "deploymentMaximumPercent": 200,
        }
        state = {**before, "desiredCount": 2, "taskDefinition": "t:7"}
        wanted = {**before, "deploymentMaximumPercent": 150}
        lifecycle("aws:ecs/service:Service", cloud).update(
            "arn:s", wanted, before, state, ["desiredCount", "taskDefinition"]
        )
        (asked,) = cloud.asked("UpdateService")
        assert asked["deploymentConfiguration"] == {"maximumPercent": 150}
        assert "desiredCount" not in asked
        assert "taskDefinition" not in asked

    def test_a_failure_half_way_tells_how_far_it_came(self) -> None:
        cloud = ScriptedCloud(
            {
                "GetRole": self.ROLE,
                "ListAttachedRolePolicies": {"AttachedPolicies": []},
                "UpdateRole": refusing("LimitExceeded"),
            }
        )
        before = {"name": "r", "description": "a", "assumeRolePolicy": "{}"}
        wanted = {**before, "description": "b", "assumeRolePolicy": '{"a": 1}'}
        with pytest.raises(PartlyCreated, match="LimitExceeded"):
            lifecycle("aws:iam/role:Role", cloud).update("r", wanted, before, before, [])


class TestDelete:
    def test_something_that_is_gone_already_is_deleted(self) -> None:
        cloud = ScriptedCloud({"DeleteVpc": refusing("InvalidVpcID.NotFound")})
        lifecycle("aws:ec2/vpc:Vpc", cloud).delete("vpc-1", {}, {"region": "us-east-1"})

    def test_it_is_repeated_while_something_still_depends_on_it(self) -> None:
        cloud = ScriptedCloud({"DeleteSubnet": refusing("DependencyViolation", times=2)})
        lifecycle("aws:ec2/subnet:Subnet", cloud).delete("subnet-1", {}, {})
        assert len(cloud.asked("DeleteSubnet")) == 3

    def test_it_gives_up_when_something_always_depends_on_it(self) -> None:
        cloud = ScriptedCloud({"DeleteSubnet": refusing("DependencyViolation")})
        with pytest.raises(CallError, match="DependencyViolation"):
            lifecycle("aws:ec2/subnet:Subnet", cloud, timeout=0.3).delete("subnet-1", {}, {})

    def test_it_waits_until_the_resource_is_gone(self) -> None:
        cloud = ScriptedCloud({"DescribeNatGateways": after(1, gateway("deleting"), gateway("deleted"))})
        lifecycle("aws:ec2/natGateway:NatGateway", cloud).delete("nat-1", {}, {})
        assert len(cloud.asked("DescribeNatGateways")) == 2

    def test_a_cancelled_run_waits_no_longer(self) -> None:
        cloud = ScriptedCloud({"DescribeNatGateways": gateway("deleting")})
        running = lifecycle("aws:ec2/natGateway:NatGateway", cloud)
        threading.Timer(0.2, running.cancelled.set).start()
        with pytest.raises(ProviderError, match="cancelled"):
            running.delete("nat-1", {}, {})

    def test_a_final_snapshot_is_asked_for_by_name(self) -> None:
        cloud = ScriptedCloud({"DescribeDBInstances": {"DBInstances": []}})
        inputs = {
            "identifier": "db",
            "skipFinalSnapshot": False,
            "finalSnapshotIdentifier": "last",
            "deleteAutomatedBackups": False,
        }
        lifecycle("aws:rds/instance:Instance", cloud).delete("db-ABC", inputs, {})
        assert cloud.asked("DeleteDBInstance") == [
            {
                "DBInstanceIdentifier": "db",
                "SkipFinalSnapshot": False,
                "FinalDBSnapshotIdentifier": "last",
                "DeleteAutomatedBackups": False,
            }
        ]


class TestRead:
    def test_something_that_is_gone_reads_as_nothing(self) -> None:
        cloud = ScriptedCloud({"DescribeVpcs": refusing("InvalidVpcID.NotFound")})
        assert lifecycle("aws:ec2/vpc:Vpc", cloud).read("vpc-1", {"cidrBlock": "10.0.0.0/16"}, {"arn": "a"}) is None

    def test_drift_appears_in_the_inputs_and_what_the_program_never_said_does_not(self) -> None:
        found = {"logGroups": [{"logGroupName": "g", "arn": "a:*", "retentionInDays": 7, "logGroupClass": "STANDARD"}]}
        cloud = ScriptedCloud({"DescribeLogGroups": found, "ListTagsForResource": {"tags": {}}})
        before = {"name": "g", "retentionInDays": 30}
        answer = lifecycle("aws:cloudwatch/logGroup:LogGroup", cloud).read("g", before, before)
        assert answer is not None
        _, values, inputs = answer
        assert values["retentionInDays"] == 7
        assert inputs["retentionInDays"] == 7
        assert "logGroupClass" not in inputs

    def test_tags_are_split_into_the_resources_own_and_the_providers(self) -> None:
        found = {"logGroups": [{"logGroupName": "g", "arn": "a:*"}]}
        tags = {"tags": {"team": "a", "name": "own", "aws:cloudformation:stack": "x"}}
        cloud = ScriptedCloud(
            {"DescribeLogGroups": found, "ListTagsForResource": tags}, Configuration(default_tags={"team": "a"})
        )
        answer = lifecycle("aws:cloudwatch/logGroup:LogGroup", cloud).read(
            "g", {"name": "g", "tags": {"name": "own"}}, {"arn": "a"}
        )
        assert answer is not None
        assert answer[1]["tags"] == {"name": "own"}
        assert answer[1]["tagsAll"] == {"name": "own", "team": "a"}

    def test_a_database_is_imported_by_its_name_and_known_by_its_resource_id(self) -> None:
        instance = {
            "DBInstances": [
                {
                    "DBInstanceIdentifier": "db",
                    "DbiResourceId": "db-ABC",
                    "Engine": "postgres",
                    "EngineVersion": "15.18",
                }
            ]
        }
        cloud = ScriptedCloud({"DescribeDBInstances": instance})
        answer = lifecycle("aws:rds/instance:Instance", cloud).read("db", {"identifier": "db"}, {})
        assert answer is not None
        id, _, inputs = answer
        assert id == "db-ABC"
        assert (inputs["identifier"], inputs["engine"], inputs["engineVersion"]) == ("db", "postgres", "15.18")
        assert cloud.asked("DescribeDBInstances") == [{"DBInstanceIdentifier": "db"}]

    @pytest.mark.parametrize(
        ("token", "id", "expected"),
        [
            ("aws:kms/key:Key", "k@us-west-2", ("k", {"region": "us-west-2"})),
            ("aws:iam/rolePolicy:RolePolicy", "web:inline", ("web:inline", {"role": "web", "name": "inline"})),
            (
                "aws:ec2/route:Route",
                "rtb-1_0.0.0.0/0@us-west-2",
                (
                    "rtb-1_0.0.0.0/0",
                    {"region": "us-west-2", "routeTableId": "rtb-1", "destinationCidrBlock": "0.0.0.0/0"},
                ),
            ),
            (
                "aws:ec2/route:Route",
                "rtb-1_::/0",
                ("rtb-1_::/0", {"routeTableId": "rtb-1", "destinationIpv6CidrBlock": "::/0"}),
            ),
        ],
    )
    def test_an_imported_id_names_inputs_and_may_name_a_region(self, token: str, id: str, expected: Any) -> None:
        declared = declaration(token)
        assert declared is not None
        assert from_import(declared, id) == expected
