"""What a platform is in all of its environments. What differs between them is in `Pulumi.<stack>.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from stacks.domain import AbsolutePath, DatabaseIdentifier, Day, Name, Part, Percent, Port, Seconds, TimeZone

Minutes = Annotated[int, Field(ge=1, le=60)]


class Service(Part):
    """The application that users talk to: one container, behind the load balancer."""

    name: Name
    container: Name
    port: Port
    # For the load balancer: says that this task serves, not whether the database does. A deep check there would
    # take every task out of service, and have them restarted, whenever the database fails over.
    liveness_path: AbsolutePath
    health_path: AbsolutePath
    database_health_path: AbsolutePath
    migration_command: tuple[str, ...]


class Database(Part):
    """`master` belongs to operations and migrations; the application has `application_role`."""

    name: DatabaseIdentifier
    master: DatabaseIdentifier
    application_role: DatabaseIdentifier

    def contradictions(self) -> Iterator[str]:
        if self.master == self.application_role:
            yield "the application needs a role of its own, not the master's"


class Objectives(Part):
    """None where the team has set itself no target."""

    availability_percent: Percent
    rpo_seconds: Seconds | None
    rto_seconds: Seconds | None


class Thresholds(Part):
    """When somebody is told, and when a release is taken back; counts and rates over five minutes."""

    error_rate_percent: Percent
    rollback_error_rate_percent: Percent
    p95_seconds: Seconds
    cpu_percent: Percent
    connections_percent: Percent
    cache_memory_percent: Percent
    payment_failures: Annotated[int, Field(ge=0)]
    database_latency_seconds: Seconds


class Watch(Part):
    """How long something must be so before somebody is told, in minutes, and what the application's logs tell.

    Each minute is one period of CloudWatch. `log_metrics`: filter patterns by the metric that counts what they match.
    """

    owner: str
    error_rate_minutes: Minutes
    p95_minutes: Minutes
    cpu_minutes: Minutes
    connections_minutes: Minutes
    cache_memory_minutes: Minutes
    storage_percent: Percent
    storage_minutes: Minutes
    payment_minutes: Minutes
    voice_queue_depth: Annotated[int, Field(ge=1)]
    voice_queue_minutes: Minutes
    silence_minutes: Minutes
    log_metrics: dict[str, str]


class Freeze(Part):
    """Days without deployments, first and last included; without a year they return every year."""

    name: str
    first: Day
    last: Day


class Platform(Part):
    name: Name
    service: Service
    database: Database
    objectives: Objectives
    thresholds: Thresholds
    watch: Watch
    timezone: TimeZone
    freezes: tuple[Freeze, ...]
