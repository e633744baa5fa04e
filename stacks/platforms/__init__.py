"""The platforms that Drydock knows: each is a package here whose `platform.py` has a `PLATFORM`."""

from __future__ import annotations

import importlib
from pathlib import Path

from stacks.platforms.model import Platform


def names() -> list[str]:
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/platform.py"))


def load(name: str) -> Platform:
    """Raises KeyError when there is none of this name; `names()` are those there are."""
    if name not in names():
        raise KeyError(name)
    platform: Platform = importlib.import_module(f"stacks.platforms.{name}.platform").PLATFORM
    return platform
