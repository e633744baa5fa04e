"""What a cluster must remember when the daemon is killed: who is primary, and whether the standby may follow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from dock.store import EVERYWHERE, Table

NODES = ("a", "b")


@dataclass(slots=True)
class State:
    """The durable facts of one cluster. Change a field, `save`, then act on it: the order makes them true."""

    primary: str = "a"
    standby_ready: bool = False
    """The other node's data follows the primary; it only needs to be started."""
    rewindable: bool = False
    """The other node was the primary before: pg_rewind may spare a whole copy."""
    waiting: bool = False
    """The primary's configuration names the standby: commits wait for it."""
    synchronous: bool = False
    """Every acknowledged commit is on the standby: it may be promoted. True only while `waiting` is."""
    started_with: dict[str, dict[str, str]] = field(default_factory=dict)
    """For each node, the user's parameters at its last start."""

    @property
    def standby(self) -> str:
        return "b" if self.primary == "a" else "a"


class StateFile:
    """Where the state of one cluster is kept."""

    def __init__(self, table: Table, cluster: str) -> None:
        self._table = table
        self._cluster = cluster

    def load(self) -> State:
        record = self._table.get(EVERYWHERE, self._cluster)
        return State(**record) if record else State()

    def save(self, state: State) -> None:
        """Durable when this returns."""
        self._table.put(EVERYWHERE, self._cluster, asdict(state))

    def remove(self) -> None:
        self._table.delete(EVERYWHERE, self._cluster)
