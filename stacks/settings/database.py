"""PostgreSQL's size and care."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Annotated, Literal

from stacks.domain import AbsolutePath, DailyWindow, Expected, InstanceClass, LogRetention, Part, WeeklyWindow, whole
from stacks.settings.windows import apart


class Database(Part):
    version: Annotated[Literal["15"], Expected("a major version of PostgreSQL, in quotes", "15")]
    instance_class: InstanceClass
    storage_gib: whole(20, 65536, "GiB", 20)  # type: ignore[valid-type]
    maximum_storage_gib: whole(20, 65536, "GiB", 100)  # type: ignore[valid-type]
    """Storage grows by itself up to here."""
    max_connections: whole(20, 5000, "connections", 100)  # type: ignore[valid-type]
    slow_query_milliseconds: whole(10, 60000, "milliseconds", 500)  # type: ignore[valid-type]
    """Slower statements are logged."""
    multi_az: bool
    """A standby in another zone, synchronous."""
    backup_retention_days: whole(1, 35, "days", 30)  # type: ignore[valid-type]
    """How far back a point-in-time recovery reaches."""
    backup_window: DailyWindow
    maintenance_window: WeeklyWindow
    apply_immediately: bool
    """Changes that restart the database don't wait for the maintenance window."""
    insights: Literal["standard", "advanced"]
    final_snapshot: bool
    """A deletion leaves a snapshot behind."""
    log_retention_days: LogRetention
    root_certificate: AbsolutePath | None = None
    """Where the application's image has the authorities that sign RDS's certificates; unset where the platform
    provides PGSSLROOTCERT itself."""

    def contradictions(self) -> Iterator[str]:
        # RDS refuses less than a tenth of room.
        if self.maximum_storage_gib < ceil(self.storage_gib * 1.1):
            yield "maximum_storage_gib must be at least a tenth more than storage_gib"
        yield from apart("backup_window", self.backup_window, self.maintenance_window)
