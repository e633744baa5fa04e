"""The faults that are on: kept durably, ended in time, also over a restart of the daemon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from dock.faults.model import Fault, FaultError, Wish
from dock.store import EVERYWHERE, Store

# Every selector is compared at every call; nobody needs more.
MAX_FAULTS = 100


class Book:
    """What is in it is on: whoever adds or takes out also makes it so (`Faults`)."""

    def __init__(self, store: Store) -> None:
        self._table = store.table("fault")
        self._numbers = store.table("setting")
        self._on: dict[str, Fault] = {}
        for _, identifier, record in self._table.all():
            self._on[identifier] = Fault.load(record)

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._on.values()))

    def __len__(self) -> int:
        return len(self._on)

    def find(self, identifier: str) -> Fault | None:
        return self._on.get(identifier)

    def add(self, wish: Wish, processes: tuple[str, ...] = ()) -> Fault:
        """Keep a fault, durably. Raises FaultError when there are too many."""
        if len(self._on) >= MAX_FAULTS:
            raise FaultError(f"{MAX_FAULTS} faults are on already: drydock fault clear")
        number = (self._numbers.get(EVERYWHERE, "faults") or {"last": 0})["last"] + 1
        self._numbers.put(EVERYWHERE, "faults", {"last": number})
        fault = wish.fault(f"f-{number}", processes)
        self._keep(fault)
        return fault

    def remove(self, identifier: str) -> Fault | None:
        """Take a fault out, durably; None when there is none."""
        if identifier not in self._on:
            return None
        self._table.delete(EVERYWHERE, identifier)
        return self._on.pop(identifier)

    def expired(self, now: float | None = None) -> list[Fault]:
        """Those whose time is up, or that have hit as many calls as they were to."""
        moment = time.time() if now is None else now
        return [fault for fault in self._on.values() if fault.until <= moment or fault.calls == 0]

    def spend(self, identifier: str) -> None:
        """A fault with a number of calls has hit one more."""
        fault = self._on.get(identifier)
        if fault is not None and fault.calls is not None:
            self._keep(replace(fault, calls=max(0, fault.calls - 1)))

    def _keep(self, fault: Fault) -> None:
        self._table.put(EVERYWHERE, fault.id, fault.record())
        self._on[fault.id] = fault
