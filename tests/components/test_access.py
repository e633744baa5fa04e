"""The roles of an environment, as the program writes them down. What they mean is tried in tests/dock/iam."""

from __future__ import annotations

import json

import pytest

from components.runbook_roles import RUNBOOKS
from operations.permissions import CARRIED, PERMISSIONS
from tests.components.build import build
from tests.stacks.recording import Recording, policy


def granted(run: Recording, role: str) -> set[str]:
    (found,) = [each for each in run.of("RolePolicy") if each.inputs["role"] == role]
    statements = policy(found.inputs["policy"])
    assert all(statement["Effect"] == "Allow" for statement in statements)
    return {action for statement in statements for action in statement["Action"]}


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_a_runbooks_role_grants_its_operations_actions_and_no_other(runbook):
    run = build("runbook_roles", "RunbookRoles")
    assert granted(run, f"thing-run-{runbook.replace('_', '-')}") == PERMISSIONS[runbook] | CARRIED[runbook]
    assert set(RUNBOOKS) == set(PERMISSIONS) == set(CARRIED)


def test_every_role_but_break_glass_has_the_boundary():
    for module, noun in (("people", "People"), ("runbook_roles", "RunbookRoles"), ("github_roles", "GithubRoles")):
        for role in build(module, noun).of("iam/role:Role"):
            bound = role.inputs.get("permissionsBoundary")
            assert (bound is None) is (role.inputs["name"] == "thing-break-glass-role")


def test_people_have_the_four_roles_of_the_playbook_and_two_for_an_hour():
    roles = {each.inputs["name"]: each.inputs for each in build("people", "People").of("iam/role:Role")}
    assert {f"thing-{role}-role" for role in ("admin", "deployer", "developer", "readonly")} < set(roles)
    assert {name for name, role in roles.items() if role["maxSessionDuration"] == 3600} == {
        "thing-database-write-role",
        "thing-break-glass-role",
    }
    for role in roles.values():
        (trust,) = policy(role["assumeRolePolicy"])
        assert trust["Condition"] == {"Bool": {"aws:MultiFactorAuthPresent": "true"}}


def test_people_without_mfa_are_denied_with_if_exists_and_roles_are_not():
    run = build("people", "People")
    for group in run.of("GroupPolicy"):
        denials = [each for each in policy(group.inputs["policy"]) if each["Effect"] == "Deny"]
        assert [each["Condition"] for each in denials] == [{"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}]
    for role in run.of("RolePolicy"):
        assert "MultiFactorAuth" not in role.inputs["policy"]


def test_developers_deploy_only_where_they_are_said_to():
    for developers, deploys in (("read", False), ("deploy", True)):
        run = build("people", "People", developers=developers)
        assert ("ecs:*" in granted_or_denied(run, "thing-developer-role")) is deploys


def granted_or_denied(run: Recording, role: str) -> set[str]:
    (found,) = [each for each in run.of("RolePolicy") if each.inputs["role"] == role]
    return {action for statement in policy(found.inputs["policy"]) for action in statement["Action"]}


def test_only_one_workflow_of_one_repository_deploys():
    run = build("github_roles", "GithubRoles")
    (trust,) = policy(run.one("iam/role:Role").inputs["assumeRolePolicy"])
    host = "token.actions.githubusercontent.com"
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust["Condition"] == {
        "StringEquals": {
            f"{host}:aud": "sts.amazonaws.com",
            f"{host}:sub": [
                "repo:chatvrm/platform:environment:production",
                "repo:chatvrm@1/platform@2:environment:production",
            ],
            f"{host}:repository_id": "2",
            f"{host}:job_workflow_ref": "chatvrm/platform/.github/workflows/deploy.yml@refs/heads/main",
        }
    }
    assert run.one("OpenIdConnectProvider").inputs["clientIdLists"] == ["sts.amazonaws.com"]


def test_an_account_has_one_identity_provider_for_github():
    run = build("github_roles", "GithubRoles", make_provider=False)
    assert not run.of("OpenIdConnectProvider")
    (trust,) = policy(run.one("iam/role:Role").inputs["assumeRolePolicy"])
    assert trust["Principal"] == {
        "Federated": "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    }


def test_no_allow_asks_for_all_values_of_a_claim():
    for module, noun in (
        ("boundary", "Boundary"),
        ("people", "People"),
        ("runbook_roles", "RunbookRoles"),
        ("github_roles", "GithubRoles"),
    ):
        for each in build(module, noun).custom():
            assert "ForAllValues" not in json.dumps(each.inputs)
