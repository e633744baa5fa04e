"""The DNS server's process, as the daemon sees it: started or adopted, watched, told what to serve."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dock.engines.supervisor import Spec, Supervisor
from dock.home import Home

log = logging.getLogger(__name__)

NAME = "dns"
START_SECONDS = 20.0
ANSWER_SECONDS = 5.0
# Seconds between attempts to start what doesn't start.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_MAX_ANSWER = 1 << 24
_PROJECT = Path(__file__).parents[3]


class DnsServerError(RuntimeError):
    """The server doesn't run, or doesn't answer."""


class DnsServer:
    """One process for all zones, so that names are answered and health is checked also while no daemon runs.

    `write` keeps what is to be served on disk; `load` makes the process serve it. `checkers` are the addresses from
    which each region's checker asks.
    """

    def __init__(
        self, home: Home, supervisor: Supervisor, address: str, port: int, checkers: Mapping[str, str]
    ) -> None:
        self._supervisor = supervisor
        self._folder = home.data(NAME)
        self._log = home.logs / "dns.log"
        self._control = home.run / "dns.sock"
        self._state = self._folder / "state.json"
        self._configuration = {
            "address": address,
            "port": port,
            "checkers": dict(checkers),
            "state": str(self._state),
            "memory": str(self._folder / "health.json"),
            "control": str(self._control),
        }
        self.address, self.port = address, port
        self.problem: str | None = None
        """Why it doesn't run; None while it does."""

    @property
    def pid(self) -> int | None:
        process = self._supervisor.find(NAME)
        return process.pid if process else None

    def write(self, document: Mapping[str, Any]) -> None:
        """Keep what is to be served: durable when this returns. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        _write(self._state, json.dumps(document))

    async def start(self) -> None:
        """Adopt the running process, or start one on what was written. A failure is in `problem`: `watch` goes on
        trying."""
        try:
            if self._supervisor.find(NAME) is not None:
                try:
                    await self.ask({"do": "status"})
                except DnsServerError:
                    # It runs but doesn't answer: replace it.
                    await self._supervisor.stop(NAME, grace=2)
            if self._supervisor.find(NAME) is None:
                await self._launch()
            self.problem = None
        except (OSError, RuntimeError) as problem:
            self.problem = str(problem)
            log.error("the DNS server could not be started: %s", problem)

    async def watch(self) -> None:
        """Start it again whenever it ends, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            process = self._supervisor.find(NAME)
            if process is not None:
                await process.wait()
                log.warning("the DNS server ended (exit code %s); starting it again", process.exit_code)
            await self.start()
            if self.problem is None:
                pause = _FIRST_PAUSE
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def stop(self) -> None:
        """End it; what it knows of health is kept for the next start."""
        await self._supervisor.stop(NAME)

    async def load(self) -> int:
        """Make it serve what was written. Returns the generation that it serves now. Raises DnsServerError."""
        answer = await self.ask({"do": "load"})
        return int(answer["generation"])

    async def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """What the process answers. Raises DnsServerError."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self._control), limit=_MAX_ANSWER)
                try:
                    writer.write(json.dumps(question).encode() + b"\n")
                    await writer.drain()
                    line = await reader.readline()
                finally:
                    writer.close()
        except (OSError, ValueError) as problem:
            raise DnsServerError(f"the DNS server does not answer: {problem!r}") from problem
        answer: dict[str, Any] = json.loads(line or b'{"problem": "it ended"}')
        if "problem" in answer:
            raise DnsServerError(f"the DNS server failed: {answer['problem']}")
        return answer

    async def _launch(self) -> None:
        file = self._folder / "configuration.json"
        self._control.unlink(missing_ok=True)
        _write(file, json.dumps(self._configuration))
        self._supervisor.start(
            Spec(
                name=NAME,
                argv=[sys.executable, "-m", "dock.engines.dns", str(file)],
                log=self._log,
                cwd=_PROJECT,
                environment={"PYTHONUNBUFFERED": "1"},
            )
        )
        async with asyncio.timeout(START_SECONDS):
            while True:
                process = self._supervisor.find(NAME)
                if process is None:
                    raise DnsServerError(f"it ended at its start: {_last_line(self._log)}")
                with contextlib.suppress(DnsServerError):
                    if self._control.exists():
                        await self.ask({"do": "status"})
                        return
                await asyncio.sleep(0.02)


def _write(path: Path, content: str) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _last_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"
    return "it said nothing"
