"""The stack files at the root."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from stacks.settings import Settings, parse

PROJECT = Path(__file__).parents[2]
STACKS = sorted(path.name.split(".")[1] for path in PROJECT.glob("Pulumi.*.yaml"))


def stack_file(stack: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text())
    return document


@cache
def settings_of(stack: str) -> Settings:
    return parse(json.dumps(stack_file(stack)["config"]["drydock:settings"]), stack)
