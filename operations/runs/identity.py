"""Who runs, and who approves: what STS says of the credentials in use."""

from __future__ import annotations

from typing import Any

from operations.errors import explained


def whoami(sts: Any) -> str:
    """The caller's ARN, an assumed role's session name included. Raises OperationError."""
    with explained("can't tell who you are"):
        return str(sts.get_caller_identity()["Arn"])


def same_person(one: str, other: str) -> bool:
    """Whether two ARNs may be the same person's: the same identity, or the same user or session name in another role.

    A session name is chosen by whoever assumes a role, unless the role's trust policy binds it (`sts:RoleSessionName`,
    `sts:SourceIdentity`); components/access.py does.
    """
    return one == other or one.rpartition("/")[2] == other.rpartition("/")[2]
