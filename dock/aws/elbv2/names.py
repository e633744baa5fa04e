"""ARNs and names of load balancers, target groups, listeners and rules."""

from __future__ import annotations

import re
import secrets

from dock.aws.service import AwsError
from dock.store import Scope

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?")


def new_id() -> str:
    """The 16 hex digits that end an ARN."""
    return secrets.token_hex(8)


def check_name(name: str, what: str) -> None:
    """Raise AwsError unless it is up to 32 letters, digits and inner hyphens, and not `internal-…`."""
    if not _NAME.fullmatch(name) or name.startswith("internal-"):
        raise AwsError(
            "ValidationError",
            f"{what} name {name!r}: up to 32 letters, digits and inner hyphens, no 'internal-' in front",
        )


def arn(scope: Scope, resource: str) -> str:
    return f"arn:aws:elasticloadbalancing:{scope.region}:{scope.account}:{resource}"


def scope_of(resource_arn: str) -> Scope:
    """The account and region that an ARN names. Raises AwsError for what is no ARN of this service."""
    parts = resource_arn.split(":", 5)
    if len(parts) != 6 or parts[2] != "elasticloadbalancing":
        raise AwsError("ValidationError", f"'{resource_arn}' is not a valid Elastic Load Balancing ARN")
    return Scope(parts[4], parts[3])


def suffix(resource_arn: str) -> str:
    """What follows the kind of resource: `app/NAME/ID`, `app/NAME/ID/LISTENER` or `NAME/ID`."""
    return resource_arn.split(":", 5)[5].partition("/")[2]


def engine_name(resource_arn: str) -> str:
    """How the engine calls it: `NAME-ID` for a target group, else the last of its ids."""
    parts = suffix(resource_arn).split("/")
    return "-".join(parts) if len(parts) == 2 else parts[-1]
