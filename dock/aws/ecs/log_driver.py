"""The awslogs driver: what containers write, copied line by line to CloudWatch Logs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from dock.aws.logs import Logs
from dock.aws.service import AwsError
from dock.engines.output import Output
from dock.store import Scope

log = logging.getLogger(__name__)

# How soon a line is in CloudWatch Logs.
INTERVAL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Destination:
    """A stream of a group, and where."""

    scope: Scope
    group: str
    stream: str


@dataclass(slots=True)
class _Tail:
    source: str
    output: Output
    destination: Destination | None
    position: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    refused: bool = False


class LogDriver:
    """Copies each container's file from where the last daemon left off: the position is stored with the events."""

    def __init__(self, logs: Logs, folder: Path) -> None:
        self._logs = logs
        self._folder = folder
        self._tails: dict[str, _Tail] = {}

    def path(self, source: str) -> Path:
        """The file that a container's output goes to; `source` is `<task>/<container>`."""
        return self._folder / f"{source.replace('/', '.')}.log"

    async def attach(self, source: str, destination: Destination | None) -> None:
        """Copy this file from now on; without a destination it is only kept from growing without end."""
        if source not in self._tails:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            position = await self._logs.position(f"ecs/{source}")
            self._tails.setdefault(source, _Tail(source, Output(self.path(source)), destination, position))

    async def finish(self, source: str) -> None:
        """The container has ended: copy the rest, then stop."""
        tail = self._tails.pop(source, None)
        if tail is not None:
            await self._copy(tail, ended=True)

    async def forget(self, source: str) -> None:
        """The task is forgotten: remove the file."""
        self._tails.pop(source, None)
        self.path(source).unlink(missing_ok=True)
        await self._logs.forget(f"ecs/{source}")

    async def run(self) -> None:
        """Copy, for as long as the dock runs."""
        while True:
            for tail in list(self._tails.values()):
                if tail.output.size() > tail.position:
                    with contextlib.suppress(OSError, sqlite3.Error):
                        await self._copy(tail, ended=False)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _copy(self, tail: _Tail, *, ended: bool) -> None:
        async with tail.lock:
            while tail.output.size() > tail.position:
                if tail.destination is None:
                    tail.position = tail.output.size()
                    break
                try:
                    lines, position = await asyncio.to_thread(tail.output.read, tail.position, ended=ended)
                    if position == tail.position:
                        break
                    await self._ship(tail, tail.destination, lines, position)
                except (OSError, sqlite3.Error) as problem:
                    log.warning("output of %s could not be copied to its log group: %s", tail.source, problem)
                    raise
                tail.position = position
            await asyncio.to_thread(tail.output.free, tail.position)

    async def _ship(self, tail: _Tail, destination: Destination, lines: list[str], position: int) -> None:
        # When the lines were written, as nearly as the file tells: containers' lines then come in their true order.
        written = tail.output.modified()
        source = f"ecs/{tail.source}", position
        events = [(written, line) for line in lines]
        try:
            await self._logs.append(destination.scope, destination.group, destination.stream, events, source=source)
            tail.refused = False
        except AwsError as problem:
            # The group was deleted under a running task: lines are lost, as on AWS, but not silently.
            if not tail.refused:
                log.warning("output of %s is not copied to %s: %s", tail.source, destination.group, problem.message)
            tail.refused = True
