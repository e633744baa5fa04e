"""A platform's roles in the rig, as the program makes them: its components' own policies, put into IAM."""

from __future__ import annotations

import json
from typing import Any

from components.boundary import Boundary, BoundaryArgs
from components.github_roles import GithubRoles, GithubRolesArgs
from components.people import People, PeopleArgs
from components.runbook_roles import RunbookRoles, RunbookRolesArgs
from tests.dock.iam.rig import ACCOUNT
from tests.stacks.recording import Recording, record

PREFIX = "chatvrm-local"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/k"
MASTER = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:chatvrm-local-database-master-a1b2c3"
APPLICATION = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:chatvrm-local-database-application-a1b2c3"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/{PREFIX}-boundary"


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def program(developers: Any = "read", issuer: str = "https://token.actions.githubusercontent.com") -> None:
    Boundary(PREFIX, BoundaryArgs(account=ACCOUNT, people="chatvrm", regions=["us-east-1", "us-west-2"]))
    People(
        "chatvrm",
        PeopleArgs(
            account=ACCOUNT,
            environment=PREFIX,
            accounts=[ACCOUNT],
            developers=developers,
            session_seconds=14400,
            boundary_arn=BOUNDARY,
            passed={"ecs-tasks.amazonaws.com": [f"{PREFIX}-*-task", f"{PREFIX}-*-execution"]},
            database_secrets=[MASTER, APPLICATION],
            key_arn=KEY,
        ),
    )
    GithubRoles(
        PREFIX,
        GithubRolesArgs(
            account=ACCOUNT,
            owner="chatvrm",
            owner_id="1234567",
            repository="platform",
            repository_id="7654321",
            github_environment="local",
            workflow="chatvrm/platform/.github/workflows/deploy.yml@refs/heads/main",
            issuer=issuer,
            make_provider=True,
            boundary_arn=BOUNDARY,
            runs=[role_arn(f"{PREFIX}-run-*")],
        ),
    )
    people = {name: role_arn(f"chatvrm-{name}-role") for name in ("admin", "deployer", "developer")}
    github = role_arn(f"{PREFIX}-github-deploy")
    RunbookRoles(
        PREFIX,
        RunbookRolesArgs(
            account=ACCOUNT,
            region="us-east-1",
            recovery_region="us-west-2",
            boundary_arn=BOUNDARY,
            assumed_by={
                "deploy": [people["deployer"], github],
                "push_image": [people["deployer"], github],
                "verify": [people["deployer"], people["developer"]],
            },
            manifest="/drydock/chatvrm/local/manifest",
            cluster=PREFIX,
            service=f"{PREFIX}-web",
            family=f"{PREFIX}-web",
            task_roles=[f"{PREFIX}-web-task", f"{PREFIX}-web-execution", f"{PREFIX}-web-migrate-execution"],
            repository_arn=f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{PREFIX}-web",
            log_group="/chatvrm/local/web",
            database=f"{PREFIX}-database",
            replication_group=f"{PREFIX}-cache",
            secrets=[APPLICATION],
            key_arn=KEY,
            alarm_namespace="chatvrm/local",
        ),
    )


def install(iam: Any, developers: Any = "read", issuer: str = "https://token.actions.githubusercontent.com") -> None:
    """Make all of it with an account's root."""
    recording = record(lambda: program(developers, issuer))
    for kind in (
        "Policy",
        "OpenIdConnectProvider",
        "Group",
        "Role",
        "RolePolicy",
        "RolePolicyAttachment",
        "GroupPolicy",
    ):
        # A trust policy names roles that are there: runbooks' trust people's.
        found = recording.of(f"iam/{kind[0].lower()}{kind[1:]}:{kind}")
        for each in sorted(found, key=lambda each: "-run-" in each.inputs.get("name", "")):
            _make(iam, kind, {name: _real(recording, value) for name, value in each.inputs.items()})


def _make(iam: Any, kind: str, inputs: dict[str, Any]) -> None:
    match kind:
        case "Policy":
            iam.create_policy(PolicyName=inputs["name"], PolicyDocument=inputs["policy"])
        case "OpenIdConnectProvider":
            iam.create_open_id_connect_provider(Url=inputs["url"], ClientIDList=inputs["clientIdLists"])
        case "Group":
            iam.create_group(GroupName=inputs["name"])
        case "Role":
            more = {"PermissionsBoundary": inputs["permissionsBoundary"]} if "permissionsBoundary" in inputs else {}
            iam.create_role(
                RoleName=inputs["name"],
                AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
                MaxSessionDuration=inputs.get("maxSessionDuration", 3600),
                **more,
            )
        case "RolePolicy":
            iam.put_role_policy(RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"])
        case "RolePolicyAttachment":
            iam.attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
        case "GroupPolicy":
            iam.put_group_policy(GroupName=inputs["group"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"])


def _real(recording: Recording, value: Any) -> Any:
    """With the ARNs that IAM gives, where the recording made some up."""
    if not isinstance(value, str):
        return value
    for role in recording.of("iam/role:Role"):
        made_up = f"arn:aws:iam:us-east-1:123456789012:{role.name}"
        value = value.replace(f'"{made_up}"', json.dumps(role_arn(role.inputs["name"])))
    for provider in recording.of("OpenIdConnectProvider"):
        host = provider.inputs["url"].partition("://")[2]
        made_up = f"arn:aws:iam:us-east-1:123456789012:{provider.name}"
        value = value.replace(made_up, f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}")
    return value
