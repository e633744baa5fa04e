"""Keeps secrets out of what a person or a record gets to see."""

from __future__ import annotations

import re

_URL_PASSWORD = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/]+(?P<after>@)", re.IGNORECASE)
_NAMED = re.compile(
    r"""(?P<before>["']?\b\w*(?:password|passwd|secret|token|credential)\w*["']?\s*[=:]\s*)"""
    r"""(?P<value>"[^"]*"|'[^']*'|[^\s,;&})\]]+)""",
    re.IGNORECASE,
)
_ARN = re.compile(r"^[\"']?arn:")
_HIDDEN = "***"


def redact(text: str, *secrets: str) -> str:
    """`text` without these secret values, and without what looks like a password in a URL or a `name=value`
    pair.

    ARNs stay: they are the names by which a secret may be mentioned.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, _HIDDEN)
    text = _URL_PASSWORD.sub(rf"\g<before>{_HIDDEN}\g<after>", text)
    return _NAMED.sub(_hide_value, text)


def _hide_value(match: re.Match[str]) -> str:
    if _ARN.match(match["value"]):
        return match[0]
    return match["before"] + _HIDDEN
