"""Memory limits for groups of processes, enforced by watching what they use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dock.engines.process_table import Row, members, process_table, proportional_memory

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Limit:
    """`bytes` for all processes below the main processes that `roots` gives at the moment; `exceeded` gets the root
    that uses most."""

    bytes: int
    roots: Callable[[], Sequence[int]]
    exceeded: Callable[[int], None]


class MemoryWatch:
    """Reads the process table twice a second and reports a group above its limit."""

    def __init__(self) -> None:
        self._limits: dict[str, Limit] = {}

    def set(self, name: str, limit: Limit) -> None:
        self._limits[name] = limit

    def unset(self, name: str) -> None:
        self._limits.pop(name, None)

    async def run(self) -> None:
        """Watch, for as long as the dock runs."""
        while True:
            if self._limits:
                try:
                    table = await asyncio.to_thread(process_table)
                    for limit in list(self._limits.values()):
                        await self._check(limit, table)
                except OSError as problem:
                    log.warning("the process table could not be read: %s", problem)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _check(self, limit: Limit, table: dict[int, Row]) -> None:
        groups = {root: members(root, table) for root in limit.roots()}
        resident = {root: sum(table[pid].resident for pid in pids) for root, pids in groups.items()}
        if sum(resident.values()) <= limit.bytes:
            return
        # Resident sizes count memory that forked processes share once for each of them; the exact figure costs more.
        exact = await asyncio.to_thread(lambda: {root: proportional_memory(pids) for root, pids in groups.items()})
        if sum(exact.values()) > limit.bytes:
            limit.exceeded(max(exact, key=lambda root: exact[root]))
