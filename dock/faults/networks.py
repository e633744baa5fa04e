"""Faults of the network between users and a database or a cache: at its endpoint, on the way to what answers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from dock.faults.engines import Engine
from dock.faults.model import Fault, FaultError, Kind
from dock.faults.relay import Relay

if TYPE_CHECKING:
    from dock.cloud import Cloud


class NetworkFaults:
    """Diverts endpoints. A session that is open when a fault begins or ends is closed; what comes after it is hit."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._relays: dict[str, list[Relay]] = {}
        self._owners: dict[str, tuple[str, ...]] = {}

    async def begin(self, fault: Fault, engine: Engine) -> None:
        """Raises FaultError when an endpoint has a fault already, or there is none that serves."""
        if fault.id in self._owners:
            return
        for identifier, owners in self._owners.items():
            if set(owners) & set(engine.endpoints):
                raise FaultError(f"the network of {engine.name} has the fault {identifier} already")
        endpoints = self._cloud.endpoints
        serving = tuple(owner for owner in engine.endpoints if endpoints.target(owner) is not None)
        if not serving:
            raise FaultError(f"{engine.name} has no endpoint that serves now")
        self._owners[fault.id] = serving
        self._relays[fault.id] = []
        for owner in serving:
            via = None
            if fault.kind is not Kind.NETWORK_REFUSED:
                relay = Relay(
                    functools.partial(endpoints.target, owner),
                    fault.latency if fault.kind is Kind.NETWORK_SLOW else None,
                )
                via = await relay.start(self._cloud.addresses.relays)
                self._relays[fault.id].append(relay)
            await endpoints.divert(owner, via)

    async def end(self, fault: Fault) -> None:
        """Everybody reaches what they reached before; nothing happens when the fault had not begun."""
        for owner in self._owners.pop(fault.id, ()):
            await self._cloud.endpoints.restore(owner)
        for relay in self._relays.pop(fault.id, []):
            await relay.stop()
