"""A primary with its replicas behind two endpoints: who is primary, what happens when a node dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from dock.engines.haproxy.process import HAProxyError
from dock.engines.redis.node import Node, NodeError, State
from dock.engines.redis.topology import Fronts, Keeper, Topology

if TYPE_CHECKING:
    from dock.engines.endpoints import Endpoints
    from dock.engines.supervisor import Process, Supervisor

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
HUNG_SECONDS = 10.0
HAND_OVER_SECONDS = 5.0
# A node that dies again within a minute waits longer each time, at most this long.
_LONGEST_PAUSE = 30.0
_FORGIVEN_AFTER = 60.0
_PROBLEMS = (NodeError, HAProxyError, RedisError, OSError, TimeoutError)


Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class Replication:
    """Keeps the nodes as the topology says. One object for each group, on one event loop; the only one who decides.

    `spawn` runs a coroutine in the background, under a name, for as long as the daemon lives.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        keeper: Keeper,
        make_node: Callable[[str], Node],
        fronts: Fronts,
        endpoints: Endpoints,
        supervisor: Supervisor,
        spawn: Spawn,
    ) -> None:
        self.name = name
        self.nodes: dict[str, Node] = {}
        self.problems: dict[str, str] = {}
        self._folder = folder
        self._keeper = keeper
        self._make_node = make_node
        self._fronts = fronts
        self._endpoints = endpoints
        self._supervisor = supervisor
        self._spawn_task = spawn
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._targets: dict[str, tuple[str, int] | None] = {}
        self._processes: dict[str, Process] = {}
        self._deaths: dict[str, list[float]] = {}

    # what others see

    @property
    def primary(self) -> Node | None:
        return self.nodes.get(self._keeper.topology().primary)

    @property
    def in_order(self) -> bool:
        """Whether every node runs in its role and every replica is in sync."""
        wanted = self._keeper.topology()
        return set(self.nodes) == set(wanted.members) and all(
            (state := self.nodes[name].state) is not None
            and self.nodes[name].process is not None
            and state.is_primary == (name == wanted.primary)
            and state.in_sync
            and not state.loading
            # A primary begins a new history when its first replica comes; until it is known, no replica can follow.
            and state.history == wanted.history
            for name in wanted.members
        )

    # what others ask for

    async def begin(self) -> None:
        """Bring the group to its topology, adopting nodes that run, and keep it there from now on."""
        try:
            await self.converge()
        finally:
            self._spawn("decide", self._decide())

    async def converge(self) -> None:
        """Bring the group to its topology now, replicas' synchronisation aside. NodeError, OSError when that fails."""
        async with self._lock:
            wanted = self._keeper.topology()
            await self._adopt(wanted)
            former, wanted = wanted.primary, await self._settle_primary(wanted)
            await self._point("primary", self.nodes[wanted.primary].target)
            if wanted.primary != former:
                self._keeper.happened(
                    None, f"Failover from primary node {former} to replica node {wanted.primary} completed"
                )
            await self._settle_replicas(wanted)
            await self._point_reader(wanted)

    def wake(self) -> None:
        """Have the topology looked at now, not at the next tick."""
        self._wake.set()

    async def settled(self, timeout: float) -> None:
        """Wait until the group is in order. NodeError, which says what isn't, after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self.in_order:
            if time.monotonic() > deadline:
                raise NodeError(f"{self.name}: {self._disorder()} after {timeout:.0f} s")
            await asyncio.gather(*(node.probe() for node in self.nodes.values()))
            self._wake.set()
            await asyncio.sleep(0.1)

    async def seed(self, data: Path) -> None:
        """Let the primary of a group that never ran start with these data. May be repeated."""
        async with self._lock:
            wanted = self._keeper.topology()
            node = self._make_node(wanted.primary)
            if node.process is None and not node.snapshot.exists():
                await asyncio.to_thread(node.seed, data)

    async def fail_over(self) -> None:
        """Kill the primary as a fault would; what follows is decided as after any fault. NodeError when no replica
        could take over."""
        former = self._keeper.topology().primary
        process = self.nodes[former].process
        if process is not None:
            process.kill_group()
            await asyncio.wait_for(process.wait(), 10)
        await self.converge()
        if self._keeper.topology().primary == former:
            raise NodeError(f"{self.name}: no replica could take over; {former} was restarted")

    async def reboot(self, name: str) -> None:
        """Restart one node without its data, as a managed cache does: a primary comes back empty, and so do its
        replicas; a replica takes the data from its primary."""
        async with self._lock:
            wanted = self._keeper.topology()
            node = self.nodes[name]
            await node.kill()
            node.forget()
            self._start(name, wanted)
            state = await node.ready()
            if name == wanted.primary:
                self._keeper.keep_primary(name, state.history)

    async def stop(self) -> None:
        """Save and end every node, the primary first, so that replicas have all of it."""
        await self._cancel()
        wanted = self._keeper.topology()
        async with self._lock:
            if wanted.primary in self.nodes:
                await self.nodes[wanted.primary].stop()
            await asyncio.gather(*(node.stop() for node in self.nodes.values()))

    async def destroy(self) -> None:
        """End every node and remove the endpoints and all data. May be repeated."""
        await self._cancel()
        async with self._lock:
            for owner in ("primary", "reader"):
                await self._endpoints.withdraw(f"{self._fronts.owner}/{owner}")
            self._targets.clear()
            await self._remove_all_but(())

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = self._spawn_task(work, f"{self.name}: {name}")

    async def _cancel(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # deciding, all under the lock

    async def _adopt(self, wanted: Topology) -> None:
        await self._remove_all_but(wanted.members)
        for name in wanted.members:
            node = self.nodes.get(name)
            if node is None:
                node = self.nodes[name] = self._make_node(name)
                if node.process is not None:
                    await node.probe()
            process = node.process
            if process is not None and name not in self._processes:
                self._spawn(f"watch {name}", self._watch(name, node, process))
            elif process is None:
                node.state = None
                self._bury(name)

    async def _settle_primary(self, wanted: Topology) -> Topology:
        node = self.nodes[wanted.primary]
        if node.process is None:
            successor = await self._successor(wanted)
            if successor is not None and wanted.automatic_failover:
                # The decision is kept before it is carried out: after a crash here it is carried on, never taken anew.
                self._keeper.keep_primary(successor, wanted.history)
                wanted = self._keeper.topology()
                node = self.nodes[successor]
            elif self._due(wanted.primary):
                await self._restart_primary(wanted, successor)
        state = await self._answer(node)
        if not state.is_primary:
            await self._promote(wanted, node)
            state = await self._answer(node)
        if not state.is_primary:
            raise NodeError(f"{node.place.name} is still a replica")
        if node.applied != wanted.configuration:
            await node.configure(wanted.configuration, None)
        if state.history != wanted.history:
            self._keeper.keep_primary(wanted.primary, state.history)
        if state.can_save:
            self.problems.pop(wanted.primary, None)
        return wanted

    async def _answer(self, node: Node) -> State:
        if node.process is None:
            raise NodeError(self.problems.get(node.place.name.rpartition("/")[2]) or f"{node.place.name} does not run")
        if node.state is not None and not node.state.loading:
            return node.state
        return await node.ready(HUNG_SECONDS / 4)

    async def _successor(self, wanted: Topology) -> str | None:
        """The replica that has most of the dead primary's writes; one of another history has other writes."""
        living = [name for name in wanted.members if name != wanted.primary and self.nodes[name].process is not None]
        states = await asyncio.gather(*(self.nodes[name].probe() for name in living))
        fit = [
            (state.offset, -order, name)
            for order, (name, state) in enumerate(zip(living, states, strict=True))
            if state is not None and not (state.loading or state.syncing) and state.history == wanted.history
        ]
        return max(fit)[2] if fit else None

    async def _restart_primary(self, wanted: Topology, survivor: str | None) -> None:
        """Start the primary where it was. A replica that lives has newer data than the primary's last save."""
        node = self.nodes[wanted.primary]
        if survivor is not None:
            await self.nodes[survivor].save(node.snapshot.with_suffix(".survivor"))
            node.seed(node.snapshot.with_suffix(".survivor"))
            node.snapshot.with_suffix(".survivor").unlink()
        self._start(wanted.primary, wanted)
        await node.ready()

    async def _promote(self, wanted: Topology, node: Node) -> None:
        others = [other for other in self.nodes.values() if other is not node and other.process is not None]
        former = next((other for other in others if other.state is not None and other.state.is_primary), None)
        if former is not None:
            try:
                await former.hand_over(node, HAND_OVER_SECONDS)
                return
            except _PROBLEMS as problem:
                log.warning("%s: %s; it is demoted", self.name, problem)
            # Two that take writes must never be: the old one gives up its role first, or its life.
            try:
                await former.follow(node.target)
            except _PROBLEMS:
                await former.kill()
        await node.promote()
        await node.probe()

    async def _settle_replicas(self, wanted: Topology) -> None:
        primary = self.nodes[wanted.primary].target
        for name in wanted.members:
            node = self.nodes[name]
            if name == wanted.primary:
                continue
            try:
                if node.process is None:
                    if self._due(name):
                        self._start(name, wanted)
                    continue
                if node.state is not None and node.state.follows != primary:
                    await node.follow(primary)
                    await node.probe()
                if node.state is not None and node.applied != wanted.configuration:
                    await node.configure(wanted.configuration, primary)
                if node.state is not None and node.state.in_sync and node.state.can_save:
                    self.problems.pop(name, None)
            except _PROBLEMS as problem:
                self._complain(name, str(problem))

    async def _point_reader(self, wanted: Topology) -> None:
        ready = [
            node.target
            for name in wanted.members
            if name != wanted.primary
            and (node := self.nodes[name]).process is not None
            and node.state is not None
            and node.state.in_sync
        ]
        current = self._targets.get("reader")
        if current not in ready:
            await self._point("reader", ready[0] if ready else self.nodes[wanted.primary].target)

    async def _point(self, front: str, target: tuple[str, int]) -> None:
        owner = f"{self._fronts.owner}/{front}"
        address = self._fronts.primary if front == "primary" else self._fronts.reader
        if front not in self._targets:
            await self._endpoints.publish(owner, address, self._fronts.port, target)
        elif self._targets[front] != target:
            await self._endpoints.retarget(owner, target)
        self._targets[front] = target

    async def _remove_all_but(self, members: tuple[str, ...]) -> None:
        prefix = f"{self.name}/"
        strays = {
            process.name.removeprefix(prefix)
            for process in self._supervisor.running()
            if process.name.startswith(prefix)
        }
        folders = {path.name for path in self._folder.iterdir() if path.is_dir()} if self._folder.is_dir() else set()
        for name in (strays | folders | set(self.nodes)) - set(members):
            self._unwatch(name)
            node = self.nodes.pop(name, None)
            if node is not None:
                await node.kill()
            await self._supervisor.stop(prefix + name, signal.SIGKILL)
            await asyncio.to_thread(shutil.rmtree, self._folder / name, ignore_errors=True)
            self.problems.pop(name, None)

    # nodes' lives

    def _start(self, name: str, wanted: Topology) -> None:
        node = self.nodes[name]
        primary = None if name == wanted.primary else self.nodes[wanted.primary].target
        self._unwatch(name)
        try:
            process = node.start(wanted.configuration, primary)
        except OSError as problem:
            self._deaths.setdefault(name, []).append(time.monotonic())
            raise NodeError(f"{node.place.name} could not be started: {problem}") from problem
        self._spawn(f"watch {name}", self._watch(name, node, process))

    async def _watch(self, name: str, node: Node, process: Process) -> None:
        """Look at a node each second, and wake the one who decides when it ends."""
        self._processes[name] = process
        ended = asyncio.create_task(process.wait())
        could_save = True
        try:
            while not ended.done():
                await node.probe()
                if time.monotonic() - node.answered > HUNG_SECONDS:
                    self._keeper.happened(name, f"Node {name} has not answered for {HUNG_SECONDS:.0f} s; it is killed")
                    process.kill_group()
                if node.state is not None and node.state.can_save != could_save:
                    could_save = node.state.can_save
                    if not could_save:
                        self._complain(name, f"its data can't be saved: {node.last_words()}")
                await asyncio.wait({ended}, timeout=TICK_SECONDS)
        finally:
            ended.cancel()
        self._wake.set()

    def _unwatch(self, name: str) -> None:
        self._processes.pop(name, None)
        task = self._tasks.pop(f"watch {name}", None)
        if task is not None:
            task.cancel()

    def _bury(self, name: str) -> None:
        """Say that a node which ran is dead, once."""
        process = self._processes.get(name)
        if process is None:
            return
        self._unwatch(name)
        now = time.monotonic()
        recent = [moment for moment in self._deaths.get(name, []) if now - moment < _FORGIVEN_AFTER]
        self._deaths[name] = [*recent, now]
        if not recent:
            self._keeper.happened(name, f"Node {name} ended{_how(process.exit_code)}")
            return
        words = f": {self.nodes[name].last_words()}" if process.exit_code is None or process.exit_code > 0 else ""
        self._complain(name, f"ended{_how(process.exit_code)}, time {len(self._deaths[name])} in a minute{words}")

    async def _decide(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TICK_SECONDS)
            self._wake.clear()
            try:
                await self.converge()
            except _PROBLEMS as problem:
                self._complain(self._keeper.topology().primary, str(problem))
            except Exception:
                log.exception("%s could not be brought in order", self.name)

    def _due(self, name: str) -> bool:
        """Whether a dead node may be started again: at once the first time, later and later after that."""
        deaths = self._deaths.get(name, [])
        if len(deaths) <= 1:
            return True
        return time.monotonic() - deaths[-1] >= min(2.0 ** (len(deaths) - 2), _LONGEST_PAUSE)

    def _complain(self, name: str, message: str) -> None:
        if self.problems.get(name) != message:
            self.problems[name] = message
            log.warning("%s/%s: %s", self.name, name, message)
            self._keeper.happened(name, f"Node {name}: {message}")

    def _disorder(self) -> str:
        if self.problems:
            return "; ".join(f"{name}: {problem}" for name, problem in sorted(self.problems.items()))
        late = [name for name, node in self.nodes.items() if node.state is None or not node.state.in_sync]
        return f"not in sync: {', '.join(sorted(late)) or 'the primary'}"


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return ""
    return f" by signal {-exit_code}" if exit_code < 0 else f" with exit code {exit_code}"
