"""What ECS remembers: tasks, services, deployments. Times are seconds since the epoch, UTC."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from dock.store import Record, Scope, Table

MAX_EVENTS = 100


@dataclass(slots=True)
class Container:
    """One container of a task."""

    name: str
    image: str
    essential: bool
    runtime_id: str
    arn: str
    image_digest: str | None = None
    status: str = "PENDING"
    exit_code: int | None = None
    """None while it runs, and when nobody was there to see it end."""
    reason: str | None = None
    health: str = "UNKNOWN"
    checked: bool = False
    """Whether it has a health check."""
    created: float | None = None
    started: float | None = None
    finished: float | None = None


@dataclass(slots=True)
class Task:
    """A task. `service` and `deployment` are None for one that was run by itself."""

    id: str
    account: str
    region: str
    cluster: str
    definition: str
    family: str
    revision: int
    group: str
    cpu: str
    memory: str
    network: dict[str, Any]
    zone: str
    created: float
    containers: list[Container]
    service: str | None = None
    deployment: str | None = None
    load_balancers: list[dict[str, Any]] = field(default_factory=list)
    overrides: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    launch_type: str | None = "FARGATE"
    capacity_provider: str | None = None
    started_by: str | None = None
    client_token: str | None = None
    ephemeral_storage: int = 20
    address: str | None = None
    last_status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    stop_code: str | None = None
    stopped_reason: str | None = None
    targets: list[dict[str, Any]] = field(default_factory=list)
    """Registered with load balancers: target group ARN and port."""
    was_healthy: bool = False
    counted: bool = False
    """Whether its failure was counted against its deployment."""
    role: str | None = None
    """The ARN of the task role, once it was found good."""
    version: int = 1
    pull_started: float | None = None
    pull_stopped: float | None = None
    started: float | None = None
    stopping: float | None = None
    execution_stopped: float | None = None
    stopped: float | None = None

    @property
    def scope(self) -> Scope:
        return Scope(self.account, self.region)

    @property
    def key(self) -> str:
        return self.id

    @property
    def arn(self) -> str:
        return f"arn:aws:ecs:{self.region}:{self.account}:task/{self.cluster}/{self.id}"

    @property
    def service_key(self) -> str | None:
        return None if self.service is None else f"{self.cluster}/{self.service}"

    @property
    def health(self) -> str:
        """HEALTHY when all essential containers with a check are, UNKNOWN when none has one."""
        states = {container.health for container in self.containers if container.essential and container.checked}
        for state in ("UNHEALTHY", "UNKNOWN", "HEALTHY"):
            if state in states:
                return state
        return "UNKNOWN"

    @classmethod
    def load(cls, record: Record) -> Task:
        containers = [Container(**container) for container in record.pop("containers")]
        return cls(**record, containers=containers)


@dataclass(slots=True)
class Deployment:
    """One entry of a service's `deployments`."""

    id: str
    definition: str
    desired: int
    network: dict[str, Any]
    load_balancers: list[dict[str, Any]]
    created: float
    updated: float
    service_deployment: str
    revision: str
    status: str = "PRIMARY"
    rollout: str = "IN_PROGRESS"
    reason: str = ""
    failed: int = 0
    rollback_of: str | None = None
    images: dict[str, str] = field(default_factory=dict)
    """Digests by image reference, resolved by the first task, so that a tag that moves doesn't split a deployment."""
    configuration: dict[str, Any] = field(default_factory=dict)
    """The service's deploymentConfiguration as it was when this began."""
    groups: list[str] = field(default_factory=list)
    """The target group of each entry of `load_balancers` that its tasks register with; empty until it is known."""
    stage: str | None = None
    """Where a deployment with two sides (see `stages`) is; None for a rolling one."""
    stage_since: float = 0.0
    hold_until: float | None = None
    """What comes next waits until then: the bake time, or the pause between two shares of traffic."""
    production: float = 0.0
    test: float = 0.0
    """Percent of the production and of the test traffic that its target groups were last given."""
    hooks: list[dict[str, Any]] = field(default_factory=list)
    """Pauses that were reached: id, stage, status, expires, action."""
    deaf_to: list[str] = field(default_factory=list)
    """Alarms that rang before it began, and so say nothing about it."""
    stop: str | None = None
    """ABORT or ROLLBACK, once somebody has asked for it."""
    broken: str | None = None
    """Why it can't go on."""

    @property
    def strategy(self) -> str:
        return str(self.configuration.get("strategy", "ROLLING"))

    @property
    def two_sided(self) -> bool:
        """Whether new tasks stand beside the old ones, and traffic goes from these to those."""
        return self.strategy != "ROLLING"

    @property
    def registrations(self) -> list[dict[str, Any]]:
        """`load_balancers` with the target groups that tasks register with."""
        groups = self.groups or [entry["targetGroupArn"] for entry in self.load_balancers]
        return [{**entry, "targetGroupArn": group} for entry, group in zip(self.load_balancers, groups, strict=True)]


@dataclass(slots=True)
class Service:
    """A service. `configuration` is deploymentConfiguration with its defaults, `recorded` what only comes back."""

    account: str
    region: str
    cluster: str
    name: str
    definition: str
    desired: int
    configuration: dict[str, Any]
    network: dict[str, Any]
    load_balancers: list[dict[str, Any]]
    grace: int
    recorded: dict[str, Any]
    tags: dict[str, str]
    propagate_tags: str
    managed_tags: bool
    created: float
    created_by: str
    client_token: str | None = None
    status: str = "ACTIVE"
    deployments: list[Deployment] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    completed: dict[str, Any] | None = None
    """The last deployment that completed, which a rollback goes back to."""
    steady: bool = False
    inactive_since: float | None = None

    @property
    def scope(self) -> Scope:
        return Scope(self.account, self.region)

    @property
    def key(self) -> str:
        return f"{self.cluster}/{self.name}"

    @property
    def arn(self) -> str:
        return f"arn:aws:ecs:{self.region}:{self.account}:service/{self.cluster}/{self.name}"

    @property
    def cluster_arn(self) -> str:
        return f"arn:aws:ecs:{self.region}:{self.account}:cluster/{self.cluster}"

    @property
    def primary(self) -> Deployment:
        return next(deployment for deployment in self.deployments if deployment.status == "PRIMARY")

    def say(self, message: str) -> None:
        """Add an event; the newest comes first."""
        event = {"id": str(uuid.uuid4()), "createdAt": time.time(), "message": f"(service {self.name}) {message}"}
        self.events = [event, *self.events][:MAX_EVENTS]

    @classmethod
    def load(cls, record: Record) -> Service:
        deployments = [Deployment(**deployment) for deployment in record.pop("deployments")]
        return cls(**record, deployments=deployments)


class _Kept(Protocol):
    @property
    def scope(self) -> Scope: ...

    @property
    def key(self) -> str: ...


K = TypeVar("K", bound=_Kept)


class Shelf(Generic[K]):
    """Live objects of one kind, each written through to the store: `save` is durable when it returns."""

    def __init__(self, table: Table, load: Callable[[Record], K]) -> None:
        self._table = table
        self._items: dict[tuple[Scope, str], K] = {(scope, key): load(record) for scope, key, record in table.all()}

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._items.values()))

    def get(self, scope: Scope, key: str) -> K | None:
        return self._items.get((scope, key))

    def of(self, scope: Scope) -> list[K]:
        """All of an account and region, by key."""
        return [item for (where, _), item in sorted(self._items.items()) if where == scope]

    def save(self, item: K) -> None:
        # Stored first: what could not be stored isn't there.
        self._table.put(item.scope, item.key, dataclasses.asdict(item))  # type: ignore[call-overload]
        self._items[item.scope, item.key] = item

    def remove(self, item: K) -> None:
        self._table.delete(item.scope, item.key)
        self._items.pop((item.scope, item.key), None)
