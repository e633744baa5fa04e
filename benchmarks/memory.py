"""What the dock and its environment take of memory, each shared page counted once."""

from __future__ import annotations

from typing import Any

import psutil

from benchmarks.figure import Figure

BOUND_BYTES = 1.5e9


def measure(status: dict[str, Any]) -> list[Figure]:
    roots = {"daemon": status["pid"]} | {process["name"]: process["pid"] for process in status["processes"]}
    by_name: dict[str, int] = {}
    counted: set[int] = set()
    for name, pid in roots.items():
        family = [psutil.Process(pid)] if name == "daemon" else _family(pid)
        fresh = [process for process in family if process.pid not in counted]
        counted.update(process.pid for process in fresh)
        by_name[name.split("/")[0]] = by_name.get(name.split("/")[0], 0) + sum(_pss(process) for process in fresh)
    total = sum(by_name.values())
    parts = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in sorted(by_name.items(), key=lambda item: -item[1]))
    return [
        Figure(
            "memory of the dock with its environment",
            f"{total / 1e6:.0f} MB in {len(counted)} processes",
            f"MB: {parts}",
            None,
            "≤ 1.5 GB",
            total <= BOUND_BYTES,
        )
    ]


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0
