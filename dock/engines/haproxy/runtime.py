"""HAProxy's runtime API: commands to the running workers, and what they answer."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_SECONDS = 5.0
# A command with its payload must fit into one of HAProxy's buffers (16 KiB, part of it reserved).
MAX_COMMAND_BYTES = 12_000


@dataclass(frozen=True, slots=True)
class Worker:
    """A process of HAProxy that serves connections. A former one was replaced by a reload and finishes its sessions."""

    pid: int
    current: bool


@dataclass(frozen=True, slots=True)
class Processes:
    """What the master says of itself: its workers, and how many reloads failed since it was started."""

    workers: tuple[Worker, ...]
    failed_reloads: int

    @property
    def current(self) -> int | None:
        """The pid of the worker that accepts connections."""
        return next((worker.pid for worker in self.workers if worker.current), None)

    @property
    def former(self) -> list[int]:
        return [worker.pid for worker in self.workers if not worker.current]


class Runtime:
    """Talks to one HAProxy over its two sockets: the master's, and that of the worker which is current.

    Every method raises OSError (TimeoutError among them) when HAProxy doesn't answer.
    """

    def __init__(self, master: Path, worker: Path) -> None:
        self._master = master
        self._worker = worker

    async def ask(self, *commands: str) -> str:
        """Run commands on the current worker, one after the other, and return what they print."""
        return await _exchange(self._worker, "; ".join(commands))

    async def ask_worker(self, pid: int, command: str) -> str:
        """Run one command on this worker, which may be a former one. Nothing is returned when it has ended."""
        answer = await _exchange(self._master, f"@!{pid} {command}")
        return "" if answer.startswith("Can't find") else answer

    async def former_sessions(self, *servers: str) -> list[tuple[int, str]]:
        """(pid of a former worker, session id) of the sessions there that go to one of these `backend/server`."""
        found = []
        for pid in (await self.processes()).former:
            sessions = parse_sessions(await self.ask_worker(pid, "show sess"))
            found += [(pid, session) for session, server in sessions if server in servers]
        return found

    async def end_former_sessions(self, *servers: str) -> None:
        """Close these sessions: a former worker's proxies are stopped, so it ends sessions by their ids alone."""
        for pid, session in await self.former_sessions(*servers):
            await self.ask_worker(pid, f"shutdown session {session}")

    async def feed(self, command: str, lines: Sequence[str]) -> None:
        """Run a command that takes lines as its payload, as often as the lines need."""
        batch: list[str] = []
        size = 0
        for line in [*lines, None]:
            if batch and (line is None or size + len(line) + 1 > MAX_COMMAND_BYTES):
                answer = await _exchange(self._worker, f"{command} <<\n" + "\n".join(batch) + "\n")
                if answer.strip():
                    raise OSError(f"HAProxy refused {command!r}: {answer.strip()}")
                batch, size = [], 0
            if line is not None:
                batch.append(line)
                size += len(line) + 1

    async def processes(self) -> Processes:
        return parse_processes(await _exchange(self._master, "show proc"))

    async def generation(self) -> str:
        """The `description` of the configuration that the current worker runs."""
        for line in (await self.ask("show info")).splitlines():
            if line.startswith("description:"):
                return line.partition(":")[2].strip()
        return ""

    async def statistics(self, pid: int | None = None) -> list[dict[str, str]]:
        """The rows of `show stat`, of the current worker or of the one named."""
        text = await (self.ask("show stat") if pid is None else self.ask_worker(pid, "show stat"))
        return parse_statistics(text)

    async def servers_state(self) -> list[dict[str, str]]:
        """The rows of `show servers state` of the current worker."""
        return parse_servers_state(await self.ask("show servers state"))


def parse_processes(text: str) -> Processes:
    """Read `show proc`."""
    workers = []
    failed = 0
    former = False
    for line in text.splitlines():
        if line.startswith("#"):
            former = line.startswith("# old workers") or (former and not line.startswith("# "))
            continue
        fields = line.split()
        if len(fields) > 1 and fields[1] == "master":
            _, found, rest = line.partition("failed: ")
            failed = int(rest.split("]")[0]) if found else 0
        elif len(fields) > 1 and fields[1] == "worker":
            workers.append(Worker(int(fields[0]), not former))
    return Processes(tuple(workers), failed)


def parse_sessions(text: str) -> list[tuple[str, str]]:
    """Read `show sess`: (session id, `backend/server`) of those that have a server."""
    found = []
    for line in text.splitlines():
        session, _, rest = line.partition(": ")
        fields = dict(field.partition("=")[::2] for field in rest.split(" ") if "=" in field)
        if session.startswith("0x") and fields.get("srv", "<none>") != "<none>":
            found.append((session, f"{fields['be']}/{fields['srv']}"))
    return found


def parse_statistics(text: str) -> list[dict[str, str]]:
    """Read the CSV of `show stat`."""
    content = text.strip().removeprefix("# ")
    return [dict(row) for row in csv.DictReader(io.StringIO(content))] if content else []


def parse_servers_state(text: str) -> list[dict[str, str]]:
    """Read `show servers state`, version 1 of its format."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or not lines[1].startswith("# "):
        return []
    names = lines[1][2:].split()
    return [dict(zip(names, line.split(" "), strict=False)) for line in lines[2:]]


async def _exchange(path: Path, command: str) -> str:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_unix_connection(str(path))
        try:
            writer.write(command.encode() + b"\n")
            # The master answers until its client has nothing more to say.
            writer.write_eof()
            answer = await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return answer.decode(errors="replace")
