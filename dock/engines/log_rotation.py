"""Logs that don't fill the disk: cut by size while their writers go on."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024 * 1024
KEEP = 2
LOOK_SECONDS = 20.0


async def run(folder: Path, spare: Path, max_bytes: int = MAX_BYTES) -> None:
    """Rotate every `*.log` below `folder`, but for those below `spare`, until cancelled."""
    while True:
        await asyncio.to_thread(rotate_all, folder, spare, max_bytes)
        await asyncio.sleep(LOOK_SECONDS)


def rotate_all(folder: Path, spare: Path, max_bytes: int = MAX_BYTES) -> None:
    """Rotate what is too long now. Blocks. One that can't be rotated doesn't keep the others from it."""
    for path in folder.rglob("*.log"):
        try:
            if not path.is_relative_to(spare) and path.stat().st_size > max_bytes:
                rotate(path)
        except OSError as problem:
            log.warning("%s can't be rotated: %s", path, problem)


def rotate(path: Path) -> None:
    """Keep a copy as `path.1` (the ones before as `.2` …) and cut the log itself.

    The writers have it open for appending and go on at its new end, so none needs to be told; what one writes between
    the copy and the cut is lost.
    """
    for number in range(KEEP, 1, -1):
        older = path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number}"))
    first = path.with_name(f"{path.name}.1")
    shutil.copy2(path, first)
    with path.open("r+b") as file:
        file.truncate(0)
