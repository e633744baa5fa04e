"""Filter patterns: which messages FilterLogEvents returns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from dock.aws.service import AwsError

Matcher = Callable[[str], bool]
_Condition = Callable[[Any], bool]

_MISSING = object()
_TERM = re.compile(r'\s*([?-]?)("(?:[^"\\]|\\.)*"|%[^%]+%|[^\s"]+)')
_TOKEN = re.compile(
    r"""\s*(?:(?P<path>\$(?:\.[\w@-]+|\[(?:\d+|'[^']*'|"[^"]*")\])*)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<regex>%[^%]+%)"""
    r"""|(?P<operator>&&|\|\||!=|<=|>=|=|<|>|\(|\))|(?P<word>[^\s()=<>!&|"]+))"""
)
_STEP = re.compile(r"""\.([\w@-]+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]""")


def compile_pattern(pattern: str) -> Matcher | None:
    """A function that tells whether a message matches; None when the pattern matches all.

    Terms (`ERROR timeout`, `"in quotes"`, `-excluded`, `?either ?or`, `%regular expression%`) and JSON conditions
    (`{ $.status >= 500 && $.path = "/api/*" }`). Raises AwsError for anything else, also for space-delimited patterns
    in square brackets.
    """
    text = pattern.strip()
    if not text:
        return None
    if text.startswith("{"):
        if not text.endswith("}"):
            raise _invalid(pattern, "it starts with { but doesn't end with }")
        condition = _Parser(pattern, text[1:-1]).parse()
        return lambda message: _matches_json(condition, message)
    if text.startswith("["):
        raise _invalid(pattern, "the dock does not do space-delimited patterns; see docs/differences-from-aws.md")
    return _terms(pattern, text)


def paths(pattern: str) -> list[str]:
    """The properties that a JSON pattern asks for, each once, for example `$.status`."""
    text = pattern.strip()
    if not text.startswith("{"):
        return []
    return list(dict.fromkeys(match["path"] for match in _TOKEN.finditer(text[1:-1]) if match["path"]))


def value_at(document: Any, path: str) -> Any:
    """The value of a property such as `$.request.status` of a JSON document; None when it isn't there."""
    found = _value(document, _steps(path))
    return None if found is _MISSING else found


def is_path(text: str) -> bool:
    """Whether this is a property of a JSON document, as `$.latency`."""
    match = _TOKEN.fullmatch(text)
    return match is not None and match.lastgroup == "path" and text != "$"


def _steps(path: str) -> list[str]:
    return [next(part for part in match if part != "") for match in _STEP.findall(path)]


def _invalid(pattern: str, why: str) -> AwsError:
    return AwsError("InvalidParameterException", f"Invalid filter pattern {pattern!r}: {why}")


def _terms(pattern: str, text: str) -> Matcher:
    required: list[Matcher] = []
    optional: list[Matcher] = []
    excluded: list[Matcher] = []
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise _invalid(pattern, f"what starts at {text[position:].strip()[:20]!r} is not a term")
        position = match.end()
        kind = {"": required, "?": optional, "-": excluded}[match[1]]
        kind.append(_term(pattern, match[2]))
    if optional and (required or excluded):
        raise _invalid(pattern, "terms with ? can't be combined with others")
    return lambda message: (
        all(term(message) for term in required)
        and (not optional or any(term(message) for term in optional))
        and not any(term(message) for term in excluded)
    )


def _term(pattern: str, text: str) -> Matcher:
    if text.startswith("%"):
        expression = _regex(pattern, text)
        return lambda message: expression.search(message) is not None
    wanted = _unquote(text) if text.startswith('"') else text
    return lambda message: wanted in message


def _regex(pattern: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text[1:-1])
    except re.error as problem:
        raise _invalid(pattern, f"{text} is not a regular expression: {problem}") from None


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _matches_json(condition: _Condition, message: str) -> bool:
    try:
        document = json.loads(message)
    except ValueError:
        return False
    return isinstance(document, dict) and condition(document)


class _Parser:
    """or := and ("||" and)* ; and := one ("&&" one)* ; one := "(" or ")" | path comparison."""

    def __init__(self, pattern: str, text: str) -> None:
        self._pattern = pattern
        self._tokens: list[tuple[str, str]] = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise _invalid(pattern, f"unexpected {text[position:].strip()[:20]!r}")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    def parse(self) -> _Condition:
        condition = self._either()
        if self._tokens:
            raise _invalid(self._pattern, f"unexpected {self._tokens[0][1]!r}")
        return condition

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise _invalid(self._pattern, "it ends too early")
        return self._tokens.pop(0)

    def _took(self, *words: str) -> bool:
        if [text.upper() for _, text in self._tokens[: len(words)]] == list(words):
            del self._tokens[: len(words)]
            return True
        return False

    def _either(self) -> _Condition:
        conditions = [self._both()]
        while self._took("||"):
            conditions.append(self._both())
        return lambda document: any(condition(document) for condition in conditions)

    def _both(self) -> _Condition:
        conditions = [self._one()]
        while self._took("&&"):
            conditions.append(self._one())
        return lambda document: all(condition(document) for condition in conditions)

    def _one(self) -> _Condition:
        if self._took("("):
            condition = self._either()
            if not self._took(")"):
                raise _invalid(self._pattern, "a ) is missing")
            return condition
        kind, path = self._next()
        if kind != "path":
            raise _invalid(self._pattern, f"expected a property such as $.status, not {path!r}")
        steps = _steps(path)
        if self._took("NOT", "EXISTS"):
            return lambda document: _value(document, steps) is _MISSING
        for word, wanted in (("NULL", None), ("TRUE", True), ("FALSE", False)):
            if self._took("IS", word):
                return lambda document, wanted=wanted: _value(document, steps) is wanted  # type: ignore[misc]
        return self._comparison(steps)

    def _comparison(self, steps: list[str]) -> _Condition:
        kind, operator = self._next()
        if kind != "operator" or operator in ("(", ")", "&&", "||"):
            raise _invalid(self._pattern, f"expected a comparison, not {operator!r}")
        kind, text = self._next()
        if kind not in ("string", "word", "regex"):
            raise _invalid(self._pattern, f"expected a value, not {text!r}")
        equals: _Condition
        if kind == "regex":
            expression = _regex(self._pattern, text)
            equals = lambda value: expression.search(_text(value)) is not None  # noqa: E731
        else:
            wanted = _unquote(text) if kind == "string" else text
            number = _number(wanted) if kind == "word" else None
            if operator not in ("=", "!="):
                return self._order(steps, operator, number)
            equals = lambda value: (  # noqa: E731
                _number(value) == number if number is not None else fnmatchcase(_text(value), wanted)
            )
        if operator == "=":
            return lambda document: (value := _value(document, steps)) is not _MISSING and equals(value)
        if operator == "!=":
            return lambda document: (value := _value(document, steps)) is not _MISSING and not equals(value)
        raise _invalid(self._pattern, f"{operator} needs a number")

    def _order(self, steps: list[str], operator: str, number: float | None) -> _Condition:
        if number is None:
            raise _invalid(self._pattern, f"{operator} needs a number")
        compare: dict[str, Callable[[float], bool]] = {
            "<": lambda value: value < number,
            "<=": lambda value: value <= number,
            ">": lambda value: value > number,
            ">=": lambda value: value >= number,
        }
        holds = compare[operator]
        return lambda document: (value := _number(_value(document, steps))) is not None and holds(value)


def _value(document: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step, _MISSING)
        elif isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        else:
            return _MISSING
    return document


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is _MISSING or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
