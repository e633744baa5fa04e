"""What a group of nodes should be, and who keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dock.engines.redis.configuration import Configuration


@dataclass(frozen=True, slots=True)
class Topology:
    """What should be: the nodes by name, in the order in which replicas are preferred, and which is the primary.

    `history` names the replication history that the primary was last seen with; only a replica of the same one may
    take its place. `None`: not seen yet.
    """

    members: tuple[str, ...]
    primary: str
    automatic_failover: bool
    configuration: Configuration
    history: str | None = None


class Keeper(Protocol):
    """Who keeps the topology durably. Everything here returns only when it is kept."""

    def topology(self) -> Topology: ...

    def keep_primary(self, name: str, history: str | None) -> None:
        """From now on `name` is the primary, whose history is this one."""

    def happened(self, member: str | None, message: str) -> None:
        """Something that a person would want to read; of the whole group when `member` is None."""


@dataclass(frozen=True, slots=True)
class Fronts:
    """The two stable addresses: one follows the primary, one a replica."""

    owner: str
    primary: str
    reader: str
    port: int
