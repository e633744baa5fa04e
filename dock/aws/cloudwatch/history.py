"""What became of each alarm: configuration changes, state changes, actions."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from typing import Any

from dock.store import Record, Scope, Store

# AWS keeps 30 days.
_DAYS = 30
MOST_ITEMS = 500
CONFIGURATION, STATE, ACTION = "ConfigurationUpdate", "StateUpdate", "Action"


class History:
    """Entries by alarm; at most 500 of each, of at most 30 days. They outlive the alarm, as on AWS."""

    def __init__(self, store: Store) -> None:
        self._table = store.table("cloudwatch/history")
        self._ids: dict[tuple[Scope, str], deque[tuple[float, str]]] = defaultdict(deque)
        self._number = 0
        for scope, identifier, entry in sorted(self._table.all(), key=lambda found: found[1]):
            self._ids[scope, entry["AlarmName"]].append((entry["Timestamp"], identifier))
            self._number = int(identifier)

    def add(self, scope: Scope, alarm: Record, kind: str, at: float, summary: str, data: dict[str, Any]) -> None:
        """Write an entry down; `at` in seconds since the epoch. May be called inside a transaction of the store."""
        self._number += 1
        identifier, known = f"{self._number:015}", self._ids[scope, alarm["AlarmName"]]
        entry = {
            "AlarmName": alarm["AlarmName"],
            "AlarmType": alarm["kind"],
            "Timestamp": at,
            "HistoryItemType": kind,
            "HistorySummary": summary[:255],
            "HistoryData": json.dumps(data)[:4095],
        }
        self._table.put(scope, identifier, entry)
        known.append((at, identifier))
        while len(known) > MOST_ITEMS or known[0][0] < at - _DAYS * 86400:
            self._table.delete(scope, known.popleft()[1])

    def of(self, scope: Scope, alarm: str | None) -> list[Record]:
        """Entries of an alarm, or of all alarms of the scope, oldest first."""
        chosen = [
            place
            for (where, name), places in self._ids.items()
            if where == scope and alarm in (None, name)
            for place in places
        ]
        found = (self._table.get(scope, identifier) for _, identifier in sorted(chosen))
        return [entry for entry in found if entry is not None]
