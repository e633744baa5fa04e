"""Cloudflare in the dock: its records, its API and its edge."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Coroutine
from typing import Any

from dock.addresses import Addresses, Pool
from dock.certificates import Certificate, CertificateAuthority
from dock.cloudflare.access_rules import AccessRules
from dock.cloudflare.api import BASE, PORT, Api
from dock.cloudflare.desire import TIMEOUTS, document
from dock.cloudflare.dns import Dns
from dock.cloudflare.lists import Lists
from dock.cloudflare.purge import Purge
from dock.cloudflare.records import Records
from dock.cloudflare.route import Part, Route
from dock.cloudflare.rulesets import Rulesets
from dock.cloudflare.settings import Settings
from dock.cloudflare.tokens import Tokens, now
from dock.cloudflare.user import User
from dock.cloudflare.zones import Zones
from dock.engines.edge.process import Edge, EdgeError
from dock.engines.supervisor import Supervisor
from dock.home import Home
from dock.store import EVERYWHERE, Store

log = logging.getLogger(__name__)

# How long the dock's registrar takes to delegate a new zone.
ACTIVATION_SECONDS = 0.2


PARTS: tuple[type[Part], ...] = (Zones, Dns, Settings, Rulesets, Lists, AccessRules, Purge, User)


def routes() -> list[Route]:
    """Every call that the dock serves."""
    return [route for part in PARTS for route in part.routes()]


class Cloudflare:
    """The edge runs from the first active zone on. Every change acts before its call is answered."""

    def __init__(
        self,
        store: Store,
        home: Home,
        addresses: Addresses,
        certificates: CertificateAuthority,
        supervisor: Supervisor,
    ) -> None:
        self.records = Records(store)
        self.tokens = Tokens(store, home)
        self.certificates = certificates
        self.edge = Edge(home, supervisor)
        self.edge_address = addresses.allocate(Pool.EDGE, "edge")
        self.name_server: tuple[str, int] | None = addresses.dns
        """Where the edge asks for origins' names."""
        self.timeouts: dict[str, float] = dict(TIMEOUTS)
        self._address = addresses.cloudflare
        self._kept = store.table("setting")
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.zones, self.dns, self.settings = Zones(self), Dns(self), Settings(self)
        self.rulesets, self.lists, self.access = Rulesets(self), Lists(self), AccessRules(self)
        self.purges, self.user = Purge(self), User(self)
        self.api = Api(
            self,
            [self.zones, self.dns, self.settings, self.rulesets, self.lists, self.access, self.purges, self.user],
        )

    @property
    def url(self) -> str:
        """What CLOUDFLARE_BASE_URL is set to."""
        return f"http://{self._address}:{PORT}{BASE}"

    @property
    def secret(self) -> str:
        """Signs clearances; the same for as long as the dock exists."""
        kept = self._kept.get(EVERYWHERE, "cloudflare-clearance")
        if kept is None:
            kept = {"secret": secrets.token_hex(32)}
            self._kept.put(EVERYWHERE, "cloudflare-clearance", kept)
        return str(kept["secret"])

    def certificate(self, zone: str) -> Certificate:
        """That of the zone and the names one level below, as Cloudflare's universal certificate."""
        folder = self.edge.folder / "certificates" / zone
        return self.certificates.issue(folder, zone, [], self.edge.owner, names=[zone, f"*.{zone}"])

    async def start(self) -> None:
        """Listen, start the edge where there is something to serve, and carry on what was begun."""
        await self.api.start(self._address)
        if any(True for _ in self.records.every_zone()):
            try:
                await self.changed()
            except (EdgeError, OSError) as problem:
                log.error("the edge does not act: %s", problem)
        for zone in self.records.every_zone():
            if zone["status"] == "pending":
                self.activate_soon(zone["id"])
        self.lists.carry_on()
        self.api.started()

    async def stop(self) -> None:
        await self.leave()
        await self.edge.stop()

    async def leave(self) -> None:
        """End the API alone: the edge goes on, the next daemon adopts it."""
        self.edge.detach()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.api.stop()

    async def changed(self) -> None:
        """Have the edge do what the records say. Raises EdgeError."""
        async with self._lock:
            # A millisecond apart at least: each document is newer than the one before it.
            wanted = await asyncio.to_thread(document, self, time.time_ns())
            if wanted["zones"]:
                await self.edge.use(wanted)
            elif self.edge.pid is not None:
                # Nobody is served any more.
                await self.edge.stop()

    async def activate(self, zone_id: str) -> None:
        """What the registrar's delegation does: from now on the zone is served."""
        zone = self.records.zone(zone_id)
        if zone["status"] != "active":
            self.records.put(self.records.zones, {**zone, "status": "active", "activated_on": now()})
        await self.changed()

    def activate_soon(self, zone_id: str) -> None:
        async def later() -> None:
            await asyncio.sleep(ACTIVATION_SECONDS)
            if any(zone["id"] == zone_id for zone in self.records.every_zone()):
                await self.activate(zone_id)

        self.spawn(later(), f"cloudflare: activate {zone_id}")

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something in the background; a failure is logged, the end of the dock cancels it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.error("%s ended with an error", task.get_name(), exc_info=problem)

    def status(self) -> list[dict[str, Any]]:
        """What `drydock status` shows: the edge, and each zone."""
        zones = list(self.records.every_zone())
        if not zones:
            return []
        pid = self.edge.pid
        edge = {
            "kind": "edge",
            "name": "edge",
            "state": "running" if pid else "failed",
            "address": self.edge_address,
            "pid": pid,
            "problem": self.edge.problem,
        }
        return [edge, *({"kind": "zone", "name": zone["name"], "state": zone["status"]} for zone in zones)]
