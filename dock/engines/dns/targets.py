"""The health of the load balancers that aliases evaluate, asked of their HAProxies, also while no daemon runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from dock.engines.dns.zones import Alias, Balancers, Zones
from dock.engines.haproxy.measure import Health, health_of
from dock.engines.haproxy.model import Target
from dock.engines.haproxy.runtime import Runtime

POLL_SECONDS = 1.0
# A HAProxy that was killed is back within a second or two; one missed answer says nothing of the targets.
MISSES = 3


class Targets:
    """Reads each HAProxy once a second."""

    def __init__(self) -> None:
        self._sockets: dict[str, Runtime] = {}
        self._health: dict[str, dict[tuple[str, Target], Health]] = {}
        self._missed: dict[str, int] = {}

    def load(self, zones: Zones) -> None:
        """Watch what these zones' aliases evaluate."""
        wanted = {
            record.alias.balancer.socket
            for zone in zones.all()
            for record in zone.all()
            if record.alias is not None and record.alias.balancer is not None and record.alias.balancer.socket
        }
        self._sockets = {path: self._sockets.get(path) or Runtime(Path(path), Path(path)) for path in wanted}
        for gone in self._health.keys() - wanted:
            self._health.pop(gone)
            self._missed.pop(gone, None)

    async def run(self) -> None:
        """Read, for as long as the server runs."""
        while True:
            await self.read()
            await asyncio.sleep(POLL_SECONDS)

    async def read(self) -> None:
        """Read all of them now."""
        await asyncio.gather(*(self._read(path, runtime) for path, runtime in list(self._sockets.items())))

    def healthy(self, alias: Alias) -> bool:
        """Whether every group of the load balancer has a healthy target (Elastic Load Balancing's rule for aliases).

        A group without targets is unhealthy; a load balancer without groups has nothing that could be.
        """
        return alias.balancer is None or self._all_serve(alias.balancer)

    def _all_serve(self, balancer: Balancers) -> bool:
        if balancer.socket is None:
            return True
        if self._missed.get(balancer.socket, 0) >= MISSES:
            return False
        if balancer.groups and balancer.socket not in self._health:
            return False
        known = self._health.get(balancer.socket, {})
        return all(_serves(known, group) for group in balancer.groups)

    async def _read(self, path: str, runtime: Runtime) -> None:
        try:
            self._health[path] = health_of(await runtime.statistics())
            self._missed[path] = 0
        except OSError:
            self._missed[path] = self._missed.get(path, 0) + 1


def _serves(known: Mapping[tuple[str, Target], Health], group: str) -> bool:
    return any(health.up for (name, _), health in known.items() if name == group)
