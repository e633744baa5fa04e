"""A load balancer that runs: HAProxy made to do what a `Balancer` says, with as few reloads as can be."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from dock.engines.haproxy.measure import Health, Meter, health_of, open_connections, sessions_of
from dock.engines.haproxy.model import Balancer, Target
from dock.engines.haproxy.own_answers import OwnAnswers
from dock.engines.haproxy.process import HAProxy, HAProxyError, write_text
from dock.engines.haproxy.render import OPEN, SERVER_OPTIONS, TIMES, render, server_options, structure
from dock.engines.haproxy.state import state_file
from dock.engines.haproxy.weights import weight_map
from dock.engines.supervisor import Supervisor
from dock.home import Home, unprivileged_user

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 8192
POLL_SECONDS = 1.0
# Requests and WebSockets that were open at a reload may go on for so long.
FORMER_WORKERS_END = "1h"
_FORCED_MAINTENANCE = 0x01


class LoadBalancer:
    """One HAProxy for one load balancer, so that a fault or a reload of one touches no other.

    `apply` compares what is wanted with what runs, every time: so it also repairs what an earlier daemon left half-way.
    HAProxy checks the targets' health itself, also while no daemon runs.
    """

    def __init__(self, name: str, home: Home, supervisor: Supervisor) -> None:
        self.name = name
        folder = home.data(name)
        self._haproxy = HAProxy(name, folder, home.run, home.logs / f"{name.replace('/', '-')}.log", supervisor)
        self._weights = folder / "weights.map"
        self._state = folder / "servers.state"
        self._wanted = Balancer()
        self._health: dict[tuple[str, Target], Health] = {}
        self._lock = asyncio.Lock()
        self.meter = Meter()
        self.own_answers = OwnAnswers(home.run / f"{name.replace('/', '-')}.answers")
        self.open_connections = 0
        """From clients and to targets, as last read."""

    @property
    def folder(self) -> Path:
        return self._haproxy.folder

    @property
    def control(self) -> Path:
        """The socket on which it tells its targets' health."""
        return self._haproxy.control

    @property
    def alive(self) -> bool:
        return self._haproxy.alive

    @property
    def pid(self) -> int | None:
        return self._haproxy.pid

    @property
    def problem(self) -> str | None:
        """Why it doesn't serve; None while it does, or when it has no listener and so nothing to do."""
        return self._haproxy.problem if self._wanted.listeners and not self._haproxy.alive else None

    async def apply(self, wanted: Balancer) -> None:
        """Do what is wanted. Targets and weights change at once, all else by a reload that loses no connection.

        Raises AddressTaken or HAProxyError, or OSError when a file can't be written; then all is as before.
        """
        async with self._lock:
            if not wanted.listeners:
                await self._haproxy.stop()
                self._wanted, self._health = wanted, {}
                return
            before = self._wanted
            try:
                await self._apply(before, wanted)
            except (HAProxyError, OSError):
                with contextlib.suppress(OSError):
                    await self._take_back(before)
                raise

    async def stop(self) -> None:
        """End HAProxy; what was wanted is forgotten."""
        async with self._lock:
            await self._haproxy.stop()
            self.own_answers.close()
            self._wanted, self._health = Balancer(), {}

    async def watch(self) -> None:
        """Keep HAProxy running, and keep up with the targets' health, until cancelled."""
        keeper = asyncio.create_task(self._haproxy.watch(), name=f"{self.name}: watch HAProxy")
        try:
            while True:
                await asyncio.sleep(POLL_SECONDS)
                if self._wanted.listeners and self._haproxy.alive:
                    with contextlib.suppress(OSError, HAProxyError):
                        await self.poll()
        finally:
            keeper.cancel()

    async def poll(self) -> None:
        """Read health and counters, and take away servers that nobody uses any more."""
        async with self._lock:
            await self._read()
            await self._tidy()

    async def look(self) -> None:
        """Read the targets' health now; quicker than `poll`."""
        async with self._lock:
            self._see(await self._haproxy.runtime.statistics())

    def health(self, group: str) -> dict[Target, Health]:
        """The health of a group's targets as last read."""
        return {target: health for (name, target), health in self._health.items() if name == group}

    async def sessions(self, group: str, target: Target) -> int:
        """How many requests (WebSockets among them) this target works on, in former workers too."""
        if not self._haproxy.alive:
            return 0
        runtime = self._haproxy.runtime
        former = await runtime.former_sessions(*_faces(group, target))
        return sessions_of(await runtime.statistics(), group, target) + len(former)

    async def cut(self, group: str, target: Target) -> None:
        """Close what this target still works on."""
        if not self._haproxy.alive:
            return
        runtime = self._haproxy.runtime
        for server in _faces(group, target):
            await runtime.ask(f"shutdown sessions server {server}")
        await runtime.end_former_sessions(*_faces(group, target))

    async def declare_healthy(self, group: str, target: Target) -> None:
        """Say that the target passed its first checks, ahead of HAProxy's own, which go on from there."""
        if self._haproxy.alive and any(target in known.targets for known in self._wanted.groups if known.name == group):
            await self._haproxy.runtime.ask(f"set server {group}/{target.name} health up")
            await self.poll()

    async def _apply(self, before: Balancer, wanted: Balancer) -> None:
        await self.own_answers.listen(_owner())
        text = self._text(wanted)
        running = await self._running_structure()
        if running == structure(wanted):
            self._wanted = wanted
            self._write_files(wanted)
            self._haproxy.write(text)
            pid = self._haproxy.pid
            try:
                await self._converge(wanted)
            except OSError as problem:
                # A HAProxy that was killed just now comes back with the files just written.
                if pid == self._haproxy.pid and not await self._haproxy.ends_within(1):
                    raise HAProxyError(f"{self.name} does not answer: {problem!r}") from problem
            return
        if running is not None:
            with contextlib.suppress(OSError):
                await self._read()
        self._write_files(wanted)
        known = {(listener.address, listener.port) for listener in before.listeners}
        new = [(each.address, each.port) for each in wanted.listeners if (each.address, each.port) not in known]
        if running is None:
            if await self._haproxy.run(text, new):
                await self._haproxy.reload(text)
        else:
            # After a restart of the daemon `before` is empty though HAProxy has these listeners already.
            await self._haproxy.reload(text, new if before.listeners else ())
        self._wanted = wanted

    async def _take_back(self, before: Balancer) -> None:
        self._wanted = before
        if before.listeners:
            self._write_files(before)
            self._haproxy.write(self._text(before))
        else:
            await self._haproxy.stop()

    async def _running_structure(self) -> str | None:
        if not self._haproxy.alive:
            return None
        try:
            return await self._haproxy.runtime.generation()
        except OSError:
            return None

    def _text(self, wanted: Balancer) -> str:
        owner = _owner()
        return self._haproxy.preamble(
            structure(wanted),
            owner,
            MAX_CONNECTIONS,
            f"server-state-file {self._state}",
            f"log {self.own_answers.path} format raw local0 info",
            f"hard-stop-after {FORMER_WORKERS_END}",
        ) + render(wanted, self._weights, self.folder, owner)

    def _write_files(self, wanted: Balancer) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self._weights, "".join(f"{key} {value}\n" for key, value in weight_map(wanted).items()))
        healthy: dict[str, list[Target]] = {}
        for (group, target), health in self._health.items():
            if health.up:
                healthy.setdefault(group, []).append(target)
        write_text(self._state, state_file(wanted.groups, healthy))

    async def _converge(self, wanted: Balancer) -> None:
        """Bring the running HAProxy's targets and weights to what is wanted, without a reload."""
        rows = await self._haproxy.runtime.servers_state()
        present = {f"{row['be_name']}/{row['srv_name']}": int(row["srv_admin_state"]) for row in rows}
        serving = {server for server, admin in present.items() if not admin & _FORCED_MAINTENANCE}
        desired = {face for group in wanted.groups for target in group.targets for face in _faces(group.name, target)}
        await self._retire(serving - desired)
        for group in wanted.groups:
            for target in sorted(group.targets):
                checked, unchecked = _faces(group.name, target)
                if unchecked not in serving:
                    await self._add(unchecked, target, "", unchecked in present)
                    await self._ask(f"set server {unchecked} state ready")
                if checked not in serving:
                    await self._add(checked, target, server_options(group), checked in present)
                    # It drains until it is down: so no request slips in before its first check.
                    await self._ask(
                        f"enable health {checked}",
                        f"set server {checked} state drain",
                        f"set server {checked} health down",
                        f"set server {checked} state ready",
                    )
            if group.stickiness is not None:
                for backend in (group.name, group.name + OPEN):
                    await self._ask(f"enable dynamic-cookie backend {backend}")
        await self._set_weights(weight_map(wanted))

    async def _add(self, server: str, target: Target, options: str, present: bool) -> None:
        if not present:
            answer = await self._haproxy.runtime.ask(f"add server {server} {target.name} {SERVER_OPTIONS} {options}")
            if "New server registered" not in answer:
                raise HAProxyError(f"{self.name} does not take {server}: {answer.strip()}")

    async def _retire(self, servers: Iterable[str]) -> None:
        """No new request goes to these; what they work on goes on."""
        for server in sorted(servers):
            await self._ask(f"set server {server} state maint")

    async def _ask(self, *commands: str) -> None:
        """Run commands that say nothing when they succeed."""
        answer = (await self._haproxy.runtime.ask(*commands)).strip()
        if answer:
            raise HAProxyError(f"{self.name} refuses {'; '.join(commands)!r}: {answer}")

    async def _set_weights(self, wanted: Mapping[str, str]) -> None:
        """Replace the map in one step: a request sees the old shares or the new ones."""
        runtime, path = self._haproxy.runtime, self._weights
        lines = (await runtime.ask(f"show map {path}")).splitlines()
        running = {fields[1]: fields[2] for line in lines if len(fields := line.split()) == 3}
        if running == dict(wanted):
            return
        answer = await runtime.ask(f"prepare map {path}")
        version = answer.rpartition(":")[2].strip()
        if not version.isdigit():
            raise HAProxyError(f"{self.name} does not prepare new weights: {answer.strip()}")
        await runtime.feed(f"add map @{version} {path}", [f"{key} {value}" for key, value in wanted.items()])
        await self._ask(f"commit map @{version} {path}")

    async def _read(self) -> None:
        runtime = self._haproxy.runtime
        processes = await runtime.processes()
        if processes.current is None:
            return
        rows = await runtime.statistics()
        self.open_connections = open_connections(rows)
        self.meter.read_statistics(processes.current, rows)
        self.meter.read_times(processes.current, await runtime.ask(f"show table {TIMES}"))
        for pid in processes.former:
            self.meter.read_statistics(pid, await runtime.statistics(pid))
            self.meter.read_times(pid, await runtime.ask_worker(pid, f"show table {TIMES}"))
        self.meter.forget({worker.pid for worker in processes.workers})
        self._see(rows)

    def _see(self, rows: list[dict[str, str]]) -> None:
        health = health_of(rows)
        changed = {key: entry.up for key, entry in health.items()} != {key: e.up for key, e in self._health.items()}
        self._health = health
        if changed:
            self._write_files(self._wanted)

    async def _tidy(self) -> None:
        desired = {
            face for group in self._wanted.groups for target in group.targets for face in _faces(group.name, target)
        }
        for row in await self._haproxy.runtime.servers_state():
            server = f"{row['be_name']}/{row['srv_name']}"
            if server not in desired and int(row["srv_admin_state"]) & _FORCED_MAINTENANCE:
                # Refused while it has connections; the next round tries again.
                await self._haproxy.runtime.ask(f"del server {server}")


def _owner() -> tuple[int, int] | None:
    """The (uid, gid) that HAProxy's workers run as; None: as this process."""
    user = unprivileged_user("haproxy")
    return (user.pw_uid, user.pw_gid) if user else None


def _faces(group: str, target: Target) -> tuple[str, str]:
    """The two servers that stand for a target: the checked one, and the one that takes over when none is healthy."""
    return f"{group}/{target.name}", f"{group}{OPEN}/{target.name}"
