"""A primary with its replicas behind two endpoints: who is primary, what happens when a node dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from dock.engines.redis.node import Node, NodeError, State
from dock.engines.redis.nodes import HUNG_SECONDS, TICK_SECONDS, Nodes, Spawn
from dock.engines.redis.topology import Fronts, Keeper, Topology

if TYPE_CHECKING:
    from dock.engines.endpoints import Endpoints
    from dock.engines.supervisor import Supervisor

log = logging.getLogger(__name__)

HAND_OVER_SECONDS = 5.0
CATCH_UP_SECONDS = 10.0
# What can go wrong with nodes (NodeError), endpoints (HAProxyError), addresses and files.
_PROBLEMS = (RuntimeError, RedisError, OSError)


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
        self._keeper = keeper
        self._make_node = make_node
        self._fronts = fronts
        self._endpoints = endpoints
        self._spawn = spawn
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._nodes = Nodes(name, folder, make_node, supervisor, spawn, keeper, self._wake.set)
        self._decider: asyncio.Task[None] | None = None
        self._targets: dict[str, tuple[str, int]] = {}

    # what others see

    @property
    def nodes(self) -> dict[str, Node]:
        return self._nodes.by_name

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong at present, by node; of the group as a whole under its own name."""
        return self._nodes.problems

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
            if self._decider is None:
                self._decider = self._spawn(self._decide(), f"{self.name}: decide")

    async def converge(self) -> None:
        """Bring the group to its topology now, replicas' synchronisation aside. NodeError, OSError when that fails."""
        async with self._lock:
            wanted = self._keeper.topology()
            await self._nodes.adopt(wanted.members)
            former = wanted.primary
            try:
                wanted = await self._settle_primary(wanted)
            except _PROBLEMS:
                # A primary that can't be started is replaced by a replica, if one can be.
                self._start_dead_replicas(wanted)
                raise
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

    async def save(self, name: str, into: Path) -> int:
        """Save a node's data to a file, with every write that the primary has taken by now; returns its bytes."""
        primary, node = self.nodes[self._keeper.topology().primary], self.nodes.get(name)
        taken = await primary.probe()
        if node is None or node.process is None or taken is None:
            raise NodeError(f"{self.name}: {name if taken else 'the primary'} does not answer")
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while node is not primary:
            state = await node.probe()
            if state is not None and state.history == taken.history and state.offset >= taken.offset:
                break
            if time.monotonic() > deadline:
                raise NodeError(f"{node.place.name} is behind its primary for {CATCH_UP_SECONDS:.0f} s")
            await asyncio.sleep(0.02)
        return await node.save(into)

    async def fail_over(self) -> None:
        """Kill the primary as a fault would; what follows is decided as after any fault. NodeError when no replica
        could take over."""
        former = self._keeper.topology().primary
        process = self.nodes[former].process
        if process is not None:
            process.kill_group()
            async with asyncio.timeout(10):
                await process.wait()
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
        await self._end_watch()
        async with self._lock:
            await self._nodes.stop(first=self._keeper.topology().primary)

    async def destroy(self) -> None:
        """End every node and remove the endpoints and all data. May be repeated."""
        await self._end_watch()
        async with self._lock:
            for owner in ("primary", "reader"):
                await self._endpoints.withdraw(f"{self._fronts.owner}/{owner}")
            self._targets.clear()
            await self._nodes.adopt(())

    async def _end_watch(self) -> None:
        decider, self._decider = self._decider, None
        if decider is not None:
            decider.cancel()
            await asyncio.gather(decider, return_exceptions=True)
        await self._nodes.forsake()

    # deciding, all under the lock

    async def _settle_primary(self, wanted: Topology) -> Topology:
        node = self.nodes[wanted.primary]
        if node.process is None:
            successor = await self._successor(wanted)
            if successor is not None and wanted.automatic_failover:
                # The decision is kept before it is carried out: after a crash here it is carried on, never taken anew.
                self._keeper.keep_primary(successor, wanted.history)
                wanted = self._keeper.topology()
                node = self.nodes[successor]
            elif self._nodes.due(wanted.primary):
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

    def _start_dead_replicas(self, wanted: Topology) -> None:
        for name in wanted.members:
            if name != wanted.primary and self.nodes[name].process is None and self._nodes.due(name):
                try:
                    self._start(name, wanted)
                except NodeError as problem:
                    self._nodes.complain(name, str(problem))

    async def _settle_replicas(self, wanted: Topology) -> None:
        primary = self.nodes[wanted.primary].target
        self._start_dead_replicas(wanted)
        for name in wanted.members:
            node = self.nodes[name]
            if name == wanted.primary or node.process is None:
                continue
            try:
                if node.state is not None and node.state.follows != primary:
                    await node.follow(primary)
                    await node.probe()
                if node.state is not None and node.applied != wanted.configuration:
                    await node.configure(wanted.configuration, primary)
                if node.state is not None and node.state.in_sync and node.state.can_save:
                    self.problems.pop(name, None)
            except _PROBLEMS as problem:
                self._nodes.complain(name, str(problem))

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

    def _start(self, name: str, wanted: Topology) -> None:
        primary = None if name == wanted.primary else self.nodes[wanted.primary].target
        self._nodes.start(name, wanted.configuration, primary)

    async def _decide(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.converge()
            except _PROBLEMS as problem:
                self._nodes.complain(self._keeper.topology().primary, str(problem))
            except Exception as problem:
                # The record could not be kept, as when the disk is full: said once, tried again.
                if self.problems.get(self.name) != str(problem):
                    self.problems[self.name] = str(problem)
                    log.exception("%s could not be brought in order", self.name)
            else:
                self.problems.pop(self.name, None)

    def _disorder(self) -> str:
        if self.problems:
            return "; ".join(f"{name}: {problem}" for name, problem in sorted(self.problems.items()))
        late = [name for name, node in self.nodes.items() if node.state is None or not node.state.in_sync]
        return f"not in sync: {', '.join(sorted(late)) or 'the primary'}"
