"""What a fault can hit: the engines that run, by the names that people know them by, with the zones they are in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dock.faults.model import FaultError
from dock.store import EVERYWHERE, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

# Engines that are the dock's own: no account has them, and they are in no region.
_SHARED = ("emulator", "dns", "edge")


@dataclass(frozen=True, slots=True)
class Part:
    """One process of an engine with the tools that work for it (`rds/…/a/pg_basebackup`), or several whose names start
    alike (`ecs/<task>`).

    `role` is what tells it from its siblings: primary, standby, a node's or a task's id.
    """

    process: str
    role: str
    zone: str | None = None

    def covers(self, process: str) -> bool:
        return among(process, (self.process,))


def among(process: str, names: Iterable[str]) -> bool:
    """Whether a process is one of these, or stands below one."""
    return any(process == name or process.startswith(f"{name}/") for name in names)


@dataclass(frozen=True, slots=True)
class Engine:
    """One resource that acts: a database, a cache, a load balancer, a service or a task."""

    kind: str
    name: str
    scope: Scope
    parts: Sequence[Part] = field(default=())
    endpoints: Sequence[str] = field(default=())
    """The owners of its endpoints, for faults of the network."""
    aliases: Sequence[str] = field(default=())
    """Other names that people know it by: an ARN, a resource id."""
    volume: str | None = None
    """What its data lie on, where that can be made full."""


def engines(cloud: Cloud) -> list[Engine]:
    """All that runs or should run."""
    found = [engine for service in cloud.services.values() for engine in service.engines()]
    return found + [Engine(name, name, EVERYWHERE, (Part(name, name),)) for name in _SHARED]


def find(known: Iterable[Engine], target: str, account: str | None, region: str | None) -> Engine:
    """The engine that a name means. Raises FaultError when there is none, or more than one."""
    known = list(known)
    meant = [
        engine
        for engine in known
        if target in (engine.name, f"{engine.kind}/{engine.name}", *engine.aliases)
        and (account is None or engine.scope.account in ("", account))
        and (region is None or engine.scope.region in ("", region))
    ]
    if not meant:
        names = ", ".join(sorted({engine.name for engine in known if engine.kind != "task"}))
        raise FaultError(f"nothing here is called {target!r}; there are {names}")
    if len(meant) > 1:
        places = ", ".join(f"{engine.kind}/{engine.name} in {'/'.join(engine.scope)}" for engine in meant)
        raise FaultError(f"{target!r} is {places}: say which with its kind, --account or --region")
    return meant[0]


def parts(engine: Engine, wanted: str | None) -> tuple[str, ...]:
    """The processes of a part (by its role or zone; `all`). Without one: the primary, or all where nobody leads.

    Raises FaultError when it has no such part.
    """
    roles = [part.role for part in engine.parts]
    if wanted is None:
        wanted = "primary" if "primary" in roles else "all"
    found = tuple(part.process for part in engine.parts if wanted in ("all", part.role, part.zone))
    if not found and wanted != "all":
        have = ", ".join(sorted({*roles, *(part.zone for part in engine.parts if part.zone)})) or "none now"
        raise FaultError(f"{engine.kind} {engine.name} has no part {wanted!r}; it has {have}")
    return found
