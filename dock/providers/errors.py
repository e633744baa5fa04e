"""What a provider tells the engine when it can't do what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class ProviderError(Exception):
    """Something went wrong; the message is for the person who runs `pulumi`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that can't be right; `path` is where, for example `ingress[0].fromPort`."""

    path: str
    reason: str


class PartlyCreated(ProviderError):
    """The resource exists but isn't as asked: the engine keeps its `id`, so that nothing is orphaned."""

    def __init__(self, id: str, outputs: dict[str, Any], reason: str) -> None:
        super().__init__(reason)
        self.id = id
        self.outputs = outputs
