"""Keeps secrets out of what a person or a record gets to see.

Two nets: values that this process has read as secrets (`remember`), hidden wherever they stand, and what looks like a
password by the name beside it.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import quote

_URL_PASSWORD = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/]+(?P<after>@)", re.IGNORECASE)
_NAMED = re.compile(
    r"""(?P<before>["']?\b\w*(?:password|passwd|secret|token|credential)\w*["']?\s*[=:]\s*)"""
    r"""(?P<value>"[^"]*"|'[^']*'|[^\s,;&})\]]+)""",
    re.IGNORECASE,
)
_NAME = re.compile(r"password|passwd|secret|token|credential", re.IGNORECASE)
_ARN = re.compile(r"""(arn:[a-z-]+:[^\s"',;)\]}]+)""")
_HIDDEN = "***"
# A shorter value would hide words that are no secret.
_SHORTEST = 6

_remembered: set[str] = set()


def remember(secret: str) -> None:
    """From now on `redact` hides this value, also as JSON, a URL, Python's repr or base64 would write it."""
    if len(secret) < _SHORTEST:
        return
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    _remembered.update({secret, json.dumps(secret)[1:-1], quote(secret, safe=""), repr(secret)[1:-1], encoded})


def redact(text: str, *secrets: str) -> str:
    """`text` without these secret values, without those that are remembered, and without what looks like a password in
    a URL or a `name=value` pair.

    ARNs stay: they are the names by which a secret may be mentioned.
    """
    # The longest first: a secret may be a part of another.
    for secret in sorted({*secrets, *_remembered}, key=len, reverse=True):
        if secret:
            text = text.replace(secret, _HIDDEN)
    text = _URL_PASSWORD.sub(rf"\g<before>{_HIDDEN}\g<after>", text)
    # Every other part is an ARN.
    parts = _ARN.split(text)
    parts[::2] = [_NAMED.sub(rf"\g<before>{_HIDDEN}", part) for part in parts[::2]]
    return "".join(parts)


def clean(value: Any, name: str = "") -> Any:
    """A JSON value with every string in it redacted; a string under a name like `password` is hidden altogether."""
    if isinstance(value, dict):
        return {key: clean(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item, name) for item in value]
    if not isinstance(value, str):
        return value
    if value and _NAME.search(name) and not _ARN.match(value):
        return _HIDDEN
    return redact(value)
