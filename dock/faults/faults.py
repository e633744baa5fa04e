"""All faults of a dock: begun, kept true while they are on, and taken back."""

from __future__ import annotations

import asyncio
import difflib
import fnmatch
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import UnknownServiceError

from dock.aws.models import service_model
from dock.faults.api import ApiFaults
from dock.faults.book import Book
from dock.faults.engines import Engine, among, engines, find, parts
from dock.faults.model import OF_ENGINES, OF_NETWORKS, Fault, FaultError, Kind, Wish
from dock.faults.networks import NetworkFaults
from dock.faults.processes import freeze, kill, thaw
from dock.faults.volumes import Volumes
from dock.store import Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
# Faults that ended lately, for whoever looks back.
REMEMBERED = 50


class Faults:
    """`add` and `clear` return when it is so. Whatever starts a process asks `held` first (the supervisor does)."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._book = Book(cloud.store)
        self.api = ApiFaults(self._book)
        self._networks = NetworkFaults(cloud)
        self._volumes = Volumes()
        self._lock = asyncio.Lock()
        self._past: list[dict[str, Any]] = []
        self._clear_file = cloud.home.run / "faults.clear"
        cloud.supervisor.gate = self.held

    # for the daemon

    async def prepare(self) -> None:
        """Before any engine is adopted: end what ended while no daemon ran, and let nothing hang or run that mustn't.

        An engine that hangs can't be adopted: after a restart of the daemon it is down instead.
        """
        self._obey_clear_file()
        for fault in self._book.expired():
            self._book.remove(fault.id)
        for process in self._cloud.supervisor.running():
            if self._holds(process.name, engines(self._cloud)):
                await asyncio.to_thread(kill, process.pid)
            else:
                await asyncio.to_thread(thaw, process.pid)

    async def run(self) -> None:
        """Keep what is on true and end it in time, until cancelled."""
        async with self._lock:
            for fault in self._book:
                await self._try(self._begin, fault)
        while True:
            await asyncio.sleep(TICK_SECONDS)
            async with self._lock:
                if self._clear_file.exists():
                    await self._end_all(self._obey_clear_file())
                await self._end_all(self._book.expired())
                await self._enforce()

    def held(self, process: str) -> str | None:
        """Why a process of this name must not start now; None when it may."""
        if not any(fault.holds for fault in self._book):
            return None
        fault = self._holds(process, engines(self._cloud))
        return f"the fault {fault.id} ({fault.kind} {fault.about()}) keeps it down" if fault is not None else None

    def keeps_down(self, kind: str, name: str, scope: Scope) -> bool:
        """Whether a whole resource is kept down, so that nothing of it need be tried."""
        return any(
            fault.kind in (Kind.ENGINE_DOWN, Kind.ENGINE_HUNG)
            and fault.part in (None, "all")
            and fault.target == f"{kind}/{name}"
            and fault.account in (None, scope.account)
            and fault.region in (None, scope.region)
            for fault in self._book
        )

    def zone_is_down(self, account: str, zone: str) -> bool:
        """Whether nothing new can be placed in a zone."""
        return any(
            ((fault.kind is Kind.ZONE_DOWN and fault.zone == zone) or _down(fault, zone.rstrip("abcdef")))
            and fault.account in (None, account)
            for fault in self._book
        )

    def region_is_down(self, region: str, account: str | None = None) -> bool:
        """Whether a region, with everything in it, is gone."""
        return any(_down(fault, region) and fault.account in (None, account) for fault in self._book)

    # for the control socket

    async def add(self, document: Any) -> dict[str, Any]:
        """Begin a fault; returns it as it is shown. Raises FaultError: then nothing has begun."""
        wish = Wish.read(document)
        async with self._lock:
            processes: tuple[str, ...] = ()
            if wish.kind in OF_ENGINES | OF_NETWORKS:
                processes = self._check_engine(wish)
            elif wish.kind is Kind.ZONE_DOWN or wish.kind is Kind.REGION_DOWN:
                self._check_place(wish)
            else:
                self._check_account(wish)
                self._check_calls(wish)
            fault = self._book.add(wish, processes)
            try:
                await self._begin(fault)
            except (FaultError, OSError, RuntimeError) as problem:
                await self._end(fault)
                raise FaultError(str(problem)) from problem
            log.warning("fault %s begins: %s %s", fault.id, fault.kind, fault.about())
            if fault.kind is Kind.ENGINE_KILLED:
                await self._end(fault)
            return fault.shown(time.time())

    async def clear(self, identifier: str | None) -> list[dict[str, Any]]:
        """End one fault, or all (None). Returns what was ended. Raises FaultError when there is none of this id."""
        async with self._lock:
            if identifier is None:
                ended = list(self._book)
            else:
                fault = self._book.find(identifier)
                if fault is None:
                    raise FaultError(f"there is no fault {identifier!r}; drydock fault list")
                ended = [fault]
            await self._end_all(ended)
            return [fault.shown(time.time()) for fault in ended]

    def shown(self, *, past: bool = False) -> list[dict[str, Any]]:
        """Those that are on, and if asked those that ended in this daemon's life."""
        now = time.time()
        return [fault.shown(now) for fault in self._book] + (self._past if past else [])

    def targets(self) -> list[dict[str, Any]]:
        """What a fault of an engine, a network or a zone can hit now."""
        return [
            {
                "kind": engine.kind,
                "name": engine.name,
                "account": engine.scope.account or None,
                "region": engine.scope.region or None,
                "parts": [{"role": part.role, "zone": part.zone} for part in engine.parts],
                "network": bool(engine.endpoints),
            }
            for engine in engines(self._cloud)
        ]

    # inside

    def _holds(self, process: str, known: list[Engine]) -> Fault | None:
        for fault in self._book:
            if fault.holds and _covered(fault, process, known):
                return fault
        return None

    async def _begin(self, fault: Fault) -> None:
        """Make it so; done again after a restart of the daemon, it does no more."""
        if fault.kind in OF_NETWORKS:
            await self._networks.begin(fault, self._engine(fault))
        elif fault.kind is Kind.ENGINE_FULL:
            await asyncio.to_thread(self._volumes.fill, fault, self._engine(fault))
        elif fault.kind is Kind.ENGINE_KILLED:
            for process in self._cloud.supervisor.running():
                if among(process.name, fault.processes):
                    await asyncio.to_thread(kill, process.pid)
        else:
            await self._enforce()

    async def _end(self, fault: Fault) -> None:
        try:
            if fault.kind in OF_NETWORKS:
                await self._networks.end(fault)
            elif fault.kind is Kind.ENGINE_FULL:
                await asyncio.to_thread(self._volumes.release, fault)
        finally:
            self._book.remove(fault.id)
            self.api.forget(fault.id)
            self._past = [*self._past, {**fault.shown(time.time()), "ended": time.time()}][-REMEMBERED:]
            log.warning("fault %s ends: %s %s", fault.id, fault.kind, fault.about())
        if fault.kind is Kind.ENGINE_HUNG:
            known = engines(self._cloud)
            for process in self._cloud.supervisor.running():
                if among(process.name, fault.processes) and self._holds(process.name, known) is None:
                    await asyncio.to_thread(thaw, process.pid)

    async def _end_all(self, faults: list[Fault]) -> None:
        for fault in faults:
            await self._try(self._end, fault)

    async def _enforce(self) -> None:
        """End what a fault keeps down, stop what it makes hang: also what was started at the moment it began."""
        if not any(fault.holds for fault in self._book):
            return
        known = engines(self._cloud)
        for process in self._cloud.supervisor.running():
            fault = self._holds(process.name, known)
            if fault is None:
                continue
            hits = freeze if fault.kind is Kind.ENGINE_HUNG else kill
            await asyncio.to_thread(hits, process.pid)

    def _engine(self, fault: Fault) -> Engine:
        assert fault.target is not None
        return find(engines(self._cloud), fault.target, fault.account, fault.region)

    def _check_engine(self, wish: Wish) -> tuple[str, ...]:
        fields = wish.fields
        engine = find(engines(self._cloud), fields["target"], fields.get("account"), fields.get("region"))
        # From here on under its full name, whatever comes to be called alike.
        fields["target"] = f"{engine.kind}/{engine.name}"
        fields |= {name: value for name, value in engine.scope._asdict().items() if value}
        if wish.kind in OF_NETWORKS:
            if not engine.endpoints:
                raise FaultError(f"a {engine.kind} has no endpoint of its own; a database or a cache has")
            return ()
        if wish.kind is Kind.ENGINE_FULL:
            self._volumes.check(engine)
        return parts(engine, fields.get("part"))

    def _check_place(self, wish: Wish) -> None:
        region = wish.fields.get("region") or wish.fields["zone"][:-1]
        if region not in self._cloud.regions:
            raise FaultError(f"the dock has no region {region!r}; it has {', '.join(self._cloud.regions)}")
        self._check_account(wish)

    def _check_account(self, wish: Wish) -> None:
        account = wish.fields.get("account")
        if account is not None and account not in self._cloud.accounts:
            raise FaultError(f"the dock has no account {account!r}; it has {', '.join(self._cloud.accounts)}")

    def _check_calls(self, wish: Wish) -> None:
        """A misspelt name would make a fault that never hits anybody."""
        region, service = wish.fields.get("region"), wish.fields.get("service")
        if region is not None and region not in self._cloud.regions:
            raise FaultError(f"the dock has no region {region!r}; it has {', '.join(self._cloud.regions)}")
        operation = wish.fields.get("operation")
        if service is None:
            return
        try:
            operations = service_model(service).operation_names
        except UnknownServiceError:
            raise FaultError(f"botocore has no service {service!r}; write for example ecs, rds or elbv2") from None
        if operation is not None and not any(fnmatch.fnmatchcase(name, operation) for name in operations):
            near = difflib.get_close_matches(operation, operations, 3)
            hint = f"; do you mean {', '.join(near)}" if near else ""
            raise FaultError(f"{service} has no operation {operation!r}{hint}")

    def _obey_clear_file(self) -> list[Fault]:
        """What `drydock fault clear` left for a daemon that didn't answer: ids, or nothing for all."""
        try:
            asked = json.loads(self._clear_file.read_text())
        except FileNotFoundError:
            return []
        except (OSError, ValueError):
            asked = {"all": True}
        self._clear_file.unlink(missing_ok=True)
        return [fault for fault in self._book if asked.get("all") or fault.id in asked.get("ids", ())]

    async def _try(self, act: Any, fault: Fault) -> None:
        try:
            await act(fault)
        except Exception:
            log.exception("fault %s could not be made or ended in full", fault.id)


def _down(fault: Fault, region: str) -> bool:
    return fault.kind is Kind.REGION_DOWN and fault.region == region


def _covered(fault: Fault, process: str, known: list[Engine]) -> bool:
    """Whether a fault hits the process of this name."""
    if fault.kind in OF_ENGINES:
        # Of a service as a whole also what came after the fault began: its next tasks.
        return among(process, fault.processes) or any(
            part.covers(process)
            for engine in known
            if engine.kind == "service" and fault.target == f"service/{engine.name}" and fault.part in (None, "all")
            if engine.scope == (fault.account, fault.region)
            for part in engine.parts
        )
    return any(
        part.covers(process)
        and ((part.zone is not None and part.zone == fault.zone) or (_down(fault, engine.scope.region)))
        for engine in known
        if fault.account in (None, engine.scope.account)
        for part in engine.parts
    )
