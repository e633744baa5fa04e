"""The declarations' own language: JMESPath, with a few functions for what an API's JSON needs."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import jmespath
from jmespath import functions

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _takes(*types: dict[str, Any]) -> Callable[[_Method], _Method]:
    """The types of a function's arguments, as JMESPath checks them."""
    declared: Callable[[_Method], _Method] = functions.signature(*types)
    return declared


class _Functions(functions.Functions):  # type: ignore[misc]
    @_takes({"types": ["object", "null"]}, {"types": ["string"]}, {"types": ["string"]})
    def _func_pairs(self, mapping: Mapping[str, Any] | None, name: str, value: str) -> list[dict[str, Any]] | None:
        """`pairs(tags, 'Key', 'Value')`: a map as the list of pairs that many APIs have instead."""
        return None if mapping is None else [{name: key, value: item} for key, item in sorted(mapping.items())]

    @_takes({"types": ["array", "null"]}, {"types": ["string"]}, {"types": ["string"]})
    def _func_map_of(self, pairs: list[dict[str, Any]] | None, name: str, value: str) -> dict[str, Any] | None:
        return None if pairs is None else {pair[name]: pair.get(value) for pair in pairs}

    @_takes({"types": ["string", "null"]})
    def _func_parse_json(self, text: str | None) -> Any:
        return None if text is None else json.loads(text)

    @_takes({"types": []})
    def _func_format_json(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"))

    @_takes({"types": []}, {"types": ["string"]})
    def _func_recase(self, value: Any, case: str) -> Any:
        """`recase(x, 'Pascal')` or `'camel'`: the first letter of every name below, as the other side writes it."""
        return recase(value, str.upper if case == "Pascal" else str.lower)

    @_takes({"types": []})
    def _func_snake(self, value: Any) -> Any:
        """Every name below as `some_name`; without those that have no value."""
        return renamed(prune(value), lambda name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())

    @_takes({"types": []})
    def _func_camel(self, value: Any) -> Any:
        """Every name below as `someName`."""
        return renamed(value, lambda name: re.sub(r"_([a-z0-9])", lambda match: str(match[1]).upper(), name))

    @_takes({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_split(self, text: str | None, separator: str) -> list[str] | None:
        return None if text is None else text.split(separator)

    @_takes({"types": ["string", "null"]}, {"types": ["string"]}, {"types": ["string"]})
    def _func_replace(self, text: str | None, old: str, new: str) -> str | None:
        return None if text is None else text.replace(old, new)

    @_takes({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_before(self, text: str | None, separator: str) -> str | None:
        return None if text is None else text.partition(separator)[0]

    @_takes({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_after(self, text: str | None, separator: str) -> str | None:
        """What follows the last separator."""
        return None if text is None else text.rpartition(separator)[2]

    @_takes({"types": ["string", "null"]})
    def _func_lower(self, text: str | None) -> str | None:
        return None if text is None else text.lower()

    @_takes()
    def _func_unique(self) -> str:
        """Another text each time: what a call that makes something is told apart by."""
        return uuid.uuid4().hex

    @_takes({"types": ["string", "null"]})
    def _func_domain(self, text: str | None) -> str | None:
        """A domain name as people write it: no final dot, an asterisk instead of its octal number."""
        return None if text is None else text.rstrip(".").replace("\\052", "*").lower()

    @_takes({"types": ["string", "null"]})
    def _func_decode_base64(self, text: str | None) -> str | None:
        return None if text is None else base64.b64decode(text).decode()

    @_takes({"types": ["array", "null"]}, {"types": ["array", "null"]})
    def _func_without(self, these: list[Any] | None, those: list[Any] | None) -> list[Any]:
        return [item for item in these or [] if item not in (those or [])]

    @_takes({"types": []}, {"types": []})
    def _func_when(self, condition: Any, value: Any) -> Any:
        """`when(condition, value)`: the value, or nothing."""
        return value if condition else None

    @_takes({"types": ["array", "null"]}, {"types": ["string"]}, {"types": []})
    def _func_pick(self, items: list[dict[str, Any]] | None, name: str, value: Any) -> dict[str, Any] | None:
        """The item whose `name` is `value`: a filter can't compare with something outside of the list."""
        return next((item for item in items or [] if item.get(name) == value), None)

    @_takes({"types": ["object"]})
    def _func_settings(self, given: Mapping[str, Any]) -> list[dict[str, str]] | None:
        """A map as `[{Key, Value}]` with texts for values, without what isn't given."""
        set_ = {name: value for name, value in given.items() if value is not None}
        texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in set_.items()}
        return [{"Key": name, "Value": text} for name, text in texts.items()] or None

    # JMESPath's own refuse null, which is what an API's answer has for everything that isn't set.
    @_takes({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_starts_with(self, text: str | None, prefix: str) -> bool:
        return text is not None and text.startswith(prefix)

    @_takes({"types": ["array", "string", "object", "null"]})
    def _func_length(self, value: Any) -> int:
        return len(value or ())

    @_takes({"types": ["array", "string", "null"]}, {"types": []})
    def _func_contains(self, whole: Any, part: Any) -> bool:
        return part in (whole or ())

    @_takes({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_matches(self, text: str | None, pattern: str) -> bool:
        return text is not None and re.fullmatch(pattern, text) is not None

    @_takes({"types": ["string", "number", "null"]})
    def _func_text(self, value: str | float | None) -> str | None:
        """A number as a text: JMESPath's `to_string` makes "null" of nothing."""
        return None if value is None else str(value)

    @_takes({"types": ["string", "boolean", "null"]})
    def _func_boolean(self, value: str | bool | None) -> bool | None:
        return None if value is None else value in (True, "true", "True")

    @_takes({"types": ["string", "number", "null"]})
    def _func_integer(self, value: str | float | None) -> int | None:
        return None if value in (None, "") else int(value)


_OPTIONS = jmespath.Options(custom_functions=_Functions())


@cache
def _compiled(expression: str) -> Any:
    return jmespath.compile(expression)


def evaluate(expression: str, document: Any) -> Any:
    """The expression's value in the document, which is plain JSON. Raises jmespath.exceptions.JMESPathError."""
    return _compiled(expression).search(document, _OPTIONS)


def fill(template: Any, document: Mapping[str, Any]) -> Any:
    """The template with every string `$EXPRESSION` in it evaluated; what evaluates to nothing is left out."""
    if isinstance(template, str):
        return prune(evaluate(template[1:], document)) if template.startswith("$") else template
    if isinstance(template, Mapping):
        filled = {name: fill(item, document) for name, item in template.items()}
        kept = {name: item for name, item in filled.items() if item is not None}
        # A structure of which nothing is left was not asked for.
        return kept if kept or not template else None
    if isinstance(template, list):
        return [item for item in (fill(item, document) for item in template) if item is not None]
    return template


def prune(value: Any) -> Any:
    """The value without the names that have no value."""
    if isinstance(value, Mapping):
        return {name: prune(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [prune(item) for item in value]
    return value


def recase(value: Any, letter: Callable[[str], str]) -> Any:
    return renamed(value, lambda name: letter(name[:1]) + name[1:])


def renamed(value: Any, new: Callable[[str], str]) -> Any:
    """The value with every name in it, however deep, replaced."""
    if isinstance(value, Mapping):
        return {new(name): renamed(item, new) for name, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, new) for item in value]
    return value


def plain(value: Any) -> Any:
    """An API client's answer as plain JSON: times become ISO 8601, bytes base64."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "read"):
        return base64.b64encode(value.read()).decode()
    return value
