"""Names, ids and ARNs: requests may use any of them for the same thing."""

from __future__ import annotations

import re

from dock.aws.service import AwsError, Call

_FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}")


def last(name_or_arn: str) -> str:
    """The last part of an ARN; a plain name is its own."""
    return name_or_arn.rpartition("/")[2]


def cluster_name(given: str | None) -> str:
    """The cluster that a request means; without one it is `default`."""
    return last(given or "default")


def arn(call: Call, kind: str, *parts: str | int) -> str:
    """`arn(call, "service", cluster, name)`."""
    return call.arn("/".join([kind, *map(str, parts)]))


def family_and_revision(given: str) -> tuple[str, int | None]:
    """Take `family`, `family:revision` or an ARN apart. Raises AwsError for anything else."""
    name = last(given) if given.startswith("arn:") else given
    family, colon, revision = name.partition(":")
    if not _FAMILY.fullmatch(family) or (colon and not revision.isdigit()):
        raise AwsError("ClientException", f"Invalid task definition name or ARN: {given}")
    return family, int(revision) if colon else None
