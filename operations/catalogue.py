"""Every operation that a runbook can be opened for, by the type of its parameters."""

from __future__ import annotations

import importlib
from typing import Any

from operations.operation import Operation
from operations.parameters import BY_RUNBOOK, Where

#: Modules that declare an `OPERATION`, by its name.
MODULES = {"verify": "operations.verify", "deploy": "operations.deploy"}


def named(name: str) -> Operation[Any, Any, Any, Any]:
    """The operation of this name; imports its module only."""
    operation: Operation[Any, Any, Any, Any] = importlib.import_module(MODULES[name]).OPERATION
    return operation


def of(parameters: Where) -> Operation[Any, Any, Any, Any]:
    """The operation that takes these parameters."""
    (name,) = [name for name, model in BY_RUNBOOK.items() if model is type(parameters)]
    return named(name)
