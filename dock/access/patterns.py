"""Wildcards and policy variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

Context = Mapping[str, tuple[str, ...]]
"""What is known of a request: values by key in lower case."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}
# Stand in for characters that a variable brought along, which are no wildcards.
_STAR, _QUESTION = "\ue000", "\ue001"
ARN_FIELDS = 6


@lru_cache(maxsize=8192)
def expression(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """A pattern with `*` and `?` as a regular expression for the whole text."""
    parts = {"*": ".*", "?": ".", _STAR: r"\*", _QUESTION: r"\?"}
    text = "".join(parts.get(character) or re.escape(character) for character in pattern)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def matches(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    return expression(pattern, ignore_case=ignore_case).fullmatch(text) is not None


@lru_cache(maxsize=16384)
def matches_arn(pattern: str, arn: str) -> bool:
    """Field by field: a wildcard stays within its field, and fields that are missing at the end are `*`."""
    if pattern == "*":
        return True
    wanted, given = pattern.split(":", ARN_FIELDS - 1), arn.split(":", ARN_FIELDS - 1)
    if len(given) < ARN_FIELDS or wanted[0] != "arn":
        return matches(pattern, arn)
    wanted += ["*"] * (ARN_FIELDS - len(wanted))
    return all(matches(want, have) for want, have in zip(wanted, given, strict=True))


def has_variables(pattern: str) -> bool:
    return "${" in pattern


def variables(pattern: str) -> list[str]:
    """The context keys that a pattern names."""
    names = (found.partition(",")[0].strip().lower() for found in _VARIABLE.findall(pattern))
    return [name for name in names if name not in _LITERALS]


def substitute(pattern: str, context: Context) -> str | None:
    """The pattern with its variables' values; None when one has no single value and no default."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        name, comma, default = match[1].partition(",")
        name = name.strip()
        if name in _LITERALS:
            return _quoted(_LITERALS[name])
        values = context.get(name.lower(), ())
        if len(values) == 1:
            return _quoted(values[0])
        if comma:
            return _quoted(default.strip().strip("'"))
        missing = True
        return ""

    text = _VARIABLE.sub(value, pattern)
    return None if missing else text


def unquoted(text: str) -> str:
    """A substituted pattern as plain text, for operators without wildcards."""
    return text.replace(_STAR, "*").replace(_QUESTION, "?")


def _quoted(text: str) -> str:
    return text.replace("*", _STAR).replace("?", _QUESTION)
