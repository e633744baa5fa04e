"""The platform's roles, each tried: what it may, what it may not, and what it must never get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dock.iam.platform import APPLICATION, BOUNDARY, MASTER, PREFIX, install, role_arn
from tests.dock.iam.rig import ACCOUNT, Person, Rig, message, outcome
from tests.dock.iam.roles import TRUSTS_TASKS, allow, document

ROLES = ("admin", "deployer", "developer", "readonly", "database-write", "break-glass")


class Platform:
    """People, one in each group, and a session of each role."""

    def __init__(self, root: Path) -> None:
        self.rig = Rig(root)
        self.iam = self.rig.client("iam")
        install(self.iam)
        self.people: dict[str, Person] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        for role in ROLES:
            self.people[role] = self.rig.person(f"in-{role}", groups=(f"chatvrm-{role}",))
            self.sessions[role] = self.rig.with_mfa(self.people[role], role_arn(f"chatvrm-{role}-role"))

    def client(self, role: str, service: str) -> Any:
        return self.rig.as_role(service, self.sessions[role])

    def run(self, runbook: str, by: str = "deployer") -> dict[str, Any]:
        return self.rig.assume(self.client(by, "sts"), role_arn(f"{PREFIX}-run-{runbook}"))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = Platform(tmp_path_factory.mktemp("platform"))
    yield made
    made.rig.close()


FARGATE = {"cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc"}


def definition(family: str, role: str) -> dict[str, Any]:
    container = {"name": "web", "image": "x", "essential": True}
    return {"family": family, "containerDefinitions": [container], "taskRoleArn": role_arn(role), **FARGATE}


# service, operation, parameters, and who may.
EVERYBODY = {"admin", "deployer", "developer", "readonly", "break-glass"}
DEPLOYERS = {"admin", "deployer", "break-glass"}
MATRIX = [
    ("ecs", "describe_services", {"cluster": PREFIX, "services": [f"{PREFIX}-web"]}, EVERYBODY),
    ("rds", "describe_db_instances", {}, EVERYBODY | {"database-write"}),
    ("logs", "filter_log_events", {"logGroupName": "/chatvrm/local/web"}, EVERYBODY),
    ("cloudwatch", "describe_alarms", {}, EVERYBODY),
    ("ecs", "update_service", {"cluster": PREFIX, "service": f"{PREFIX}-web", "desiredCount": 8}, DEPLOYERS),
    ("ecs", "register_task_definition", definition(f"{PREFIX}-web", f"{PREFIX}-web-task"), DEPLOYERS),
    ("elasticache", "modify_replication_group", {"ReplicationGroupId": f"{PREFIX}-cache"}, DEPLOYERS),
    ("rds", "delete_db_instance", {"DBInstanceIdentifier": f"{PREFIX}-database"}, DEPLOYERS),
    ("ecs", "register_task_definition", definition("x", "chatvrm-admin-role"), {"admin", "break-glass"}),
    ("ecs", "register_task_definition", definition("x", "chatvrm-break-glass-role"), {"break-glass"}),
    ("kms", "schedule_key_deletion", {"KeyId": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/k"}, set()),
    ("cloudtrail", "stop_logging", {"Name": "drydock-audit"}, {"break-glass"}),
    ("iam", "list_roles", {}, EVERYBODY),
    ("iam", "create_user", {"UserName": "mallory"}, {"break-glass"}),
    ("ec2", "run_instances", {"MinCount": 1, "MaxCount": 1}, DEPLOYERS),
    ("polly", "describe_voices", {}, set()),
]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_the_matrix_says_and_nothing_else(platform: Platform, role: str) -> None:
    for service, operation, parameters, may in MATRIX:
        if (service, operation) == ("iam", "create_user") and role in may:
            continue
        found = outcome(getattr(platform.client(role, service), operation), **parameters)
        assert (found == "allowed") is (role in may), f"{role} {service}:{operation} {found}"


def may(platform: Platform, role: str, action: str, resource: str = "*", **keys: str) -> str:
    """As the simulator says, which for what the dock's emulator would answer is the only way without it."""
    entries = [{"ContextKeyName": key.replace("__", ":"), "ContextKeyValues": [value], "ContextKeyType": "string"}
               for key, value in {"aws__RequestedRegion": "us-east-1", **keys}.items()]  # fmt: skip
    answer = platform.iam.simulate_principal_policy(
        PolicySourceArn=role_arn(f"chatvrm-{role}-role"),
        ActionNames=[action],
        ResourceArns=[resource],
        ContextEntries=entries,
    )
    decision: str = answer["EvaluationResults"][0]["EvalDecision"]
    return decision


def test_the_database_is_written_to_by_one_role_alone(platform: Platform) -> None:
    for secret in (MASTER, APPLICATION):
        found = {role: may(platform, role, "secretsmanager:GetSecretValue", secret) for role in ROLES}
        assert found == {
            # Who makes an environment stores its secrets.
            "admin": "allowed",
            "deployer": "explicitDeny",
            "developer": "implicitDeny",
            "readonly": "implicitDeny",
            "database-write": "allowed",
            "break-glass": "allowed",
        }
    assert may(platform, "database-write", "secretsmanager:GetSecretValue", MASTER.replace("database", "cache")) == (
        "implicitDeny"
    )
    assert platform.iam.get_role(RoleName="chatvrm-database-write-role")["Role"]["MaxSessionDuration"] == 3600


def test_nothing_is_made_outside_the_environments_regions(platform: Platform) -> None:
    for role in ("admin", "deployer"):
        assert may(platform, role, "rds:CreateDBInstance") == "allowed"
        assert may(platform, role, "rds:CreateDBInstance", aws__RequestedRegion="eu-west-1") == "implicitDeny"


# without MFA


@pytest.mark.parametrize("role", ROLES)
def test_nobody_gets_a_role_without_mfa(platform: Platform, role: str) -> None:
    sts = platform.rig.as_person("sts", platform.people[role])
    given = {"RoleArn": role_arn(f"chatvrm-{role}-role"), "RoleSessionName": "test"}
    assert outcome(sts.assume_role, **given) == "AccessDenied"
    plain = platform.rig.as_role("sts", sts.get_session_token()["Credentials"])
    assert outcome(plain.assume_role, **given) == "AccessDenied"


def test_a_person_without_mfa_can_only_set_it_up(platform: Platform) -> None:
    eva = platform.rig.person("new", groups=("chatvrm-admin",))
    iam = platform.rig.as_person("iam", eva)
    assert outcome(iam.create_virtual_mfa_device, VirtualMFADeviceName="new-second") == "allowed"
    assert "explicit deny in an identity-based policy" in message(iam.list_users)
    assert "explicit deny" in message(platform.rig.as_person("ecs", eva).list_clusters)


def test_a_person_gets_the_role_of_the_own_group_and_no_other(platform: Platform) -> None:
    readonly = platform.rig.person("onlooker", groups=("chatvrm-readonly",))
    code = platform.rig.devices[readonly.serial].code()
    sts = platform.rig.as_person("sts", readonly)
    proven = platform.rig.as_role(
        "sts", sts.get_session_token(SerialNumber=readonly.serial, TokenCode=code)["Credentials"]
    )
    for role in ROLES:
        found = outcome(proven.assume_role, RoleArn=role_arn(f"chatvrm-{role}-role"), RoleSessionName="test")
        assert (found == "allowed") is (role == "readonly"), role


# escalation

OPEN = document(allow("*"))
TRUST_ME = document(TRUSTS_TASKS)
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
OWN = f"{PREFIX}-new-task"
ESCALATIONS: list[tuple[str, dict[str, Any]]] = [
    # the boundary
    ("create_role", {"RoleName": OWN, "AssumeRolePolicyDocument": TRUST_ME}),
    ("create_role", {"RoleName": OWN, "AssumeRolePolicyDocument": TRUST_ME, "PermissionsBoundary": ADMINISTRATOR}),
    ("delete_role_permissions_boundary", {"RoleName": "chatvrm-deployer-role"}),
    ("delete_role_permissions_boundary", {"RoleName": f"{PREFIX}-run-deploy"}),
    ("put_role_permissions_boundary", {"RoleName": f"{PREFIX}-run-deploy", "PermissionsBoundary": ADMINISTRATOR}),
    ("create_policy_version", {"PolicyArn": BOUNDARY, "PolicyDocument": OPEN, "SetAsDefault": True}),
    ("set_default_policy_version", {"PolicyArn": BOUNDARY, "VersionId": "v1"}),
    ("delete_policy_version", {"PolicyArn": BOUNDARY, "VersionId": "v1"}),
    ("delete_policy", {"PolicyArn": BOUNDARY}),
    # people
    ("attach_user_policy", {"UserName": "in-deployer", "PolicyArn": ADMINISTRATOR}),
    ("put_user_policy", {"UserName": "in-deployer", "PolicyName": "p", "PolicyDocument": OPEN}),
    ("attach_group_policy", {"GroupName": "chatvrm-deployer", "PolicyArn": ADMINISTRATOR}),
    ("put_group_policy", {"GroupName": "chatvrm-deployer", "PolicyName": "p", "PolicyDocument": OPEN}),
    ("add_user_to_group", {"GroupName": "chatvrm-break-glass", "UserName": "in-deployer"}),
    ("create_user", {"UserName": "mallory"}),
    ("create_access_key", {"UserName": "in-break-glass"}),
    ("deactivate_mfa_device", {"UserName": "in-break-glass", "SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/x"}),
    # break-glass
    ("update_assume_role_policy", {"RoleName": "chatvrm-break-glass-role", "PolicyDocument": TRUST_ME}),
    ("put_role_policy", {"RoleName": "chatvrm-break-glass-role", "PolicyName": "p", "PolicyDocument": OPEN}),
    ("attach_role_policy", {"RoleName": "chatvrm-break-glass-role", "PolicyArn": ADMINISTRATOR}),
    ("delete_role", {"RoleName": "chatvrm-break-glass-role"}),
]
OF_OTHER_ROLES: list[tuple[str, dict[str, Any]]] = [
    ("update_assume_role_policy", {"RoleName": "chatvrm-admin-role", "PolicyDocument": TRUST_ME}),
    ("put_role_policy", {"RoleName": "chatvrm-deployer-role", "PolicyName": "p", "PolicyDocument": OPEN}),
    ("attach_role_policy", {"RoleName": "chatvrm-deployer-role", "PolicyArn": ADMINISTRATOR}),
    ("add_user_to_group", {"GroupName": "chatvrm-admin", "UserName": "in-deployer"}),
    ("create_open_id_connect_provider", {"Url": "https://evil.example", "ClientIDList": ["sts.amazonaws.com"]}),
    ("create_instance_profile", {"InstanceProfileName": "x"}),
]


@pytest.mark.parametrize(("operation", "parameters"), ESCALATIONS)
@pytest.mark.parametrize("role", ["admin", "deployer", "developer", "readonly", "database-write"])
def test_no_role_gives_itself_more(platform: Platform, role: str, operation: str, parameters: dict[str, Any]) -> None:
    assert outcome(getattr(platform.client(role, "iam"), operation), **parameters) == "AccessDenied"


@pytest.mark.parametrize(("operation", "parameters"), OF_OTHER_ROLES)
def test_a_deployer_changes_no_role_of_people(platform: Platform, operation: str, parameters: dict[str, Any]) -> None:
    assert outcome(getattr(platform.client("deployer", "iam"), operation), **parameters) == "AccessDenied"


def test_a_deployer_makes_roles_with_the_boundary_and_hands_them_to_tasks_alone(platform: Platform) -> None:
    iam, ecs = platform.client("deployer", "iam"), platform.client("deployer", "ecs")
    iam.create_role(RoleName=OWN, AssumeRolePolicyDocument=TRUST_ME, PermissionsBoundary=BOUNDARY)
    iam.put_role_policy(RoleName=OWN, PolicyName="p", PolicyDocument=OPEN)
    assert outcome(ecs.register_task_definition, **definition(f"{PREFIX}-web", OWN)) == "allowed"
    other = platform.client("deployer", "rds")
    assert "iam:PassRole" in message(
        other.modify_db_instance, DBInstanceIdentifier=f"{PREFIX}-database", MonitoringRoleArn=role_arn(OWN)
    )
    # However open its policy, the boundary holds: here asked as the task would.
    answer = platform.iam.simulate_principal_policy(
        PolicySourceArn=role_arn(OWN), ActionNames=["organizations:LeaveOrganization", "iam:CreateUser"]
    )
    assert [each["EvalDecision"] for each in answer["EvaluationResults"]] == ["implicitDeny", "explicitDeny"]
    assert answer["EvaluationResults"][0]["PermissionsBoundaryDecisionDetail"] == {
        "AllowedByPermissionsBoundary": False
    }
    assert outcome(iam.create_role, RoleName="other", AssumeRolePolicyDocument=TRUST_ME,
                   PermissionsBoundary=BOUNDARY) == "AccessDenied"  # fmt: skip
    iam.delete_role_policy(RoleName=OWN, PolicyName="p")
    iam.delete_role(RoleName=OWN)


def test_break_glass_lasts_an_hour_and_opens_everything(platform: Platform) -> None:
    role = platform.iam.get_role(RoleName="chatvrm-break-glass-role")["Role"]
    assert (role["MaxSessionDuration"], role.get("PermissionsBoundary")) == (3600, None)
    person = platform.rig.person("fireman", groups=("chatvrm-break-glass",))
    sts, code = platform.rig.as_person("sts", person), platform.rig.devices[person.serial].code()
    given = {"RoleArn": role["Arn"], "RoleSessionName": "test", "SerialNumber": person.serial, "TokenCode": code}
    assert outcome(sts.assume_role, DurationSeconds=7200, **given) == "ValidationError"
    assert may(platform, "break-glass", "iam:DeleteRolePermissionsBoundary") == "allowed"


# runbooks


def test_a_runbook_runs_with_its_steps_permissions_and_no_more(platform: Platform) -> None:
    verify, deploy = platform.run("verify"), platform.run("deploy")
    ecs = platform.rig.as_role("ecs", verify)
    service = {"cluster": PREFIX, "service": f"{PREFIX}-web"}
    assert outcome(ecs.describe_services, cluster=PREFIX, services=[f"{PREFIX}-web"]) == "allowed"
    assert outcome(ecs.describe_services, cluster=PREFIX, services=["other"]) == "AccessDeniedException"
    assert outcome(ecs.update_service, desiredCount=1, **service) == "AccessDeniedException"
    ecs = platform.rig.as_role("ecs", deploy)
    assert outcome(ecs.update_service, desiredCount=1, **service) == "allowed"
    assert outcome(ecs.delete_service, **service) == "AccessDeniedException"
    assert outcome(ecs.register_task_definition, **definition(f"{PREFIX}-web", f"{PREFIX}-web-task")) == "allowed"
    assert outcome(ecs.register_task_definition, **definition("other", f"{PREFIX}-web-task")) == "AccessDeniedException"
    assert "iam:PassRole" in message(ecs.register_task_definition, **definition(f"{PREFIX}-web", "chatvrm-admin-role"))


def test_a_runbook_is_run_by_who_may(platform: Platform) -> None:
    for by, runbook, allowed in (
        ("deployer", "deploy", True),
        ("developer", "deploy", False),
        ("developer", "verify", True),
        ("readonly", "verify", False),
        ("database-write", "push-image", False),
    ):
        role = role_arn(f"{PREFIX}-run-{runbook}")
        found = outcome(platform.client(by, "sts").assume_role, RoleArn=role, RoleSessionName="test")
        assert (found == "allowed") is allowed, f"{by} {runbook}"


def test_policies_fit_into_iams_quotas(platform: Platform) -> None:
    for role in platform.iam.list_roles()["Roles"]:
        for name in platform.iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            text = json.dumps(
                platform.iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
            )
            assert len(text) < 10240
    boundary = platform.iam.get_policy_version(PolicyArn=BOUNDARY, VersionId="v1")["PolicyVersion"]["Document"]
    assert len(json.dumps(boundary)) < 6144
