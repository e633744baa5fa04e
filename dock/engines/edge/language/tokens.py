"""An expression's text as words."""

from __future__ import annotations

import re
from dataclasses import dataclass


class ExpressionError(ValueError):
    """An expression that can't be used; `position` is where in its text, from 0."""

    def __init__(self, reason: str, position: int = 0) -> None:
        super().__init__(f"{reason} (at character {position + 1})")
        self.position = position


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is string, number, address, list, name, or operator (then `text` is in one spelling)."""

    kind: str
    text: str
    position: int


_WORDS = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | r(?P<hashes>\#*)"(?P<raw>.*?)"(?P=hashes)
  | (?P<range>\d+\.\.\d+(?![\d.]))
  | (?P<address>\d+\.\d+\.\d+\.\d+(?:/\d+|\.\.\d+\.\d+\.\d+\.\d+)?|[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:/\d+)?)
  | (?P<number>-?\d+)
  | (?P<list>\$[a-z0-9_.]+)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
  | (?P<operator>==|!=|<=|>=|&&|\|\||\^\^|[<>~!(){}\[\],*])
    """,
    re.VERBOSE | re.DOTALL,
)
# The two spellings of an operator, in one.
_SPELLINGS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "~": "matches",
              "&&": "and", "||": "or", "^^": "xor", "!": "not"}  # fmt: skip
_WORD_OPERATORS = frozenset(
    {"eq", "ne", "lt", "le", "gt", "ge", "matches", "contains", "wildcard", "strict", "in", "and", "or", "xor", "not"}
)


def tokens(text: str) -> list[Token]:
    """Raises ExpressionError for what is no word of the language."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _WORDS.match(text, at)
        if match is None:
            raise ExpressionError(f"{text[at : at + 12]!r} is not part of the language", at)
        kind = match.lastgroup or ""
        word = match.group()
        if match.group("raw") is not None:
            found.append(Token("string", match.group("raw"), at))
        elif kind == "string":
            found.append(Token("string", re.sub(r"\\(.)", r"\1", word[1:-1]), at))
        elif kind == "operator" or (kind == "name" and word in _WORD_OPERATORS):
            found.append(Token("operator", _SPELLINGS.get(word, word), at))
        elif kind != "space":
            found.append(Token(kind, word, at))
        at = match.end()
    return found
