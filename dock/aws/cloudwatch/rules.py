"""The rules of composite alarms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, UnexpectedInput

# AWS's limits on a rule (PutCompositeAlarm).
MOST_CHILDREN = 100
MOST_ELEMENTS = 500
_GRAMMAR = r"""
    ?start: either
    ?either: both | either "OR"i both -> either
    ?both: negated | both "AND"i negated -> both
    ?negated: atom | "NOT"i negated -> negation
    ?atom: STATE "(" (QUOTED | BARE) ")" -> state
         | CONSTANT -> constant
         | "(" either ")"
    STATE.2: /(ALARM|OK|INSUFFICIENT_DATA)(?=\s*\()/
    CONSTANT.2: /TRUE|FALSE/i
    QUOTED: /"[^"]+"|'[^']+'/
    BARE: /[^\s()"',]+/
    %ignore /\s+/
"""


@dataclass(frozen=True, slots=True)
class State:
    """Whether an alarm (a name or an ARN) is in a state."""

    state: str
    alarm: str


@dataclass(frozen=True, slots=True)
class Constant:
    value: bool


@dataclass(frozen=True, slots=True)
class Negation:
    operand: Rule


@dataclass(frozen=True, slots=True)
class Both:
    left: Rule
    right: Rule


@dataclass(frozen=True, slots=True)
class Either:
    left: Rule
    right: Rule


Rule = State | Constant | Negation | Both | Either


class _Tree(Transformer[Token, Rule]):
    def state(self, children: list[Token]) -> Rule:
        name = str(children[1])
        return State(str(children[0]), name[1:-1] if name[0] in "\"'" else name)

    def constant(self, children: list[Token]) -> Rule:
        return Constant(str(children[0]).upper() == "TRUE")

    def negation(self, children: list[Rule]) -> Rule:
        return Negation(children[0])

    def both(self, children: list[Rule]) -> Rule:
        return Both(children[0], children[1])

    def either(self, children: list[Rule]) -> Rule:
        return Either(children[0], children[1])


@functools.cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", transformer=_Tree())


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Rule:
    """Raises ValueError for what is no rule, and for one that is too large."""
    try:
        tree: Any = _parser().parse(text)
    except UnexpectedInput as problem:
        at = problem.pos_in_stream or 0
        raise ValueError(f"AlarmRule has an error at character {at}: {text[at:][:20]!r}") from None
    except (LarkError, RecursionError) as problem:
        raise ValueError(f"AlarmRule can't be read: {problem}") from None
    rule: Rule = tree
    elements = list(walk(rule))
    if len(elements) > MOST_ELEMENTS:
        raise ValueError(f"AlarmRule has {len(elements)} elements; {MOST_ELEMENTS} are the most")
    if len(alarms(rule)) > MOST_CHILDREN:
        raise ValueError(f"AlarmRule names {len(alarms(rule))} alarms; {MOST_CHILDREN} are the most")
    return rule


def walk(rule: Rule) -> Iterator[Rule]:
    """The rule and all inside it."""
    left_to_see = [rule]
    while left_to_see:
        one = left_to_see.pop()
        yield one
        match one:
            case Negation(operand):
                left_to_see.append(operand)
            case Both(left, right) | Either(left, right):
                left_to_see += [left, right]


def alarms(rule: Rule) -> list[str]:
    """The alarms (names or ARNs) that a rule refers to."""
    return sorted({one.alarm for one in walk(rule) if isinstance(one, State)})


def holds(rule: Rule, state_of: Callable[[str], str | None]) -> bool:
    """Whether the rule is true. An alarm that isn't there (None) is in no state."""
    match rule:
        case State(state, alarm):
            return state_of(alarm) == state
        case Constant(value):
            return value
        case Negation(operand):
            return not holds(operand, state_of)
        case Both(left, right):
            return holds(left, state_of) and holds(right, state_of)
        case Either(left, right):
            return holds(left, state_of) or holds(right, state_of)
