"""The grammar of metric math, and the tree that an expression is read to."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, UnexpectedInput, VisitError

MOST_CHARACTERS = 1024
_GRAMMAR = r"""
    ?start: either
    ?either: both | either ("OR" | "||") both -> either
    ?both: comparison | both ("AND" | "&&") comparison -> both
    ?comparison: sum | comparison COMPARE sum -> operation
    ?sum: product | sum SIGN product -> operation
    ?product: unary | product TIMES unary -> operation
    ?unary: power | "-" unary -> negation
    ?power: atom | atom POWER unary -> operation
    ?atom: NUMBER -> number
         | STRING -> text
         | NAME -> name
         | WORD "(" [either ("," either)*] ")" -> call
         | WORD -> word
         | "[" either ("," either)* "]" -> array
         | "(" either ")"
    COMPARE: "==" | "!=" | "<=" | ">=" | "<" | ">"
    SIGN: "+" | "-"
    TIMES: "*" | "/"
    POWER: "^"
    NUMBER: /(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?/
    STRING: /"[^"\n]*"|'[^'\n]*'/
    NAME: /[a-z][A-Za-z0-9_]*/
    WORD: /[A-Z][A-Z0-9_]*/
    %ignore /\s+/
"""


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word such as REPEAT or DESC."""

    value: str


@dataclass(frozen=True, slots=True)
class Name:
    """The id of a metric or of another expression."""

    value: str


@dataclass(frozen=True, slots=True)
class Array:
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """`sign` is an arithmetic or comparison operator, AND or OR."""

    sign: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Negation:
    operand: Expression


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Expression, ...]


Expression = Number | Text | Word | Name | Array | Operation | Negation | Call


class _Tree(Transformer[Token, Expression]):
    def number(self, children: list[Token]) -> Expression:
        return Number(float(children[0]))

    def text(self, children: list[Token]) -> Expression:
        return Text(ast.literal_eval(f"r{children[0]}"))

    def name(self, children: list[Token]) -> Expression:
        return Name(str(children[0]))

    def word(self, children: list[Token]) -> Expression:
        return Word(str(children[0]))

    def call(self, children: list[Any]) -> Expression:
        return Call(str(children[0]), tuple(child for child in children[1:] if child is not None))

    def array(self, children: list[Expression]) -> Expression:
        return Array(tuple(children))

    def negation(self, children: list[Expression]) -> Expression:
        return Negation(children[0])

    def operation(self, children: list[Any]) -> Expression:
        return Operation(str(children[1]), children[0], children[2])

    def either(self, children: list[Expression]) -> Expression:
        return Operation("OR", *children)

    def both(self, children: list[Expression]) -> Expression:
        return Operation("AND", *children)


@functools.cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", transformer=_Tree(), maybe_placeholders=True)


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Raises ValueError, which says where, for what is not metric math."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"an expression has at most {MOST_CHARACTERS} characters")
    try:
        tree: Any = _parser().parse(text)
    except UnexpectedInput as problem:
        raise ValueError(
            f"error at character {problem.pos_in_stream}: {text[problem.pos_in_stream or 0 :][:20]!r}"
        ) from None
    except (LarkError, VisitError, RecursionError) as problem:
        raise ValueError(str(problem)) from None
    found: Expression = tree
    return found


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and all inside it, however deeply nested."""
    left_to_see = [expression]
    while left_to_see:
        one = left_to_see.pop()
        yield one
        match one:
            case Array(items) | Call(_, items):
                left_to_see.extend(items)
            case Operation(_, left, right):
                left_to_see += [left, right]
            case Negation(operand):
                left_to_see.append(operand)


def names(expression: Expression) -> set[str]:
    """The ids that an expression refers to."""
    return {one.value for one in walk(expression) if isinstance(one, Name)}


def calls(expression: Expression) -> set[str]:
    """The functions that an expression uses."""
    return {one.function for one in walk(expression) if isinstance(one, Call)}
