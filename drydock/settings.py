"""A stack's settings as its file has them, without an engine."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from drydock.errors import DrydockError
from drydock.shell import PROJECT
from stacks.problems import SettingsError
from stacks.settings import KEY, Control, Settings, parse
from stacks.settings import PROJECT as PROJECT_NAME


def files() -> dict[str, Path]:
    """The stack files at the root, by stack."""
    return {path.name.split(".")[1]: path for path in sorted(PROJECT.glob("Pulumi.*.yaml"))}


def of(stack: str, file: Path | None = None) -> Settings | Control:
    """Raises DrydockError with all that is wrong."""
    path = file or files().get(stack)
    if path is None:
        raise DrydockError(f"there is no stack {stack!r}; Pulumi.*.yaml are {', '.join(files())}")
    try:
        document = yaml.safe_load(path.read_text())["config"][f"{PROJECT_NAME}:{KEY}"]
        return parse(json.dumps(document), stack)
    except (OSError, yaml.YAMLError, KeyError, TypeError) as problem:
        raise DrydockError(f"{path} can't be read as a stack's file: {problem!r}", f"less {path}") from None
    except SettingsError as problem:
        raise DrydockError(str(problem)) from None
