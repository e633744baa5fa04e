"""From a stack's file to its settings."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from stacks.problems import SettingsError, problems
from stacks.settings.control import Control
from stacks.settings.environment import Settings

KEY = "settings"
PROJECT = "drydock"


def parse(document: str, stack: str) -> Settings | Control:
    """A stack's settings from JSON text, as the engine hands it over: `kind` says of what.

    Raises SettingsError with all that is wrong.
    """
    model = Control if _kind(document) == "control" else Settings
    try:
        return model.model_validate_json(document, context={"stack": stack})
    except ValidationError as error:
        raise SettingsError(problems(error, model, f"{PROJECT}:{KEY}"), _file(stack)) from None


def _kind(document: str) -> Any:
    try:
        given = json.loads(document)
    except ValueError:
        return None
    return given.get("kind") if isinstance(given, dict) else None


def read(stack: str) -> Settings | Control:
    """This stack's settings, of the project that runs. Raises SettingsError."""
    import pulumi
    from pulumi.runtime.config import CONFIG

    wrong = [
        f"{key}: there is no such setting; everything is in {PROJECT}:{KEY}"
        for key in sorted(CONFIG.get())
        if key.startswith(f"{PROJECT}:") and key != f"{PROJECT}:{KEY}"
    ]
    document = pulumi.Config(PROJECT).get(KEY)
    if document is None:
        wrong.append(f"{PROJECT}:{KEY} is missing: take another stack's file as a pattern")
        raise SettingsError(wrong, _file(stack))
    try:
        settings = parse(document, stack)
    except SettingsError as error:
        raise SettingsError(wrong + error.problems, error.file) from None
    if wrong:
        raise SettingsError(wrong, _file(stack))
    return settings


def _file(stack: str) -> str:
    return f"Pulumi.{stack}.yaml"
