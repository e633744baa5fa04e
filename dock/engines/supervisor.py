"""Processes that outlive the daemon: started once, found again, ended by id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from dock.store import EVERYWHERE, Store

# In each process's environment: who started it and as what. Finds a process whose record was lost to a crash
# between fork and commit.
MARK = "DRYDOCK_PROCESS"


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run. `name` is unique in a dock and reads like a path: `rds/db-ABC/primary`."""

    name: str
    argv: Sequence[str]
    log: Path
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: tuple[int, int] | None = None
    """(uid, gid) to run as; None: as the daemon."""


class HeldError(OSError):
    """A process must not start now; the message says why."""


class Process:
    """A running process, started by this daemon or by one before it."""

    def __init__(self, name: str, pid: int, started: float, child: subprocess.Popen[bytes] | None) -> None:
        self.name = name
        self.pid = pid
        self.started = started
        self._child = child

    @property
    def alive(self) -> bool:
        """Whether it runs; a zombie doesn't."""
        if self._child is not None:
            return self._child.poll() is None
        return _is_same(self.pid, self.started)

    @property
    def exit_code(self) -> int | None:
        """The exit code (negative: the signal), None while it runs or when an earlier daemon was its parent."""
        return self._child.poll() if self._child is not None else None

    async def wait(self) -> int | None:
        """Wait for the end, without polling. The exit code is None for a process that an earlier daemon started."""
        if not self.alive:
            return self.exit_code
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return self.exit_code
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self.exit_code

    def send(self, number: signal.Signals) -> None:
        """Signal this process alone; nothing happens when it is gone."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill_group(self) -> None:
        """SIGKILL the process and every process of its session that is left."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.alive or _group_members(self.pid):
                os.killpg(self.pid, signal.SIGKILL)

    async def stop(self, number: signal.Signals = signal.SIGTERM, grace: float = 10.0) -> int | None:
        """Ask with `number`, wait `grace` seconds, then SIGKILL the whole group. Returns the exit code."""
        self.send(number)
        try:
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            self.kill_group()
            async with asyncio.timeout(10):
                return await self.wait()


class Supervisor:
    """Starts processes in sessions of their own, so that they go on when the daemon is killed, and remembers them."""

    def __init__(self, store: Store, home: Path) -> None:
        self._records = store.table("process")
        self._home = home
        self._running: dict[str, Process] = {}
        self.gate: Callable[[str], str | None] = lambda _: None
        """Says why a process of this name must not start now; None: it may."""
        for _, name, record in self._records.all():
            if _is_same(record["pid"], record["started"]):
                self._running[name] = Process(name, record["pid"], record["started"], None)
            else:
                self._records.delete(EVERYWHERE, name)

    def find(self, name: str) -> Process | None:
        """The process of this name if it runs now."""
        process = self._running.get(name)
        if process is not None and not process.alive:
            self._forget(name)
            return None
        return process

    def running(self) -> list[Process]:
        """All that run now."""
        return [process for name in list(self._running) if (process := self.find(name))]

    def start(self, spec: Spec) -> Process:
        """Start a process; its output goes to `spec.log`. Raises RuntimeError when one of this name runs already,
        OSError when the program can't be started (HeldError: for now). Never put a secret into argv: others can
        read it."""
        if (reason := self.gate(spec.name)) is not None:
            raise HeldError(f"{spec.name} is not started: {reason}")
        if self.find(spec.name) is not None:
            raise RuntimeError(f"{spec.name} runs already")
        self._end_stray(spec.name)
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            **spec.environment,
            MARK: self._mark(spec.name),
        }
        with spec.log.open("ab", buffering=0) as log:
            child = subprocess.Popen(
                list(spec.argv),
                cwd=spec.cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=spec.user[0] if spec.user else None,
                group=spec.user[1] if spec.user else None,
                extra_groups=[] if spec.user else None,
            )
        started = _start_time(child.pid) or time.time()
        process = Process(spec.name, child.pid, started, child)
        self._running[spec.name] = process
        self._records.put(EVERYWHERE, spec.name, {"pid": child.pid, "started": started})
        return process

    async def stop(self, name: str, number: signal.Signals = signal.SIGTERM, grace: float = 10.0) -> None:
        """Stop the process of this name; nothing happens when none runs."""
        process = self.find(name)
        if process is not None:
            await process.stop(number, grace)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._running.pop(name, None)
        self._records.delete(EVERYWHERE, name)

    def _mark(self, name: str) -> str:
        return f"{self._home}:{name}"

    def _end_stray(self, name: str) -> None:
        """End what an earlier daemon started under this name but didn't live to record."""
        mark = self._mark(name)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                    process.kill()
                    process.wait(5)


def _start_time(pid: int) -> float | None:
    """Clock ticks since boot at which a process started, which tells it from a later one of the same id."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return float(stat.rpartition(")")[2].split()[19])


def _is_same(pid: int, started: float) -> bool:
    if _start_time(pid) != started:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _group_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
