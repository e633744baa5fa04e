"""The functions and comparisons of the language."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from dock.engines.edge.language.addresses import AddressList
from dock.engines.edge.language.facts import ADDRESS, BOOLEAN, NUMBER, STRING, STRINGS
from dock.engines.edge.language.tokens import ExpressionError, Token


@dataclass(frozen=True, slots=True)
class Function:
    """`takes` are the types of its arguments; the last may be repeated where `more`."""

    takes: tuple[str, ...]
    gives: str
    do: Callable[..., Any]
    more: bool = False

    def check(self, name: Token, kinds: Sequence[str]) -> None:
        wanted = list(self.takes)
        if self.more:
            wanted += [self.takes[-1]] * (len(kinds) - len(wanted))
        if list(kinds) != wanted:
            raise ExpressionError(f"{name.text}() takes {', '.join(self.takes)}, not {', '.join(kinds)}", name.position)


FUNCTIONS: dict[str, Function] = {
    "lower": Function((STRING,), STRING, str.lower),
    "upper": Function((STRING,), STRING, str.upper),
    "len": Function((STRING,), NUMBER, len),
    "url_decode": Function((STRING,), STRING, unquote),
    "starts_with": Function((STRING, STRING), BOOLEAN, str.startswith),
    "ends_with": Function((STRING, STRING), BOOLEAN, str.endswith),
    "concat": Function((STRING, STRING), STRING, lambda *parts: "".join(parts), more=True),
    "has_value": Function((STRINGS, STRING), BOOLEAN, lambda values, value: value in values),
}
COMPARISONS: dict[str, Callable[[Any], Callable[[Any], bool]]] = {
    "eq": lambda right: lambda value: bool(value == right),
    "lt": lambda right: lambda value: bool(value < right),
    "le": lambda right: lambda value: bool(value <= right),
    "gt": lambda right: lambda value: bool(value > right),
    "ge": lambda right: lambda value: bool(value >= right),
    "contains": lambda right: lambda value: right in value,
}


def call(do: Callable[..., Any], values: list[Any]) -> Any:
    """What isn't there stays so."""
    return None if any(value is None for value in values) else do(*values)


def item(values: Sequence[str], at: int) -> str | None:
    return values[at] if 0 <= at < len(values) else None


def pattern(text: str, position: int) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ExpressionError(f"the pattern is wrong: {error}", position) from None


def wildcard(text: str, *, ignore_case: bool) -> re.Pattern[str]:
    r"""`*` stands for anything; `\*` and `\\` for themselves."""
    parts = re.split(r"(\\[*\\]|\*)", text)
    made = "".join(".*" if part == "*" else re.escape(part[1:] if part in (r"\*", r"\\") else part) for part in parts)
    return re.compile(made, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def membership(kind: str, words: Sequence[Token]) -> Callable[[Any], bool]:
    """Whether a value is in a set that is written out."""
    wanted = {STRING: ("string",), NUMBER: ("number", "range"), ADDRESS: ("address",)}.get(kind, ())
    for word in words:
        if word.kind not in wanted:
            raise ExpressionError(f"{word.text!r} is not a {kind}", word.position)
    if kind == ADDRESS:
        entries = []
        for word in words:
            try:
                AddressList([word.text])
            except ValueError as error:
                raise ExpressionError(str(error), word.position) from None
            entries.append(word.text)
        found = AddressList(entries)
        return lambda value: value in found
    if kind == NUMBER:
        ranges = [tuple(map(int, word.text.split(".."))) for word in words]
        return lambda value: any(each[0] <= value <= each[-1] for each in ranges)
    texts = frozenset(word.text for word in words)
    return lambda value: value in texts
