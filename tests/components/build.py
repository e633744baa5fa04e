"""Builds one component of sample arguments, changed as a test wants."""

from __future__ import annotations

import importlib
from typing import Any

from tests.components.samples import arguments
from tests.stacks.recording import Recording, record


def build(module: str, noun: str, **changes: Any) -> Recording:
    """A recording of the component named `thing`, which is `made`."""
    found = importlib.import_module(f"components.{module}")
    return record(lambda: getattr(found, noun)("thing", arguments(getattr(found, f"{noun}Args"), **changes)))
