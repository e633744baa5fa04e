"""`python -m dock.engines.dns FILE`: the process. FILE is the configuration that `DnsServer` writes.

It serves what the control plane last wrote, so it needs no daemon; one socket lets a daemon load a newer state,
tell alarms' states, and ask for health.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from dock.engines.dns import names, zones
from dock.engines.dns.checks import Check, Checks
from dock.engines.dns.resolver import Resolver
from dock.engines.dns.server import Server
from dock.engines.dns.targets import Targets

log = logging.getLogger("dns")

CONTROL_SECONDS = 10


class DataPlane:
    """Zones, health checks and the server, of one home."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self._configuration = configuration
        self._state = Path(configuration["state"])
        self._memory = Path(configuration["memory"])
        self._generation = -1
        self._checks = Checks(configuration["checkers"], self._lookup, self._remember)
        self._targets = Targets()
        self._resolver = self._resolver_of(zones.Zones())
        self._server = Server(lambda: self._resolver)

    async def run(self) -> None:
        """Until SIGTERM. Raises OSError when it can't listen."""
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        if self._memory.exists():
            try:
                self._checks.restore(json.loads(self._memory.read_text()))
            except ValueError as problem:
                log.error("%s can't be read, health begins anew: %s", self._memory, problem)
        await self.load()
        await self._targets.read()
        await self._server.start(self._configuration["address"], self._configuration["port"])
        polling = asyncio.create_task(self._targets.run(), name="targets")
        control = Path(self._configuration["control"])
        control.unlink(missing_ok=True)
        listening = await asyncio.start_unix_server(self._control, str(control), limit=1 << 20)
        control.chmod(0o600)
        log.info("serving %s:%s", self._configuration["address"], self._configuration["port"])
        # What is loaded stays: looking through it for garbage would only delay answers.
        gc.freeze()
        await ended.wait()
        listening.close()
        polling.cancel()
        await self._server.stop()
        await self._checks.stop()
        self._remember()

    async def load(self) -> None:
        """Serve what the control plane last wrote. Raises ValueError, KeyError or OSError; then all is as before."""
        document = await asyncio.to_thread(lambda: json.loads(self._state.read_text()))
        loaded = zones.load(document["zones"])
        checks = {entry["identifier"]: Check.load(entry) for entry in document["checks"]}
        self._targets.load(loaded)
        await self._targets.read()
        self._checks.load(checks)
        self._resolver = self._resolver_of(loaded)
        self._generation = document["generation"]
        self._remember()

    def _resolver_of(self, loaded: zones.Zones) -> Resolver:
        return Resolver(loaded, self._checks.healthy, self._targets.healthy)

    def _lookup(self, host: str) -> list[str]:
        try:
            return self._resolver.addresses(names.parse(host))
        except ValueError:
            return []

    def _remember(self) -> None:
        """Keep what checkers saw: a restart must not make a dead endpoint healthy."""
        temporary = self._memory.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(self._checks.document()))
            temporary.replace(self._memory)
        except OSError as problem:
            log.error("health can't be kept: %s", problem)

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One line of JSON in, one out."""
        try:
            async with asyncio.timeout(CONTROL_SECONDS):
                asked = json.loads(await reader.readline())
            try:
                answer = await self._do(asked)
            except Exception as problem:
                log.exception("%s failed", asked.get("do"))
                answer = {"problem": f"{type(problem).__name__}: {problem}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError) as problem:
            log.warning("the control socket's client went away: %r", problem)
        finally:
            writer.close()

    async def _do(self, asked: dict[str, Any]) -> dict[str, Any]:
        match asked["do"]:
            case "load":
                await self.load()
            case "alarms":
                for identifier, state in asked["states"].items():
                    self._checks.alarm(identifier, state)
            case "observations":
                return {"observations": self._checks.observations(asked["check"])}
            case "status":
                return {
                    "generation": self._generation,
                    "checks": self._checks.status(),
                    "answered": self._server.answered,
                }
        return {"generation": self._generation}


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    configuration = json.loads(Path(sys.argv[1]).read_text())
    os.umask(0o077)
    try:
        asyncio.run(DataPlane(configuration).run())
    except OSError as problem:
        print(f"can't serve DNS on {configuration['address']}:{configuration['port']}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
