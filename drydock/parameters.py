"""Parameters of a runbook from the command line: strict, and complete before anything starts."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from drydock.errors import UsageError
from operations.parameters import BY_RUNBOOK, Changing, Where

# Options of the command, because what they do is the command's, too.
_OPTIONS = {"dry_run": "--apply", "resume": "drydock resume", "environment": "--env"}


def model(name: str) -> type[Where]:
    """The parameters of the runbook of this name. Raises UsageError."""
    if name not in BY_RUNBOOK:
        close = difflib.get_close_matches(name, BY_RUNBOOK, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise UsageError(f"there is no runbook {name!r}{meant} There are: {', '.join(sorted(BY_RUNBOOK))}")
    return BY_RUNBOOK[name]


def read(name: str, environment: str, given: Sequence[str], *, apply: bool) -> Where:
    """The checked parameters from `key=value` words. Raises UsageError, which lists all that is wrong."""
    kind = model(name)
    if apply and not issubclass(kind, Changing):
        raise UsageError(f"{name} changes nothing: it has no --apply", f"drydock run {name} --env {environment}")
    values: dict[str, Any] = {"environment": environment}
    wrong: list[str] = []
    for word in given:
        key, equals, text = word.partition("=")
        field = kind.model_fields.get(key)
        if not equals:
            wrong.append(f"{word!r}: give it as key=value")
        elif key in _OPTIONS and (key in kind.model_fields or key == "dry_run"):
            wrong.append(f"{key}: use {_OPTIONS[key]}")
        elif field is None:
            close = difflib.get_close_matches(key, kind.model_fields, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            wrong.append(f"{key}: {name} has no such parameter{meant} It has: {', '.join(_settable(kind))}")
        elif key in values:
            wrong.append(f"{key}: given twice")
        else:
            values[key] = _value(text, field)
    if issubclass(kind, Changing):
        values["dry_run"] = not apply
    try:
        parameters = kind(**values)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            wrong.append(_fault(str(fault["loc"][0]), fault["msg"], kind, values))
        parameters = None
    if wrong or parameters is None:
        listed = "".join(f"\n  - {each}" for each in wrong)
        raise UsageError(f"these parameters of {name} can't be used; nothing was started:{listed}")
    return parameters


def describe(kind: type[Where]) -> list[tuple[str, str, str, str]]:
    """Name, type, default and meaning of each parameter that can be set."""
    return [
        (
            name,
            _type(kind.model_fields[name]),
            _default(kind.model_fields[name]),
            kind.model_fields[name].description or "",
        )
        for name in _settable(kind)
    ]


def _settable(kind: type[Where]) -> list[str]:
    return [name for name in kind.model_fields if name not in _OPTIONS]


def _value(text: str, field: FieldInfo) -> Any:
    """As YAML reads it, which keeps numbers numbers; the text itself for a parameter that is text ("1.10" is one)."""
    if field.annotation is str:
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _fault(name: str, message: str, kind: type[Where], values: dict[str, Any]) -> str:
    field = kind.model_fields.get(name)
    if field is None:
        return f"{name}: {message}"
    expected = f"expected: {_type(field)}{_bounds(field)}, {field.description}"
    if name not in values:
        return f"{name}: missing; {expected}"
    return f"{name}: {message}; {expected}"


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _bounds(field: FieldInfo) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "pattern": "like", "min_length": "at least so long:"}
    found = [
        f"{sign} {getattr(each, name)}"
        for each in field.metadata
        for name, sign in signs.items()
        if hasattr(each, name)
    ]
    return f" ({', '.join(found)})" if found else ""


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else repr(field.default)
