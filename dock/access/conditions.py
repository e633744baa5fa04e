"""The condition operators of IAM's policy language.

Semantics after the IAM user guide (reference_policies_elements_condition_operators, reference_policies_condition-logic-
multiple-context-keys-or-values): a key that is missing fails a condition, except a negated one, `…IfExists`, `Null` and
`ForAllValues`.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from dock.access import patterns
from dock.access.patterns import Context

Compare = Callable[[str, str], bool]
"""Whether a value of the request fits a value of the policy. Raises ValueError when either is of another type."""


def moment(text: str) -> float:
    """Seconds since the epoch, from ISO 8601 or from seconds. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        parsed = dt.datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).timestamp()


def _number(compare: Callable[[float, float], bool]) -> Compare:
    return lambda have, want: compare(float(have), float(want))


def _date(compare: Callable[[float, float], bool]) -> Compare:
    return lambda have, want: compare(moment(have), moment(want))


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as problem:
        raise ValueError(text) from problem


@lru_cache(maxsize=1024)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _in_network(have: str, want: str) -> bool:
    return ipaddress.ip_address(have) in _network(want)


def _plain(compare: Compare) -> Compare:
    return lambda have, want: compare(have, patterns.unquoted(want))


_POSITIVE: dict[str, Compare] = {
    "stringequals": _plain(lambda have, want: have == want),
    "stringequalsignorecase": _plain(lambda have, want: have.casefold() == want.casefold()),
    "stringlike": lambda have, want: patterns.matches(want, have),
    "numericequals": _number(lambda have, want: have == want),
    "numericlessthan": _number(lambda have, want: have < want),
    "numericlessthanequals": _number(lambda have, want: have <= want),
    "numericgreaterthan": _number(lambda have, want: have > want),
    "numericgreaterthanequals": _number(lambda have, want: have >= want),
    "dateequals": _date(lambda have, want: have == want),
    "datelessthan": _date(lambda have, want: have < want),
    "datelessthanequals": _date(lambda have, want: have <= want),
    "dategreaterthan": _date(lambda have, want: have > want),
    "dategreaterthanequals": _date(lambda have, want: have >= want),
    "bool": lambda have, want: _boolean(have) == _boolean(want),
    "binaryequals": lambda have, want: _bytes(have) == _bytes(want),
    "ipaddress": _in_network,
    "arnequals": lambda have, want: patterns.matches_arn(want, have),
    "arnlike": lambda have, want: patterns.matches_arn(want, have),
}
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}
# Policy variables mean nothing to the others.
_WITH_VARIABLES = ("string", "arn")


class UnknownOperatorError(ValueError):
    """There is no such condition operator."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key."""

    operator: str
    key: str
    values: tuple[str, ...]
    variables: bool
    """Whether this version of the policy language has policy variables."""

    def holds(self, context: Context) -> bool:
        name, every, some, if_exists = _parts(self.operator)
        values = context.get(self.key)
        if name == "null":
            return (values is None) in {_boolean(value) for value in self.values}
        negated = name in _NEGATED
        if not values:
            return if_exists or every or (negated and not some)
        compare = _POSITIVE[_NEGATED.get(name, name)]
        wanted = self._wanted(name, context)
        fits = [any(_fits(compare, have, want) for want in wanted) != negated for have in values]
        # Without a set operator, one fitting value is enough, and a negated operator wants none to match.
        return all(fits) if every or (negated and not some) else any(fits)

    def context_keys(self) -> set[str]:
        named = {self.key}
        for value in self.values:
            named.update(patterns.variables(value) if self.variables else ())
        return named

    def _wanted(self, name: str, context: Context) -> list[str]:
        if not self.variables or not name.startswith(_WITH_VARIABLES):
            return list(self.values)
        found = (
            patterns.substitute(value, context) if patterns.has_variables(value) else value for value in self.values
        )
        return [value for value in found if value is not None]


def _fits(compare: Compare, have: str, want: str) -> bool:
    try:
        return compare(have, want)
    except ValueError:
        return False


@lru_cache(maxsize=512)
def _parts(operator: str) -> tuple[str, bool, bool, bool]:
    """The operator's name in lower case, whether it is ForAllValues, ForAnyValue, …IfExists. Raises
    UnknownOperatorError."""
    qualifier, colon, name = operator.rpartition(":")
    every, some = qualifier.lower() == "forallvalues", qualifier.lower() == "foranyvalue"
    lower = name.lower()
    bare = lower.removesuffix("ifexists")
    known = bare in _POSITIVE or bare in _NEGATED or (lower == "null" and not colon)
    if not known or (colon and not every and not some):
        raise UnknownOperatorError(operator)
    return bare, every, some, bare != lower


def check_value(operator: str, value: str) -> None:
    """Raise ValueError for an operator there isn't, or a value that it can never compare."""
    name = _parts(operator)[0]
    if name.startswith("numeric"):
        float(value)
    elif name.startswith("date"):
        moment(value)
    elif name in ("bool", "null"):
        # A variable may stand there, although it never is one of the two.
        if not patterns.has_variables(value):
            _boolean(value)
    elif name in ("ipaddress", "notipaddress"):
        _network(value)
    elif name == "binaryequals":
        _bytes(value)
