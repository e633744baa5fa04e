"""Who may do what in an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from components.boundary import Boundary, BoundaryArgs
from components.github_roles import GithubRoles, GithubRolesArgs
from components.people import ROLES, People, PeopleArgs
from components.runbook_roles import RunbookRoles, RunbookRolesArgs
from stacks.environment.alarms import namespace

if TYPE_CHECKING:
    from stacks.environment import Environment

# Who may run which runbook, from a role of theirs.
_RUNS = {
    "deploy": ("admin", "deployer"),
    "push_image": ("admin", "deployer"),
    "verify": ("admin", "deployer", "developer"),
}


def manifest(environment: Environment) -> str:
    """The name of the parameter with the manifest."""
    return f"/drydock/{environment.settings.platform}/{environment.settings.environment}/manifest"


def boundary(environment: Environment) -> Boundary:
    settings = environment.settings
    return Boundary(
        environment.prefix,
        BoundaryArgs(
            account=settings.account,
            people=settings.access.people,
            regions=[settings.region, settings.recovery_region],
        ),
        environment.opts,
    )


def people(environment: Environment) -> People | None:
    settings, access = environment.settings, environment.settings.access
    if not access.make_people:
        return None
    prefix = environment.prefix
    return People(
        access.people,
        PeopleArgs(
            account=settings.account,
            environment=prefix,
            accounts=access.accounts,
            developers=access.developers,
            session_seconds=access.session_seconds,
            boundary_arn=environment.boundary.arn,
            passed={
                "ecs-tasks.amazonaws.com": [f"{prefix}-*-task", f"{prefix}-*-execution"],
                "backup.amazonaws.com": [f"{prefix}-backups"],
                "vpc-flow-logs.amazonaws.com": [f"{prefix}-flows-writer"],
            },
            database_secrets=[environment.secrets.master_arn, environment.secrets.application_arn],
            key_arn=environment.encryption.key_arn,
        ),
        environment.opts,
    )


def role_arns(environment: Environment) -> dict[str, pulumi.Input[str]]:
    """People's roles, whoever makes them."""
    if environment.people is not None:
        return dict(environment.people.role_arns)
    access, account = environment.settings.access, environment.settings.account
    return {role: f"arn:aws:iam::{account}:role/{access.people}-{role}-role" for role in ROLES}


def github_roles(environment: Environment) -> GithubRoles | None:
    settings, github = environment.settings, environment.settings.access.github
    if github is None:
        return None
    return GithubRoles(
        environment.prefix,
        GithubRolesArgs(
            account=settings.account,
            owner=github.owner,
            owner_id=github.owner_id,
            repository=github.repository,
            repository_id=github.repository_id,
            github_environment=github.environment,
            workflow=github.workflow,
            issuer=github.issuer,
            make_provider=github.make_provider,
            boundary_arn=environment.boundary.arn,
            runs=[f"arn:aws:iam::{settings.account}:role/{environment.prefix}-run-*"],
        ),
        environment.opts,
    )


def runbook_roles(environment: Environment) -> RunbookRoles:
    settings, github = environment.settings, environment.github_roles
    roles, name = role_arns(environment), f"{environment.prefix}-{environment.platform.service.name}"
    runs = {runbook: [roles[role] for role in allowed] for runbook, allowed in _RUNS.items()}
    if github is not None:
        runs = {runbook: [*arns, github.role_arn] for runbook, arns in runs.items()}
    return RunbookRoles(
        environment.prefix,
        RunbookRolesArgs(
            account=settings.account,
            region=settings.region,
            recovery_region=settings.recovery_region,
            boundary_arn=environment.boundary.arn,
            assumed_by=runs,
            manifest=manifest(environment),
            cluster=environment.cluster.cluster,
            service=environment.service.service,
            family=name,
            task_roles=[f"{name}-task", f"{name}-execution", f"{name}-migrate-execution"],
            repository_arn=environment.registry.repository_arn,
            log_group=environment.service.log_group,
            database=environment.database.identifier,
            replication_group=environment.cache.replication_group,
            secrets=[environment.secrets.application_arn, environment.secrets.cache_arn],
            key_arn=environment.encryption.key_arn,
            alarm_namespace=namespace(environment),
        ),
        environment.opts,
    )


def document(environment: Environment) -> dict[str, Any]:
    """The manifest's part: whom operations may have to become, and whose use is an incident."""
    return {
        "boundary": environment.boundary.arn,
        "people": role_arns(environment),
        "runbooks": environment.runbook_roles.role_arns,
        "github": environment.github_roles.role_arn if environment.github_roles is not None else None,
    }
