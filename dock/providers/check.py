"""What a program gives, checked and completed: schema, enumerations, rules, defaults, names. Needs no cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from dock.providers.cloud import Configuration
from dock.providers.declaration import Declaration
from dock.providers.errors import Failure
from dock.providers.expressions import evaluate
from dock.providers.properties import UNKNOWN, holds_unknown
from dock.providers.schema import check_object, check_value

# Inputs that the check adds and no program gives.
DEFAULTS = "__defaults"
_SUFFIX_LENGTH = 7


def failures(declared: Declaration, inputs: Mapping[str, Any]) -> Iterator[Failure]:
    """Everything that is wrong with the inputs, not only the first."""
    # All tags are ours to add; they come back to us with a resource that is imported.
    given = {name: value for name, value in inputs.items() if name != "tagsAll"}
    yield from check_object(given, declared.schema.inputs, declared.schema.required)
    for name, value in given.items():
        if name in ("tags", "region") or name.startswith("__") or name not in declared.schema.inputs:
            continue
        if name not in declared.properties:
            if value is not None:
                yield Failure(
                    name,
                    f"the dock does not emulate this property of {declared.token}: leave it out here, "
                    f"or declare it in dock/providers/{declared.package}/types",
                )
        elif enum := declared.properties[name].enum:
            for item in value if isinstance(value, list) else [value]:
                yield from check_value(item, {"enum": enum}, name)
    for rule in declared.rules:
        involved = [name for name in given if name in rule.unless]
        if not any(holds_unknown(given[name]) for name in involved) and not evaluate(rule.unless, given):
            yield Failure(rule.property, rule.reason)


def complete(
    declared: Declaration,
    inputs: Mapping[str, Any],
    before: Mapping[str, Any],
    name: str,
    seed: bytes,
    configuration: Configuration,
) -> dict[str, Any]:
    """The inputs with region, defaults, a name and all tags.

    `before` are the resource's inputs so far; a name that was made up for it stays. `name` is the resource's in the
    program, `seed` the engine's, so that a preview and its update make up the same.
    """
    completed = {key: value for key, value in inputs.items() if value is not None and not key.startswith("__")}
    added = []
    if declared.regional and "region" not in completed:
        completed["region"] = configuration.region
        added.append("region")
    for key, known in declared.properties.items():
        if known.default is not None and key not in completed:
            completed[key] = list(known.default) if isinstance(known.default, tuple) else known.default
            added.append(key)
    auto = declared.name
    if auto and auto.property not in completed and not any(other in completed for other in auto.unless):
        kept = before.get(auto.property) if auto.property in before.get(DEFAULTS, ()) else None
        completed[auto.property] = kept or _made_up(name, auto.separator, auto.length, seed)
        added.append(auto.property)
    if declared.tags is not None:
        own = completed.get("tags") or {}
        completed["tagsAll"] = UNKNOWN if own is UNKNOWN else {**configuration.default_tags, **own}
        if not completed["tagsAll"]:
            del completed["tagsAll"]
    if added:
        completed[DEFAULTS] = sorted(added)
    return completed


def _made_up(name: str, separator: str, length: int, seed: bytes) -> str:
    # The engine sends no seed for a resource that it only reads.
    suffix = "".join(Random(seed or None).choices("0123456789abcdef", k=_SUFFIX_LENGTH))  # noqa: S311  (no secret)
    room = length - len(separator) - _SUFFIX_LENGTH
    return f"{name[:room]}{separator}{suffix}"
