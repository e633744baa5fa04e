"""The nodes of a group as processes: adopted, started, watched, and missed when they end."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dock.engines.redis.configuration import Configuration
from dock.engines.redis.node import STOP_SECONDS, Node, NodeError
from dock.engines.redis.topology import Keeper
from dock.engines.supervisor import HeldError

if TYPE_CHECKING:
    from dock.engines.supervisor import Process, Supervisor

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
HUNG_SECONDS = 10.0
# A node that dies again within a minute waits longer each time, at most this long.
_LONGEST_PAUSE = 30.0
_FORGIVEN_AFTER = 60.0

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class Nodes:
    """By name. `problems` has what is wrong with whom at present; `changed` is called when a node ended."""

    def __init__(
        self,
        group: str,
        folder: Path,
        make: Callable[[str], Node],
        supervisor: Supervisor,
        spawn: Spawn,
        keeper: Keeper,
        changed: Callable[[], None],
    ) -> None:
        self.by_name: dict[str, Node] = {}
        self.problems: dict[str, str] = {}
        self._group = group
        self._folder = folder
        self._make = make
        self._supervisor = supervisor
        self._spawn = spawn
        self._keeper = keeper
        self._changed = changed
        self._watched: dict[str, tuple[Process, asyncio.Task[None]]] = {}
        self._deaths: dict[str, list[float]] = {}

    async def adopt(self, members: Iterable[str]) -> None:
        """Know these nodes and no others: those that run are watched, those that ended are missed, the rest removed."""
        wanted = set(members)
        for name in (self._strays() | set(self.by_name)) - wanted:
            await self._remove(name)
        for name in wanted:
            node = self.by_name.get(name)
            if node is None:
                node = self.by_name[name] = self._make(name)
                if node.process is not None:
                    await node.probe()
            process = node.process
            if process is None:
                node.state = None
                self._bury(name)
            elif name not in self._watched:
                self._watch(name, node, process)

    def start(self, name: str, configuration: Configuration, primary: tuple[str, int] | None) -> None:
        """Start a dead node, as a replica when `primary` is given. NodeError when the system refuses."""
        node = self.by_name[name]
        self._unwatch(name)
        if primary is not None and len(self._deaths.get(name, [])) > 1 and node.snapshot.exists():
            # It may die of its own data; a replica gets them anew from its primary.
            node.forget()
        try:
            process = node.start(configuration, primary)
        except HeldError as problem:
            # That is no death of its own: it starts as soon as it may.
            raise NodeError(str(problem)) from problem
        except OSError as problem:
            self._deaths.setdefault(name, []).append(time.monotonic())
            raise NodeError(f"{node.place.name} could not be started: {problem}") from problem
        self._watch(name, node, process)

    def due(self, name: str) -> bool:
        """Whether a dead node may be started again: at once the first time, later and later after that."""
        deaths = self._deaths.get(name, [])
        if len(deaths) <= 1:
            return True
        return time.monotonic() - deaths[-1] >= min(2.0 ** (len(deaths) - 2), _LONGEST_PAUSE)

    async def stop(self, first: str) -> None:
        """Save and end all, `first` before the others; who could not save is complained of."""
        order = sorted(self.by_name, key=lambda name: name != first)
        saved = [await self.by_name[name].stop() for name in order[:1]]
        saved += await asyncio.gather(*(self.by_name[name].stop() for name in order[1:]))
        for name, well in zip(order, saved, strict=True):
            if not well:
                self.complain(name, f"stopped without saving its data: {self.by_name[name].last_words()}")
        # Those of an earlier daemon that this one had not come to know.
        for process in self._running():
            await process.stop(signal.SIGTERM, STOP_SECONDS)

    async def forsake(self) -> None:
        """Watch no node any more."""
        tasks = [task for _, task in self._watched.values()]
        self._watched.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def complain(self, name: str, message: str) -> None:
        """Remember what is wrong with a node, and say it when it is new."""
        if self.problems.get(name) != message:
            self.problems[name] = message
            log.warning("%s/%s: %s", self._group, name, message)
            self._keeper.happened(name, f"Node {name}: {message}")

    def _watch(self, name: str, node: Node, process: Process) -> None:
        task = self._spawn(self._look_after(name, node, process), f"{self._group}/{name}: watch")
        self._watched[name] = (process, task)

    def _unwatch(self, name: str) -> None:
        watched = self._watched.pop(name, None)
        if watched is not None:
            watched[1].cancel()

    async def _look_after(self, name: str, node: Node, process: Process) -> None:
        """Ask a node each second how it is, kill it when it hangs, and notice its end at once."""
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
                        self.complain(name, f"its data can't be saved: {node.last_words()}")
                await asyncio.wait({ended}, timeout=TICK_SECONDS)
        finally:
            ended.cancel()
        self._changed()

    def _bury(self, name: str) -> None:
        """Say that a node which ran is dead, once."""
        if name not in self._watched:
            return
        process = self._watched[name][0]
        self._unwatch(name)
        now = time.monotonic()
        recent = [moment for moment in self._deaths.get(name, []) if now - moment < _FORGIVEN_AFTER]
        self._deaths[name] = [*recent, now]
        if not recent:
            self._keeper.happened(name, f"Node {name} ended{_how(process.exit_code)}")
            return
        words = f": {self.by_name[name].last_words()}" if process.exit_code is None or process.exit_code > 0 else ""
        self.complain(name, f"ended{_how(process.exit_code)}, time {len(self._deaths[name])} in a minute{words}")

    def _running(self) -> list[Process]:
        return [found for found in self._supervisor.running() if found.name.startswith(f"{self._group}/")]

    def _strays(self) -> set[str]:
        """What of this group runs or has a folder."""
        running = {process.name.removeprefix(f"{self._group}/") for process in self._running()}
        folders = {path.name for path in self._folder.iterdir() if path.is_dir()} if self._folder.is_dir() else set()
        return running | folders

    async def _remove(self, name: str) -> None:
        self._unwatch(name)
        node = self.by_name.pop(name, None)
        if node is not None:
            await node.kill()
        await self._supervisor.stop(f"{self._group}/{name}", signal.SIGKILL)
        await asyncio.to_thread(shutil.rmtree, self._folder / name, ignore_errors=True)
        self.problems.pop(name, None)
        self._deaths.pop(name, None)


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return ""
    return f" by signal {-exit_code}" if exit_code < 0 else f" with exit code {exit_code}"
