"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Principal:
    """`arn` is what GetCallerIdentity says. `name` is the user's or role's name, or the service's or provider's."""

    kind: Literal["root", "user", "session", "service", "federated", "anonymous"]
    account: str
    arn: str
    unique_id: str = ""
    name: str = ""
    role_arn: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    mfa_at: float | None = None
    """When the session was authenticated with MFA (seconds since the epoch); None when it wasn't."""
    issued_at: float | None = None
    """When a session's token was issued; None for a key of long life."""
    session_policies: tuple[str, ...] = field(default=(), repr=False)
    source_identity: str | None = None
    session_name: str | None = None
    federated_provider: str | None = None
    transitive_tags: tuple[str, ...] = ()
    access_key: str = ""
    via: str | None = None
    """The AWS service that calls on the principal's behalf, for example `secretsmanager.us-east-1.amazonaws.com`."""

    @property
    def in_account(self) -> bool:
        """Whether it belongs to an account: services and strangers don't."""
        return self.kind in ("root", "user", "session")

    @property
    def principal_type(self) -> str:
        """The kind by which a policy's Principal names it."""
        return {"service": "Service", "federated": "Federated", "anonymous": "*"}.get(self.kind, "AWS")


def root(account: str) -> Principal:
    return Principal("root", account, f"arn:aws:iam::{account}:root", unique_id=account, access_key=account)


def service(name: str) -> Principal:
    """An AWS service, for example `ecs-tasks.amazonaws.com`."""
    return Principal("service", "", name, name=name)


ANONYMOUS = Principal("anonymous", "", "*")


@dataclass(frozen=True, slots=True)
class Authorized:
    """A request that may go on. `account` is the one to act in: the owner's, of what the request is about."""

    principal: Principal
    account: str
