"""The inputs of a provider itself, which the engine hands over in a way of its own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dock.providers.errors import Failure
from dock.providers.properties import holds_unknown
from dock.providers.schema import check_object, load

# What only the engine itself puts among a provider's inputs.
_OF_THE_ENGINE = {"version", "pluginDownloadURL", "pluginChecksums", "__internal"}


def unfit(token: str, file: Path, inputs: Mapping[str, Any], refused: Mapping[str, str]) -> Iterator[Failure]:
    """What is wrong with the inputs of the provider `token`, whose SDK's types are in `file`. `refused` are those that
    the dock has no equivalent of, and why."""
    schema = load(file)[token]
    given = {name: value for name, value in decoded(token, file, inputs).items() if name not in _OF_THE_ENGINE}
    yield from check_object(given, schema.inputs, schema.required)
    for name, reason in refused.items():
        if given.get(name):
            yield Failure(name, f"not possible here: {reason}")


def decoded(token: str, file: Path, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The engine hands a provider everything but texts as JSON."""
    schema = load(file)[token].inputs
    values = {}
    for name, value in inputs.items():
        if isinstance(value, str) and schema.get(name, "string") not in ("string", "any") and not holds_unknown(value):
            # What isn't JSON keeps its type, which the check then names.
            with contextlib.suppress(ValueError):
                value = json.loads(value)
        values[name] = value
    return values
