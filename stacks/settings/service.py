"""The application's tasks: how big, how many, how they are replaced."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from stacks.domain import Expected, LogRetention, Part, VariableName, whole
from stacks.settings.existing import ClusterName

# MiB that Fargate combines with so many CPU units.
_FARGATE = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4097, 1024)),
    1024: tuple(range(2048, 8193, 1024)),
    2048: tuple(range(4096, 16385, 1024)),
    4096: tuple(range(8192, 30721, 1024)),
    8192: tuple(range(16384, 61441, 4096)),
    16384: tuple(range(32768, 122881, 8192)),
}

# Variables of the application that the program sets itself.
RESERVED = frozenset(
    [
        "PLATFORM",
        "ENVIRONMENT",
        "PORT",
        "DATABASE_HOST",
        "DATABASE_PORT",
        "DATABASE_NAME",
        "DATABASE_SSLMODE",
        "DATABASE_USER",
        "DATABASE_PASSWORD",
        "DATABASE_MASTER_USER",
        "DATABASE_MASTER_PASSWORD",
        "PGSSLROOTCERT",
        "CACHE_HOST",
        "CACHE_PORT",
        "CACHE_TLS",
        "CACHE_AUTH_TOKEN",
    ]
)


class HealthCheck(Part):
    interval_seconds: whole(5, 300, "seconds", 10)  # type: ignore[valid-type]
    timeout_seconds: whole(2, 120, "seconds", 5)  # type: ignore[valid-type]
    healthy_threshold: whole(2, 10, "good answers in a row", 2)  # type: ignore[valid-type]
    unhealthy_threshold: whole(2, 10, "bad answers in a row", 3)  # type: ignore[valid-type]
    grace_seconds: whole(0, 3600, "seconds", 60)  # type: ignore[valid-type]
    """How long a task that has just started may answer badly."""

    def contradictions(self) -> Iterator[str]:
        if self.timeout_seconds >= self.interval_seconds:
            yield "timeout_seconds must be shorter than interval_seconds"


class Scaling(Part):
    """More tasks than `desired_count` when they are busy, and that many again when they are not."""

    maximum_count: whole(1, 1000, "tasks", 8)  # type: ignore[valid-type]
    cpu_percent: Annotated[float, Field(gt=0, le=100), Expected("percent of the tasks' CPU, above 0", 60.0)]
    """What the tasks use on average when there are as many as there should be."""
    out_seconds: whole(0, 3600, "seconds", 60)  # type: ignore[valid-type]
    """How long it waits for the effect of more tasks."""
    in_seconds: whole(0, 3600, "seconds", 300)  # type: ignore[valid-type]
    """The same for fewer."""


class TestHeader(Part):
    """Requests with this header reach the side of a blue-green service that is being tested."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,40}$"), Expected("a header's name", "X-Release-Side")]
    value: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$"), Expected("its value", "test")]


class Deployment(Part):
    """How new tasks take the place of old ones."""

    strategy: Literal["rolling", "blue_green"] = "rolling"
    bake_minutes: whole(0, 1440, "minutes", 5) | None = None  # type: ignore[valid-type]
    """Blue-green: how long the old tasks stay beside the new ones that serve, so that a rollback takes a moment."""
    test_header: TestHeader | None = None
    """Blue-green: how requests reach the new tasks before users do."""
    alarms: tuple[Literal["error-rate", "slow", "cpu", "nobody-serves", "few-serve"], ...] = ()
    """The service's alarms that roll a deployment back when they go off during it."""

    def contradictions(self) -> Iterator[str]:
        if self.strategy == "blue_green" and self.bake_minutes is None:
            yield "bake_minutes: a blue_green deployment needs it"
        if self.strategy == "rolling" and (self.bake_minutes is not None or self.test_header is not None):
            yield "bake_minutes and test_header are for the strategy blue_green"


class Service(Part):
    cpu: Annotated[Literal[256, 512, 1024, 2048, 4096, 8192, 16384], Expected("CPU units of Fargate", 512)]
    """1024 are one virtual CPU."""
    memory: whole(512, 122880, "MiB", 1024)  # type: ignore[valid-type]
    """As Fargate combines it with `cpu`."""
    architecture: Literal["X86_64", "ARM64"]
    desired_count: whole(1, 1000, "tasks", 4)  # type: ignore[valid-type]
    scaling: Scaling
    minimum_healthy_percent: whole(0, 100, "percent of desired_count", 100)  # type: ignore[valid-type]
    """So many serve at any moment of a deployment."""
    maximum_percent: whole(100, 400, "percent of desired_count", 200)  # type: ignore[valid-type]
    """So many run at most during a deployment."""
    deployment: Deployment = Deployment()
    deregistration_delay_seconds: whole(0, 3600, "seconds", 30)  # type: ignore[valid-type]
    """How long requests may take to finish at a task that leaves."""
    idle_timeout_seconds: whole(1, 4000, "seconds", 60)  # type: ignore[valid-type]
    """How long a connection, a WebSocket for example, may be silent."""
    health_check: HealthCheck
    log_retention_days: LogRetention
    container_insights: Literal["disabled", "enabled", "enhanced"]
    cluster: ClusterName | None = None
    """An ECS cluster that is there already; without it one is made."""
    keep_images: whole(5, 1000, "images", 50)  # type: ignore[valid-type]
    """Older ones expire, and with them the way back to their releases."""
    variables: dict[VariableName, str] = Field(default_factory=dict)
    """More environment variables of the application. Never secrets."""

    def contradictions(self) -> Iterator[str]:
        if self.memory not in _FARGATE[self.cpu]:
            choice = ", ".join(str(memory) for memory in _FARGATE[self.cpu])
            yield f"memory: Fargate combines cpu {self.cpu} with {choice} MiB, not with {self.memory}"
        if self.scaling.maximum_count < self.desired_count:
            yield f"scaling.maximum_count ({self.scaling.maximum_count}) is below desired_count ({self.desired_count})"
        most = self.desired_count * self.maximum_percent // 100
        least = ceil(self.desired_count * self.minimum_healthy_percent / 100)
        if most <= least:
            yield (
                f"with {self.desired_count} tasks a deployment could neither start nor stop one: raise maximum_percent "
                "or lower minimum_healthy_percent"
            )
        for name in sorted(RESERVED & self.variables.keys()):
            yield f"variables.{name}: the program sets it itself"
