"""The emulator's process: started, watched, restarted."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from pathlib import Path

import aiohttp
from cryptography.fernet import Fernet

from dock.certificates import write_private
from dock.engines.supervisor import HeldError, Spec, Supervisor
from dock.home import Home

log = logging.getLogger(__name__)

PORT = 4566
READY_SECONDS = 60
_LONGEST_PAUSE_SECONDS = 5
_NAME = "emulator"
_LOCK = Path(__file__).parents[2] / "tools" / "emulator" / "requirements.lock"


def environment_folder() -> Path:
    """The emulator's environment in the cache, keyed by its lock file; `tools/emulator/install.py` makes it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]
    return Path(os.environ.get("DRYDOCK_EMULATOR") or cache / "drydock" / "emulator" / key)


class Emulator:
    """One MiniStack process. When it dies it is started again, with the state of its last acknowledged write."""

    def __init__(self, home: Home, supervisor: Supervisor, address: str) -> None:
        self._home = home
        self._supervisor = supervisor
        self._address = address
        self._watch: asyncio.Task[None] | None = None
        self.url = f"http://{address}:{PORT}"

    @property
    def pid(self) -> int | None:
        process = self._supervisor.find(_NAME)
        return process.pid if process else None

    async def start(self) -> None:
        """Adopt the running one or start it; returns when it answers. Raises RuntimeError when it doesn't.

        While a fault keeps it down the dock starts without it.
        """
        try:
            if self._supervisor.find(_NAME) is None:
                self._launch()
            await self.ready()
        except HeldError as held:
            log.warning("%s", held)
        self._watch = asyncio.create_task(self._restart_when_dead(), name="emulator watch")

    async def stop(self) -> None:
        """End it in order; its state is saved."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self._supervisor.stop(_NAME, grace=15)

    def detach(self) -> None:
        """Leave it running, watch it no longer."""
        if self._watch is not None:
            self._watch.cancel()

    def _launch(self) -> None:
        python = environment_folder() / "bin" / "python"
        if not python.exists():
            raise RuntimeError("the emulator is not installed: run `make up`")
        state = self._home.data("emulator")
        state.mkdir(mode=0o700, exist_ok=True)
        key = self._home.keys / "emulator.key"
        if not key.exists():
            write_private(key, Fernet.generate_key())
        self._supervisor.start(
            Spec(
                name=_NAME,
                argv=[str(python), str(Path(__file__).with_name("launch.py"))],
                log=self._home.logs / "emulator.log",
                cwd=state,
                environment={
                    "DRYDOCK_EMULATOR_BIND": f"{self._address}:{PORT}",
                    "DRYDOCK_EMULATOR_STATE": str(state),
                    "DRYDOCK_EMULATOR_KEY": str(key),
                    "HOME": str(state),
                },
            )
        )

    async def ready(self) -> None:
        """Wait until it answers. Raises RuntimeError when it ended or the time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_SECONDS
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{self.url}/_ministack/health") as answer:
                        if answer.status == 200:
                            return
                log_path = self._home.logs / "emulator.log"
                if self._supervisor.find(_NAME) is None:
                    raise RuntimeError(f"the emulator ended at its start; see {log_path}")
                if loop.time() > deadline:
                    raise RuntimeError(f"the emulator did not answer within {READY_SECONDS} s; see {log_path}")
                await asyncio.sleep(0.05)

    async def _restart_when_dead(self) -> None:
        pause = 0.1
        while True:
            process = self._supervisor.find(_NAME)
            if process is not None:
                await process.wait()
                log.warning("the emulator ended (exit code %s); starting it again", process.exit_code)
            try:
                if self._supervisor.find(_NAME) is None:
                    self._launch()
                await self.ready()
                pause = 0.1
            except (RuntimeError, OSError) as problem:
                log.error("the emulator could not be started: %s", problem)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
