"""The stack files at the root: those of environments (`STACKS`) and those of accounts (`CONTROLS`)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from stacks.settings import Control, Settings, parse

PROJECT = Path(__file__).parents[2]
# Examples beside the platform, not stacks of this checkout.
PROFILES = {"small": PROJECT / "stacks" / "platforms" / "chatvrm" / "Pulumi.small.yaml"}
FILES = sorted(path.name.split(".")[1] for path in PROJECT.glob("Pulumi.*.yaml"))


def stack_file(stack: str) -> dict[str, Any]:
    path = PROFILES.get(stack, PROJECT / f"Pulumi.{stack}.yaml")
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


@cache
def parsed(stack: str) -> Settings | Control:
    return parse(json.dumps(stack_file(stack)["config"]["drydock:settings"]), stack)


def settings_of(stack: str) -> Settings:
    settings = parsed(stack)
    assert isinstance(settings, Settings)
    return settings


def control_of(stack: str) -> Control:
    settings = parsed(stack)
    assert isinstance(settings, Control)
    return settings


CONTROLS = [stack for stack in FILES if stack_file(stack)["config"]["drydock:settings"].get("kind") == "control"]
STACKS = [stack for stack in FILES if stack not in CONTROLS]
