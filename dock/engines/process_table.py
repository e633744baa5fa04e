"""What the processes of this machine use, and which of them belong together."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Row:
    """One process: `resident` in bytes, `cpu` in seconds, its own and those of its children that ended."""

    parent: int
    session: int
    resident: int
    cpu: float


def process_table() -> dict[int, Row]:
    """Every process by its id. Blocks for some milliseconds: use a thread."""
    table = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                table[int(entry.name)] = Row(
                    parent=int(fields[1]),
                    session=int(fields[3]),
                    resident=int(fields[21]) * _PAGE,
                    cpu=sum(map(int, fields[11:15])) / _TICKS,
                )
    return table


def members(root: int, table: dict[int, Row]) -> set[int]:
    """The session that `root` leads and all descendants of its members."""
    found = {pid for pid, row in table.items() if row.session == root or pid == root}
    grew = True
    while grew:
        below = {pid for pid, row in table.items() if row.parent in found} - found
        found |= below
        grew = bool(below)
    return found & table.keys()


def proportional_memory(pids: Iterable[int]) -> int:
    """Bytes of memory, what is shared counted once for all who share it. Blocks; costs more than `resident`."""
    return sum(map(_proportional, pids))


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
