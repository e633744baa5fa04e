"""Conditions as HAProxy's ACL expressions."""

from __future__ import annotations

import re

from dock.engines.haproxy.model import Condition, Subject

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/=&:,;@%~!")
# All that is printed in ASCII but what means something between double quotes.
_QUOTABLE = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\$')


def expression(condition: Condition) -> str:
    """One ACL expression that is true when one of the condition's values matches."""
    match condition.subject:
        case Subject.PATH:
            return _regex("path", condition.values, ignore_case=False)
        case Subject.HOST:
            return _regex("req.hdr(host),field(1,:)", condition.values)
        case Subject.HEADER:
            return _regex(f"req.fhdr({condition.header})", condition.values)
        case Subject.METHOD:
            return f"method -m str -- {' '.join(condition.values)}"
        case Subject.QUERY:
            patterns = [_query(value) for value in condition.values]
            return "query -m reg -i -- " + " ".join(patterns)
        case Subject.SOURCE:
            return f"src -m ip -- {' '.join(condition.values)}"


def _regex(fetch: str, values: tuple[str, ...], *, ignore_case: bool = True) -> str:
    flags = "-m reg -i" if ignore_case else "-m reg"
    return f"{fetch} {flags} -- " + " ".join(f"'^{wildcard(value, '.')}$'" for value in values)


def _query(value: str) -> str:
    key, _, content = value.partition("=")
    name = f"{wildcard(key, '[^&=]')}=" if key else "([^&=]*=)?"
    return f"'(^|&){name}{wildcard(content, '[^&]')}(&|$)'"


def wildcard(pattern: str, any_character: str) -> str:
    """A regular expression for `*` (none or more) and `?` (one); all else is itself. Safe between single quotes."""
    parts = []
    for byte in pattern.encode():
        if byte == ord("*"):
            parts.append(f"{any_character}*")
        elif byte == ord("?"):
            parts.append(any_character)
        elif byte in _PLAIN:
            parts.append(chr(byte))
        else:
            parts.append(f"\\x{byte:02x}")
    return "".join(parts)


def quoted(text: str) -> str:
    """Text as one argument of HAProxy's configuration: within double quotes, all that could mean something escaped."""
    return f'"{_escaped(text)}"'


def redirect_location(protocol: str, host: str, port: str, path: str, query: str) -> str:
    """Where a redirect leads, as an argument in HAProxy's log format; the parts may hold `#{...}` placeholders.

    The variable `txn.query` must hold the request's query with its question mark, when there is one.
    """
    tail = "%[var(txn.query)]" if query == "#{query}" else "?" + _formatted(query) if query else ""
    return f'"{_formatted(protocol)}://{_formatted(host)}:{_formatted(port)}{_formatted(path)}{tail}"'


_PLACEHOLDERS = {
    "#{protocol}": "%[var(txn.protocol)]",
    "#{host}": "%[req.hdr(host),field(1,:)]",
    "#{port}": "%[dst_port]",
    "#{path}": "%[path,regsub(^/,)]",
    "#{query}": "%[query]",
}


def _formatted(text: str) -> str:
    parts = re.split(r"(#\{[a-z]+\})", text)
    return "".join(_PLACEHOLDERS.get(part) or _escaped(part.replace("%", "%%")) for part in parts)


def _escaped(text: str) -> str:
    return "".join(chr(byte) if byte in _QUOTABLE else f"\\x{byte:02x}" for byte in text.encode())
