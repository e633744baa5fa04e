"""The input types of resources, as the SDK declares them, and whether given values fit.

A type is written as JSON: `"string"`, `"integer"`, `"number"`, `"boolean"`, `"any"`, `{"list": T}`, `{"map": T}`,
`{"enum": [...]}` or `{"object": {name: T}, "required": [...]}`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dock.providers.errors import Failure
from dock.providers.properties import UNKNOWN

Type = Any


@dataclass(frozen=True, slots=True)
class ResourceSchema:
    """`secret` are the outputs that the SDK itself treats as secret."""

    inputs: Mapping[str, Type]
    required: frozenset[str]
    outputs: frozenset[str]
    secret: frozenset[str]


@cache
def load(path: Path) -> dict[str, ResourceSchema]:
    """The committed schema file, by token."""
    return {
        token: ResourceSchema(
            facts["inputs"], frozenset(facts["required"]), frozenset(facts["outputs"]), frozenset(facts["secret"])
        )
        for token, facts in json.loads(path.read_text())["resources"].items()
    }


def check_object(
    values: Mapping[str, Any], fields: Mapping[str, Type], required: Iterable[str], prefix: str = ""
) -> Iterator[Failure]:
    """What doesn't fit: a name that isn't there, one that is missing, a value of another type. Unknown values fit."""
    for name, value in values.items():
        path = f"{prefix}{name}"
        if name.startswith("__"):
            continue
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(sorted(fields))}"
            yield Failure(path, f"there is no property '{name}': {hint}")
        elif value is not None:
            yield from check_value(value, fields[name], path)
    for name in sorted(required):
        if values.get(name) is None:
            yield Failure(f"{prefix}{name}", "this property is required and missing")


def check_value(value: Any, kind: Type, path: str) -> Iterator[Failure]:
    if value is UNKNOWN or value is None or kind == "any":
        return
    if isinstance(kind, str):
        if not _is(value, kind):
            yield Failure(path, f"must be {_article(kind)}, not {_article(_kind(value))}")
    elif "enum" in kind:
        if value not in kind["enum"]:
            # The value isn't shown: nobody knows what somebody put here by mistake.
            close = difflib.get_close_matches(str(value), map(str, kind["enum"]), n=1)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            yield Failure(path, f"must be one of {', '.join(map(str, kind['enum']))}{hint}")
    elif "list" in kind:
        if not isinstance(value, list):
            yield Failure(path, f"must be a list, not {_article(_kind(value))}")
            return
        for index, item in enumerate(value):
            yield from check_value(item, kind["list"], f"{path}[{index}]")
    elif "map" in kind:
        if not isinstance(value, Mapping):
            yield Failure(path, f"must be a map, not {_article(_kind(value))}")
            return
        for name, item in value.items():
            yield from check_value(item, kind["map"], f"{path}.{name}")
    elif not isinstance(value, Mapping):
        yield Failure(path, f"must be an object, not {_article(_kind(value))}")
    else:
        yield from check_object(value, kind["object"], kind.get("required", ()), f"{path}.")


def _is(value: Any, kind: str) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, list) else "object"


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"


def package_schema(name: str, version: str, resources: Mapping[str, ResourceSchema]) -> str:
    """The package in Pulumi's schema format: what the dock emulates, not all that the SDK has."""
    types: dict[str, Any] = {}

    def spec(kind: Type, hint: str) -> dict[str, Any]:
        if isinstance(kind, str):
            return {"$ref": "pulumi.json#/Any"} if kind == "any" else {"type": kind}
        if "enum" in kind:
            return {"type": "string"}
        if "list" in kind:
            return {"type": "array", "items": spec(kind["list"], hint)}
        if "map" in kind:
            return {"type": "object", "additionalProperties": spec(kind["map"], hint)}
        types[hint] = {
            "type": "object",
            "properties": {
                key: spec(inner, f"{hint}{key[0].upper()}{key[1:]}") for key, inner in kind["object"].items()
            },
            "required": list(kind.get("required", ())),
        }
        return {"$ref": f"#/types/{hint}"}

    described = {}
    for token, schema in resources.items():
        inputs = {key: spec(kind, f"{token}{key[0].upper()}{key[1:]}") for key, kind in schema.inputs.items()}
        outputs = {key: inputs.get(key, {"$ref": "pulumi.json#/Any"}) for key in sorted(schema.outputs)}
        for key in schema.secret:
            outputs[key] = {**outputs[key], "secret": True}
        described[token] = {"inputProperties": inputs, "requiredInputs": sorted(schema.required), "properties": outputs}
    return json.dumps({"name": name, "version": version, "resources": described, "types": types})
