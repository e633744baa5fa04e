"""One row of the table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, beside what it is compared with, and the bound that was wanted."""

    name: str
    measured: str
    compared_with: str
    ratio: float | None
    wanted: str
    met: bool


def seconds(work: Callable[[], object]) -> float:
    """The wall-clock time of one call, in seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_pairs(ours: Callable[[], object], peer: Callable[[], object], runs: int) -> tuple[list[float], list[float]]:
    """Times of both, taken in turn so that the machine's drift meets both; one warm-up of each first."""
    ours()
    peer()
    mine, theirs = [], []
    for _ in range(runs):
        mine.append(seconds(ours))
        theirs.append(seconds(peer))
    return mine, theirs


def spread(times: Sequence[float], unit: str = "s", scale: float = 1.0) -> str:
    """`median (min to max)`."""
    low, middle, high = min(times) * scale, statistics.median(times) * scale, max(times) * scale
    return f"{middle:.2f} {unit} ({low:.2f} to {high:.2f})"
