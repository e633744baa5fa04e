"""Identifiers and names as Route 53 writes them."""

from __future__ import annotations

import secrets
import string
from typing import Any

from dock.aws.service import AwsError
from dock.engines.dns import names

_ALPHABET = string.ascii_uppercase + string.digits
# What every zone is delegated to; the server answers for these names too.
NAME_SERVERS = tuple(f"ns-{number}.dock.internal" for number in (1, 2, 3, 4))
SERVERS_ZONE = "dock.internal."


def new_id(prefix: str) -> str:
    """`Z…` of a zone, `C…` of a change."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(20))


def bare(identifier: str) -> str:
    """An id without the path that answers have in front of it: `/hostedzone/Z1` → `Z1`."""
    return identifier.rpartition("/")[2]


def domain(text: str, what: str = "domain name") -> str:
    """The name as it is kept: lower case, a final dot, odd characters in octal. Raises AwsError."""
    try:
        return names.text(names.parse(text))
    except ValueError as problem:
        raise AwsError("InvalidDomainName", f"{what}: {problem}") from None


def order(name: str) -> tuple[str, ...]:
    """How names are listed: by their labels from the right."""
    return tuple(reversed(name.rstrip(".").split(".")))


def limit(request: dict[str, Any], most: int) -> int:
    """How many items a page has. Raises AwsError."""
    text = str(request.get("MaxItems", most))
    if not text.isdigit() or int(text) < 1:
        raise AwsError("InvalidInput", f"MaxItems is {text!r}, expected a number from 1 to {most}")
    return min(int(text), most)
