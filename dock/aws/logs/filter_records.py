"""Metric filters, as they are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dock.aws.logs.pattern import Matcher, compile_pattern
from dock.store import Record, Scope, Store


@dataclass(frozen=True, slots=True)
class Filter:
    """A metric filter, ready to use; `matches` is None for the pattern that matches everything."""

    matches: Matcher | None
    transformations: list[dict[str, Any]]


class MetricFilterRecords:
    """A record has what PutMetricFilter was given, and `created` in milliseconds since the epoch."""

    def __init__(self, store: Store) -> None:
        self._table = store.table("logs/metric-filter")
        self._ready: dict[tuple[Scope, str], list[Filter]] = {}

    def of(self, scope: Scope, group: str) -> list[Record]:
        """A group's filters by name."""
        return [record for record in self._table.list(scope) if record["group"] == group]

    def all(self, scope: Scope) -> list[Record]:
        return self._table.list(scope)

    def put(self, scope: Scope, record: Record) -> None:
        self._table.put(scope, _key(record["group"], record["name"]), record)
        self._ready.pop((scope, record["group"]), None)

    def delete(self, scope: Scope, group: str, name: str) -> bool:
        """False when there is none of this name."""
        if self._table.get(scope, _key(group, name)) is None:
            return False
        self._table.delete(scope, _key(group, name))
        self._ready.pop((scope, group), None)
        return True

    def forget_group(self, scope: Scope, group: str) -> None:
        for record in self.of(scope, group):
            self.delete(scope, group, record["name"])

    def ready(self, scope: Scope, group: str) -> list[Filter]:
        """A group's filters, compiled once: they are asked for with every batch of events."""
        key = (scope, group)
        if key not in self._ready:
            self._ready[key] = [
                Filter(compile_pattern(record["pattern"]), record["transformations"])
                for record in self.of(scope, group)
            ]
        return self._ready[key]


def _key(group: str, name: str) -> str:
    # Neither may hold a colon.
    return f"{group}:{name}"


def once(message: str) -> Callable[[], Any]:
    """A message's JSON document, read when it is first asked for; None when it is none."""
    documents: list[Any] = []

    def read() -> Any:
        if not documents:
            try:
                documents.append(json.loads(message))
            except ValueError:
                documents.append(None)
        return documents[0]

    return read
