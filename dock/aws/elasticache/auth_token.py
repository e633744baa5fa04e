"""The AUTH token: AWS's rules for it, and what an update makes of those that are valid."""

from __future__ import annotations

import re
from typing import Any

from dock.aws.service import AwsError
from dock.engines.redis import digest

_TOKEN = re.compile(r"[A-Za-z0-9!&#$^<>-]{16,128}")


def check_token(token: str) -> str:
    """The token's digest, which is all that is ever kept. Raises InvalidParameterValue without quoting the token."""
    if not _TOKEN.fullmatch(token):
        raise AwsError(
            "InvalidParameterValueException",
            "Invalid AuthToken provided: it must be 16 to 128 letters, digits or characters of !&#$^<>-.",
        )
    return digest(token)


def update(record: dict[str, Any], token: str | None, strategy: str | None) -> dict[str, Any]:
    """The changed fields of a group's record: `tokens` (digests, oldest first), `token_required`.

    ROTATE adds a token beside the newest one, SET leaves the given one alone, DELETE asks for none any more.
    """
    strategy = strategy or "ROTATE"
    if strategy == "DELETE":
        if token is not None:
            raise AwsError("InvalidParameterCombinationException", "DELETE takes no AuthToken.")
        return {"tokens": [], "token_required": False}
    if token is None:
        raise AwsError("InvalidParameterCombinationException", f"The strategy {strategy} needs an AuthToken.")
    if not record["tls"]:
        raise AwsError(
            "InvalidParameterCombinationException", "An AuthToken needs a group with transit encryption enabled."
        )
    added = check_token(token)
    if strategy == "SET":
        return {"tokens": [added], "token_required": True}
    kept = [known for known in record["tokens"][-1:] if known != added]
    return {"tokens": [*kept, added], "token_required": record["token_required"]}
