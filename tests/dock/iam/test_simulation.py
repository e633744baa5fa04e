"""The simulator and the front door decide alike, whatever the policies say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dock.iam.rig import ACCOUNT, Rig, message, outcome
from tests.dock.iam.roles import allow, deny, document

# What is asked at the door, and the same in the simulator's words.
CALLS: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("ecs", "list_clusters", {}, "ecs:ListClusters", "*"),
    (
        "ecs",
        "describe_services",
        {"cluster": "a", "services": ["web"]},
        "ecs:DescribeServices",
        f"arn:aws:ecs:us-east-1:{ACCOUNT}:service/a/web",
    ),
    (
        "rds",
        "reboot_db_instance",
        {"DBInstanceIdentifier": "a-db"},
        "rds:RebootDBInstance",
        f"arn:aws:rds:us-east-1:{ACCOUNT}:db:a-db",
    ),
    (
        "logs",
        "put_retention_policy",
        {"logGroupName": "/a/web", "retentionInDays": 7},
        "logs:PutRetentionPolicy",
        f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/a/web:log-stream:",
    ),
]
ACTIONS = ["*", "ecs:*", "ecs:List*", "ecs:Describe*", "rds:*", "rds:RebootDBInstance", "logs:Put*", "iam:*"]
RESOURCES = [
    "*",
    "arn:aws:ecs:*:*:*",
    f"arn:aws:ecs:us-east-1:{ACCOUNT}:service/a/*",
    f"arn:aws:rds:us-east-1:{ACCOUNT}:db:a-*",
    f"arn:aws:rds:us-east-1:{ACCOUNT}:db:${{aws:username}}",
    f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/a/*",
]
CONDITIONS: list[dict[str, Any]] = [
    {},
    {"StringEquals": {"aws:RequestedRegion": "us-east-1"}},
    {"StringNotEquals": {"aws:RequestedRegion": ["us-east-1", "us-west-2"]}},
    {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
    {"StringLike": {"aws:username": "e*"}},
    {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/eva"}},
    {"StringEquals": {"aws:PrincipalTag/team": "blue"}},
    {"Null": {"aws:TokenIssueTime": "true"}},
    {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
    {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}},
    {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
]


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"]))}
    made[draw(st.sampled_from(["Action", "Action", "NotAction"]))] = draw(
        st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=2)
    )
    made[draw(st.sampled_from(["Resource", "Resource", "NotResource"]))] = draw(
        st.lists(st.sampled_from(RESOURCES), min_size=1, max_size=2)
    )
    if condition := draw(st.sampled_from(CONDITIONS)):
        made["Condition"] = condition
    return made


policies = st.lists(statements(), min_size=1, max_size=3)


class Setting:
    def __init__(self, root: Path) -> None:
        self.rig = Rig(root)
        self.iam = self.rig.client("iam")
        self.eva = self.rig.person("eva")
        self.iam.tag_user(UserName="eva", Tags=[{"Key": "team", "Value": "blue"}])
        self.boundary = self.iam.create_policy(PolicyName="boundary", PolicyDocument=document(allow("*")))["Policy"][
            "Arn"
        ]
        trust = {"Effect": "Allow", "Principal": {"AWS": self.eva.arn}, "Action": "sts:AssumeRole"}
        self.role = self.iam.create_role(RoleName="role", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
        self.clients = {
            "user": {service: self.rig.as_person(service, self.eva) for service, *_ in CALLS},
        }
        credentials = self.rig.assume(self.rig.as_person("sts", self.eva), self.role)
        self.clients["role"] = {service: self.rig.as_role(service, credentials) for service, *_ in CALLS}

    def arrange(self, identity: list[dict[str, Any]], boundary: list[dict[str, Any]] | None) -> None:
        self.iam.put_user_policy(UserName="eva", PolicyName="p", PolicyDocument=document(*identity))
        self.iam.put_role_policy(RoleName="role", PolicyName="p", PolicyDocument=document(*identity))
        for noun, name in (("user", "eva"), ("role", "role")):
            key = f"{noun.capitalize()}Name"
            if boundary is None:
                getattr(self.iam, f"put_{noun}_permissions_boundary")(PermissionsBoundary=self.boundary, **{key: name})
                getattr(self.iam, f"delete_{noun}_permissions_boundary")(**{key: name})
            else:
                old = self.iam.get_policy(PolicyArn=self.boundary)["Policy"]["DefaultVersionId"]
                if noun == "user":
                    self.iam.create_policy_version(
                        PolicyArn=self.boundary, PolicyDocument=document(*boundary), SetAsDefault=True
                    )
                    self.iam.delete_policy_version(PolicyArn=self.boundary, VersionId=old)
                getattr(self.iam, f"put_{noun}_permissions_boundary")(PermissionsBoundary=self.boundary, **{key: name})

    def simulated(self, who: str, action: str, resource: str) -> bool:
        entries = {"aws:RequestedRegion": "us-east-1", "aws:SourceIp": "127.0.0.1"}
        if who == "role":
            entries |= {"aws:MultiFactorAuthPresent": "false", "aws:TokenIssueTime": "2026-11-21T00:00:00Z"}
        answer = self.iam.simulate_principal_policy(
            PolicySourceArn=self.eva.arn if who == "user" else self.role,
            ActionNames=[action],
            ResourceArns=[resource],
            ContextEntries=[
                {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for key, value in entries.items()
            ],
        )
        return bool(answer["EvaluationResults"][0]["EvalDecision"] == "allowed")


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = Setting(tmp_path_factory.mktemp("simulation"))
    yield made
    made.rig.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(identity=policies, boundary=st.none() | policies)
def test_the_simulator_says_what_the_front_door_does(
    setting: Setting, identity: list[dict[str, Any]], boundary: list[dict[str, Any]] | None
) -> None:
    setting.arrange(identity, boundary)
    for who, clients in setting.clients.items():
        for service, operation, parameters, action, resource in CALLS:
            enforced = outcome(getattr(clients[service], operation), **parameters) == "allowed"
            assert setting.simulated(who, action, resource) is enforced, (who, action, json.dumps(identity), boundary)


def simulate(rig: Rig, **given: Any) -> dict[str, Any]:
    result: dict[str, Any] = rig.client("iam").simulate_custom_policy(**given)["EvaluationResults"][0]
    return result


def entry(key: str, *values: str) -> dict[str, Any]:
    return {"ContextKeyName": key, "ContextKeyValues": list(values), "ContextKeyType": "string"}


def test_mfa_is_what_the_request_says_it_is(rig: Rig) -> None:
    policy = document(allow("ec2:StopInstances", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}))
    asked: dict[str, Any] = {"PolicyInputList": [policy], "ActionNames": ["ec2:StopInstances"]}
    without = simulate(rig, **asked)
    assert (without["EvalDecision"], without["MissingContextValues"]) == (
        "implicitDeny",
        ["aws:multifactorauthpresent"],
    )
    for value, decision in (("true", "allowed"), ("false", "implicitDeny")):
        assert simulate(rig, ContextEntries=[entry("aws:MultiFactorAuthPresent", value)], **asked)[
            "EvalDecision"
        ] == decision  # fmt: skip


def test_boundaries_and_resource_policies_may_be_given(rig: Rig) -> None:
    asked: dict[str, Any] = {"ActionNames": ["s3:GetObject"], "ResourceArns": ["arn:aws:s3:::b/k"]}
    open_ = document(allow("s3:*"))
    bound = simulate(
        rig, PolicyInputList=[open_], PermissionsBoundaryPolicyInputList=[document(allow("logs:*"))], **asked
    )
    assert bound["EvalDecision"] == "implicitDeny"
    assert bound["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    denies = document({**deny("s3:GetObject", on="arn:aws:s3:::b/*"), "Principal": "*"})
    found = simulate(rig, PolicyInputList=[open_], ResourcePolicy=denies, **asked)
    assert found["EvalDecision"] == "explicitDeny"
    assert [each["SourcePolicyType"] for each in found["MatchedStatements"]] == ["Resource Policy"]


def test_the_keys_that_a_policy_looks_at_are_listed(rig: Rig) -> None:
    condition = {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}
    policy = document(allow("s3:*", on="arn:aws:s3:::${aws:username}", Condition=condition))
    names = rig.client("iam").get_context_keys_for_custom_policy(PolicyInputList=[policy])["ContextKeyNames"]
    assert names == ["aws:requestedregion", "aws:username"]


def test_a_denial_says_who_what_where_and_why(rig: Rig) -> None:
    eva = rig.person("eva")
    said = message(rig.as_person("rds", eva).reboot_db_instance, DBInstanceIdentifier="a-db")
    assert said == (
        f"User: {eva.arn} is not authorized to perform: rds:RebootDBInstance on resource:"
        f" arn:aws:rds:us-east-1:{ACCOUNT}:db:a-db because no identity-based policy allows the rds:RebootDBInstance"
        " action"
    )
