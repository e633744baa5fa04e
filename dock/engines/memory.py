"""Memory limits for groups of processes, enforced by watching what they use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.5
_PAGE = os.sysconf("SC_PAGE_SIZE")


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
                    table = await asyncio.to_thread(_process_table)
                    for limit in list(self._limits.values()):
                        await self._check(limit, table)
                except OSError as problem:
                    log.warning("the process table could not be read: %s", problem)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _check(self, limit: Limit, table: dict[int, _Row]) -> None:
        groups = {root: _members(root, table) for root in limit.roots()}
        resident = {root: sum(table[pid].resident for pid in pids) for root, pids in groups.items()}
        if sum(resident.values()) <= limit.bytes:
            return
        # Resident sizes count memory that forked processes share once for each of them; the exact figure costs more.
        exact = await asyncio.to_thread(lambda: {root: sum(map(_proportional, pids)) for root, pids in groups.items()})
        if sum(exact.values()) > limit.bytes:
            limit.exceeded(max(exact, key=lambda root: exact[root]))


@dataclass(frozen=True, slots=True)
class _Row:
    parent: int
    session: int
    resident: int


def _process_table() -> dict[int, _Row]:
    table = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                table[int(entry.name)] = _Row(int(fields[1]), int(fields[3]), int(fields[21]) * _PAGE)
    return table


def _members(root: int, table: dict[int, _Row]) -> set[int]:
    """The session that `root` leads and all descendants of its members."""
    found = {pid for pid, row in table.items() if row.session == root or pid == root}
    grew = True
    while grew:
        below = {pid for pid, row in table.items() if row.parent in found} - found
        found |= below
        grew = bool(below)
    return found & table.keys()


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
