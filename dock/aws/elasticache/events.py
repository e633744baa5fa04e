"""What happened, as DescribeEvents tells it."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from dock.store import Scope, Store

KEPT_SECONDS = 14 * 24 * 3600
_MOST = 2000
_PRUNE_EVERY = 100


class EventLog:
    """Events of the last fourteen days, oldest first."""

    def __init__(self, store: Store) -> None:
        self._table = store.table("elasticache/event")
        self._last = 0
        self._added = 0

    def add(self, scope: Scope, source_type: str, source: str, message: str) -> None:
        """Keep an event durably. `source_type` is one of AWS's, for example `replication-group`."""
        # Two events at once keep their order.
        self._last = max(time.time_ns(), self._last + 1)
        record = {"source_type": source_type, "source": source, "message": message, "moment": self._last / 1e9}
        self._table.put(scope, f"{self._last:020d}", record)
        self._added += 1
        if self._added % _PRUNE_EVERY == 0:
            self._prune(scope)

    def find(
        self,
        scope: Scope,
        *,
        source: str | None,
        source_type: str | None,
        begin: float,
        end: float,
    ) -> list[tuple[str, dict[str, Any]]]:
        """Events in AWS's shape with a key that orders them; times are seconds since the epoch."""
        return [
            (
                f"{record['moment']:020.6f}",
                {
                    "SourceIdentifier": record["source"],
                    "SourceType": record["source_type"],
                    "Message": record["message"],
                    "Date": dt.datetime.fromtimestamp(record["moment"], dt.UTC),
                },
            )
            for record in self._table.list(scope)
            if begin <= record["moment"] <= end
            and source in (None, record["source"])
            and source_type in (None, record["source_type"])
        ]

    def _prune(self, scope: Scope) -> None:
        identifiers = sorted(identifier for where, identifier, _ in self._table.all() if where == scope)
        oldest = f"{int((time.time() - KEPT_SECONDS) * 1e9):020d}"
        for number, identifier in enumerate(identifiers):
            if identifier < oldest or number < len(identifiers) - _MOST:
                self._table.delete(scope, identifier)
