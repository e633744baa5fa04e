"""Redis's size and care."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from stacks.domain import DailyWindow, Expected, NodeType, Part, WeeklyWindow, whole
from stacks.settings.windows import apart


class Cache(Part):
    version: Annotated[Literal["7.0"], Expected("a version of Redis, in quotes", "7.0")]
    node_type: NodeType
    replicas: whole(0, 5, "replicas", 1)  # type: ignore[valid-type]
    snapshot_retention_days: whole(1, 35, "days", 7)  # type: ignore[valid-type]
    snapshot_window: DailyWindow
    maintenance_window: WeeklyWindow
    apply_immediately: bool
    final_snapshot: bool
    """A deletion leaves a snapshot behind."""

    def contradictions(self) -> Iterator[str]:
        return apart("snapshot_window", self.snapshot_window, self.maintenance_window)
