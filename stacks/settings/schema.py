"""The JSON schema that editors check the stack files with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from stacks.settings.control import Control
from stacks.settings.environment import Settings
from stacks.settings.reading import KEY, PROJECT

SCHEMA = Path(__file__).parents[1] / "settings.schema.json"


def schema() -> dict[str, Any]:
    """The JSON schema of a whole `Pulumi.<stack>.yaml`."""
    schemas, shared = models_json_schema(
        [(Settings, "validation"), (Control, "validation")], ref_template="#/$defs/{model}"
    )
    # Not a choice of two, of which an editor could only say that neither fits.
    settings = {
        "if": {"properties": {"kind": {"const": "control"}}, "required": ["kind"]},
        "then": schemas[Control, "validation"],
        "else": schemas[Settings, "validation"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pulumi.<stack>.yaml",
        "type": "object",
        "required": ["config"],
        "additionalProperties": False,
        "properties": {
            # What the engine itself may put into a stack file.
            "encryptionsalt": {"type": "string"},
            "encryptedkey": {"type": "string"},
            "secretsprovider": {"type": "string"},
            "config": {
                "type": "object",
                "required": [f"{PROJECT}:{KEY}"],
                "properties": {f"{PROJECT}:{KEY}": settings},
                # Pulumi's own keys may be there, but no other of ours, and no default provider's.
                "patternProperties": {"^pulumi:": {}},
                "additionalProperties": False,
            },
        },
        "$defs": shared["$defs"],
    }
