"""The engines of all load balancers: one HAProxy each, made to do what the records say."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dock.aws.acm import Acm
from dock.aws.elbv2 import desire, names
from dock.aws.elbv2.records import LISTENER, LOAD_BALANCER, RULE, TARGET, TARGET_GROUP, Change, Records
from dock.aws.service import AwsError
from dock.certificates import write_private
from dock.engines.haproxy import AddressTaken, HAProxyError, Health, LoadBalancer
from dock.engines.haproxy.first_checks import passes_first_checks
from dock.engines.haproxy.model import Target
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

# How often a drain looks whether its target still works on something, and how often a failed start is tried again.
DRAIN_POLL_SECONDS = 0.2
RETRY_SECONDS = 2.0
_PREFIX = "elb/"


class Fleet:
    """Every change goes through `commit`: the engine does it first, then it is recorded, unless the engine refused.

    `lock` is held by whoever checks records and then changes them.
    """

    def __init__(self, cloud: Cloud, records: Records) -> None:
        self.lock = asyncio.Lock()
        self._cloud = cloud
        self._records = records
        self._engines: dict[str, LoadBalancer] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._drains: dict[tuple[str, Target], asyncio.Task[None]] = {}
        self._drained: dict[tuple[str, Target], asyncio.Event] = {}
        self._problems: dict[str, str] = {}
        self._checked_since: dict[tuple[str, Target], float] = {}

    async def start(self) -> None:
        """Adopt or start every load balancer, end what no record knows, and go on with drains."""
        async with self.lock:
            known = set()
            for scope in self._records.scopes():
                for record in self._records.all(scope, LOAD_BALANCER):
                    known.add(process_name(record["id"]))
                    await self._bring_up(scope, record)
            for process in self._cloud.supervisor.running():
                if process.name.startswith(_PREFIX) and process.name not in known:
                    log.warning("%s belongs to no load balancer; ending it", process.name)
                    await self._cloud.supervisor.stop(process.name)
            for scope in self._records.scopes():
                for target in self._records.all(scope, TARGET):
                    self._checked_since[target["group"], desire.target(target)] = target["registered"]
                    if target["draining_until"] is not None:
                        self._drain(scope, target)

    async def stop(self) -> None:
        """End every HAProxy; records stay."""
        for task in [*self._watches.values(), *self._drains.values()]:
            task.cancel()
        await asyncio.gather(*self._watches.values(), *self._drains.values(), return_exceptions=True)
        self._watches.clear()
        self._drains.clear()
        async with self.lock:
            await asyncio.gather(*(engine.stop() for engine in self._engines.values()))
            self._engines.clear()

    async def commit(self, scope: Scope, change: Change) -> None:
        """Do a change and keep it. Raises AwsError when the engine can't do it; then nothing has changed."""
        touched = self._touched(scope, change)
        idle = self._idle_groups(scope, change)
        try:
            for load_balancer in touched:
                await self._apply(scope, load_balancer, change)
            self._records.commit(scope, change)
        except BaseException:
            for load_balancer in touched:
                if self._records.find(scope, LOAD_BALANCER, load_balancer) is not None:
                    await self._apply(scope, load_balancer, None)
            raise
        for group in idle:
            if self._records.load_balancers_of(scope, group):
                # Only now does anybody check its targets.
                self.check_first(scope, group, [desire.target(each) for each in self._records.targets(scope, group)])

    def engine(self, load_balancer: str) -> LoadBalancer:
        """The engine of a load balancer, which runs once it has a listener."""
        if load_balancer not in self._engines:
            name = process_name(load_balancer)
            engine = LoadBalancer(name, self._cloud.home, self._cloud.supervisor)
            self._engines[load_balancer] = engine
            self._watches[load_balancer] = self._cloud.spawn(engine.watch(), f"watch {name}")
        return self._engines[load_balancer]

    def problem(self, load_balancer: str) -> str | None:
        """Why a load balancer doesn't serve, None while it does what it should."""
        return self._problems.get(load_balancer) or self.engine(load_balancer).problem

    async def remove(self, load_balancer: str) -> None:
        """End a load balancer that has no record any more, and remove its files."""
        engine = self.engine(load_balancer)
        self._watches.pop(load_balancer).cancel()
        del self._engines[load_balancer]
        await engine.stop()
        await asyncio.to_thread(shutil.rmtree, engine.folder, ignore_errors=True)

    def health(self, scope: Scope, group: str) -> dict[Target, Health] | None:
        """What the checks of a target group say; None when no load balancer uses it."""
        users = self._records.load_balancers_of(scope, group)
        return self.engine(users[0]).health(names.engine_name(group)) if users else None

    async def refresh(self, scope: Scope, group: str) -> None:
        """Make `health` say what is so now rather than a second ago, if the engine answers."""
        for load_balancer in self._records.load_balancers_of(scope, group):
            engine = self.engine(load_balancer)
            if engine.alive:
                try:
                    await engine.look()
                except (OSError, HAProxyError) as problem:
                    log.warning("%s does not tell its health: %r", engine.name, problem)

    def checked_for(self, group: str, target: Target, registered: float) -> float:
        """How many seconds a target of a group in use has been checked, as far as this daemon knows."""
        return time.time() - max(registered, self._checked_since.setdefault((group, target), time.time()))

    def check_first(self, scope: Scope, group: str, targets: list[Target]) -> None:
        """Begin the first checks of targets that just came to a group in use."""
        users = self._records.load_balancers_of(scope, group)
        record = self._records.find(scope, TARGET_GROUP, group)
        if not users or record is None:
            return
        check = desire.health_check(record)
        for target in targets:
            self._checked_since[group, target] = time.time()

            async def first(target: Target = target) -> None:
                if await passes_first_checks(target, check):
                    # A HAProxy that doesn't answer just now finds out by its own checks.
                    with contextlib.suppress(OSError):
                        await self.engine(users[0]).declare_healthy(names.engine_name(group), target)

            self._cloud.spawn(first(), f"first checks of {target.name}")

    def drain(self, scope: Scope, target: Record) -> asyncio.Event:
        """Begin to drain what a commit has marked so; the event tells that nothing is left to wait for."""
        return self._drain(scope, target)

    def undrain(self, group: str, target: Target) -> None:
        """A target that came back drains no more."""
        if (task := self._drains.pop((group, target), None)) is not None:
            task.cancel()
        if (event := self._drained.pop((group, target), None)) is not None:
            event.set()

    def _drain(self, scope: Scope, target: Record) -> asyncio.Event:
        key = target["group"], desire.target(target)
        if key not in self._drained:
            self._drained[key] = asyncio.Event()
            self._drains[key] = self._cloud.spawn(self._finish(scope, target), f"drain {key[1].name}")
        return self._drained[key]

    async def _finish(self, scope: Scope, record: Record) -> None:
        """Wait until the target has nothing left to do, cut what is left at the end of the delay, then forget it."""
        group, target = record["group"], desire.target(record)
        deadline = record["draining_until"]
        engines = [self.engine(each) for each in self._records.load_balancers_of(scope, group)]
        name = names.engine_name(group)
        while (left := deadline - time.time()) > 0 and await _sessions(engines, name, target) > 0:  # noqa: ASYNC110 (HAProxy must be asked)
            await asyncio.sleep(min(DRAIN_POLL_SECONDS, left))
        for engine in engines:
            try:
                await engine.cut(name, target)
            except OSError as problem:
                log.warning("%s does not answer while %s drains: %r", engine.name, target.name, problem)
        self._drained[group, target].set()
        # AWS shows it as draining for the whole delay, also when it was done before.
        await asyncio.sleep(max(0.0, deadline - time.time()))
        self._records.commit(scope, Change().delete(TARGET, record["id"]))
        self._drains.pop((group, target), None)
        self._drained.pop((group, target), None)

    async def _bring_up(self, scope: Scope, record: Record) -> None:
        try:
            await self._apply(scope, record["id"], None)
        except AwsError as problem:
            log.error("load balancer %s: %s", record["LoadBalancerName"], problem.message)
            self._problems[record["id"]] = problem.message
            self._cloud.spawn(self._try_again(scope, record["id"]), f"start {record['LoadBalancerName']}")

    async def _try_again(self, scope: Scope, load_balancer: str) -> None:
        """Until it starts: the port that was taken may become free."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            async with self.lock:
                if self._records.find(scope, LOAD_BALANCER, load_balancer) is None or self.engine(load_balancer).alive:
                    return
                try:
                    await self._apply(scope, load_balancer, None)
                except AwsError as problem:
                    log.debug("%s still does not start: %s", load_balancer, problem.message)

    async def _apply(self, scope: Scope, load_balancer: str, change: Change | None) -> None:
        found = [each for each in self._records.all(scope, LOAD_BALANCER, change) if each["id"] == load_balancer]
        if not found:
            return
        engine = self.engine(load_balancer)
        wanted = desire.balancer(
            self._records, scope, found[0], lambda arn: self._certificate(scope, engine.folder, arn), change
        )
        try:
            await engine.apply(wanted)
            self._problems.pop(load_balancer, None)
        except AddressTaken as problem:
            raise AwsError(
                "InvalidConfigurationRequestException",
                f"{problem}; stop what listens there (ss -tlnp 'sport = :{problem.port}'), or choose another port",
            ) from problem
        except HAProxyError as problem:
            raise AwsError("InvalidConfigurationRequestException", str(problem)) from problem
        except OSError as problem:
            raise AwsError("InternalFailure", f"{engine.name} could not be changed: {problem}", 500) from problem

    def _certificate(self, scope: Scope, folder: Path, arn: str) -> Path:
        """The file that HAProxy serves a certificate from, named after its content. Raises AwsError."""
        material = self._cloud.service(Acm).material(scope, arn)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{hashlib.sha256(material.chain).hexdigest()[:16]}.pem"
        # HAProxy looks for a certificate's key under this name.
        write_private(path.with_name(f"{path.name}.key"), material.key)
        write_private(path, material.chain)
        return path

    async def certificate_changed(self, scope: Scope, arn: str) -> None:
        """Serve what a certificate has become."""
        async with self.lock:
            for load_balancer in self._records.users_of_certificate(scope, arn):
                await self._apply(scope, load_balancer, None)

    def _idle_groups(self, scope: Scope, change: Change) -> list[str]:
        """The target groups that no load balancer uses yet, if a change may have one use them."""
        if not any(kind in (LISTENER, RULE) for kind, _ in change.entries):
            return []
        groups = (group["id"] for group in self._records.all(scope, TARGET_GROUP))
        return [group for group in groups if not self._records.load_balancers_of(scope, group)]

    def _touched(self, scope: Scope, change: Change) -> list[str]:
        """The load balancers whose engine a change may concern."""
        touched = set()
        for (kind, identifier), record in change.entries.items():
            before = self._records.find(scope, kind, identifier)
            for each in (before, record):
                if each is None:
                    continue
                if kind == LOAD_BALANCER:
                    touched.add(each["id"])
                elif kind in (TARGET_GROUP, TARGET):
                    group = each["id"] if kind == TARGET_GROUP else each["group"]
                    touched.update(self._records.load_balancers_of(scope, group, change))
                elif "LoadBalancerArn" in each:
                    touched.add(each["LoadBalancerArn"])
        return sorted(touched)


def process_name(load_balancer: str) -> str:
    """What the process of a load balancer is called."""
    return _PREFIX + names.engine_name(load_balancer)


async def _sessions(engines: list[LoadBalancer], group: str, target: Target) -> int:
    total = 0
    for engine in engines:
        try:
            total += await engine.sessions(group, target)
        except OSError:
            # It can't tell; the target is not let go on a guess.
            total += 1
    return total
