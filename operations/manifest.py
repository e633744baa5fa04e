"""The manifest: what operations need to know of an environment, read from SSM Parameter Store.

`docs/architecture.md` shows the document. It holds no secrets, only their ARNs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from operations import parameter_store
from operations.errors import OperationError

Name = Annotated[str, Field(min_length=1)]
Arn = Annotated[str, Field(pattern=r"^arn:[a-z-]+:")]
Port = Annotated[int, Field(ge=1, le=65535)]
Percent = Annotated[float, Field(ge=0, le=100)]
Seconds = Annotated[float, Field(gt=0)]
Path = Annotated[str, Field(pattern=r"^/")]
Url = Annotated[str, Field(pattern=r"^https?://[^/]+")]
TimeOfDay = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Day = Annotated[str, Field(pattern=r"^(\d{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TestHeader(_Part):
    """Requests with this header reach the side that is being tested."""

    name: Name
    value: Name


class Deployment(_Part):
    """How new tasks take the place of old ones. Only `blue_green` has the rest, but for `alarms`: names of those that
    roll a deployment back."""

    strategy: Literal["rolling", "blue_green"] = "rolling"
    bake_minutes: Annotated[int, Field(ge=0)] | None = None
    alternate_target_group: Arn | None = None
    production_rule: Arn | None = None
    test_rule: Arn | None = None
    test_header: TestHeader | None = None
    alarms: tuple[Name, ...] = ()


class Service(_Part):
    """One ECS service behind a load balancer. `family` holds its releases, `template` what they are made
    from.
    """

    cluster: Name
    service: Name
    template: Arn
    family: Name
    migration_template: Arn
    migration_family: Name
    container: Name
    port: Port
    desired_count: Annotated[int, Field(ge=0)]
    maximum_count: Annotated[int, Field(ge=0)]
    repository: Name
    repository_url: Name
    log_group: Name
    url: Url
    health_path: Path
    database_health_path: Path
    load_balancer: Arn
    target_group: Arn
    deployment: Deployment = Deployment()
    subnets: Annotated[tuple[Name, ...], Field(min_length=1)]
    security_groups: Annotated[tuple[Name, ...], Field(min_length=1)]


class Database(_Part):
    """An RDS instance for PostgreSQL; both secrets are JSON objects with `username` and `password`."""

    identifier: Name
    endpoint: Name
    port: Port
    name: Name
    master_secret: Arn
    application_secret: Arn
    application_role: Name
    multi_az: bool
    max_connections: Annotated[int, Field(ge=1)]


class Cache(_Part):
    """An ElastiCache replication group; the secret is a JSON object with `auth_token`."""

    replication_group: Name
    endpoint: Name
    port: Port
    secret: Arn
    tls: bool


class OwnMetric(_Part):
    """A metric of the platform's own, without dimensions."""

    namespace: Name
    name: Name


class Alarms(_Part):
    """`names` are the alarms in CloudWatch by what they watch (`error-rate`, `payments`, …). `deployment` is put, above
    0, for as long as a deployment runs: alarms that a deployment disturbs are quiet meanwhile.
    """

    names: dict[Name, Name]
    deployment: OwnMetric
    dashboard: Name


class Dns(_Part):
    """The service's name in Route 53: it leads to `primary` while `health_check` is healthy, else to `recovery`, which
    is in the recovery region. `endpoint_check` asks the primary itself.
    """

    zone: Name
    zone_id: Name
    record: Name
    health_check: Name
    endpoint_check: Name
    primary: Name
    recovery: Name
    interval_seconds: Annotated[int, Field(ge=1)]
    failure_threshold: Annotated[int, Field(ge=1)]
    ttl_seconds: Annotated[int, Field(ge=0)]
    predicted_recovery_seconds: Annotated[int, Field(ge=1)]


class Edge(_Part):
    """Cloudflare in front of the service. `security_level` is what the zone has without an incident; the list's items
    and the level are what operations change in one.
    """

    account_id: Name
    zone: Name
    zone_id: Name
    hostname: Name
    blocked_list: Name
    blocked_list_id: Name
    rate_limits_id: Name
    security_level: Name


class Access(_Part):
    """ARNs of roles: of people by what they are, of runbooks by name, of GitHub's workflows (None: they don't deploy
    here). `boundary` is the most that any of them but break-glass can do.
    """

    boundary: Name
    people: dict[Name, Name]
    runbooks: dict[Name, Name]
    github: Name | None


class Objectives(_Part):
    availability_percent: Percent
    rpo_seconds: Seconds | None
    rto_seconds: Seconds | None


class Thresholds(_Part):
    error_rate_percent: Percent
    rollback_error_rate_percent: Percent
    p95_seconds: Seconds
    cpu_percent: Percent
    connections_percent: Percent
    cache_memory_percent: Percent
    payment_failures: Annotated[int, Field(ge=0)]
    database_latency_seconds: Seconds


class Policy(_Part):
    """`migrations`: "manual" ones are run by a person who reviewed them, the others by the deployment."""

    migrations: Literal["automatic", "on_deploy", "manual"]
    deploy_approvals: Annotated[int, Field(ge=0)]
    rollback_approvals: Annotated[int, Field(ge=0)]


class Window(_Part):
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1)]
    start: TimeOfDay
    end: TimeOfDay


class Freeze(_Part):
    """Days on which nothing is deployed, both ends included; without a year they return every year."""

    name: Name
    start: Annotated[Day, Field(alias="from")]
    end: Annotated[Day, Field(alias="to")]


class Calendar(_Part):
    timezone: Name
    windows: tuple[Window, ...]
    freezes: tuple[Freeze, ...]


class Manifest(_Part):
    schema_version: Literal[1]
    platform: Name
    environment: Name
    account: Annotated[str, Field(pattern=r"^\d{12}$")]
    region: Name
    recovery_region: Name | None
    services: dict[Name, Service]
    database: Database
    cache: Cache
    access: Access
    dns: Dns
    edge: Edge | None
    alarms: Alarms
    objectives: Objectives
    thresholds: Thresholds
    policy: Policy
    calendar: Calendar

    _read_from: str | None = PrivateAttr(default=None)

    @property
    def read_from(self) -> str | None:
        """The region whose parameter store answered; None when the manifest was not read from one."""
        return self._read_from

    def service(self, name: str) -> Service:
        """The service of this name; OperationError names those there are."""
        if name not in self.services:
            raise OperationError(
                f"{self.platform} {self.environment} has no service {name!r}",
                f"its manifest names {', '.join(sorted(self.services)) or 'none'}",
                "give one of these names as `service`",
            )
        return self.services[name]


def parameter_name(platform: str, environment: str) -> str:
    return f"/drydock/{platform}/{environment}/manifest"


def load(platform: str, environment: str, region: str | None = None, recovery_region: str | None = None) -> Manifest:
    """Read the manifest from `region`, or from `recovery_region` when that one can't give it.

    Without `region`, AWS_REGION counts, then us-east-1; without `recovery_region`, the other of the two
    default regions. `Manifest.read_from` says which one answered. Raises OperationError when neither has it,
    or when what it has is malformed: a malformed manifest is never passed over for another region's copy.
    """
    found, answered = parameter_store.read(
        parameter_name(platform, environment),
        parameter_store.regions(region, recovery_region),
        what=f"no manifest of {platform} {environment}",
        create=f"create it with `pulumi up --stack {environment}`",
    )
    manifest = parse(found, platform, environment)
    manifest._read_from = answered
    return manifest


def parse(document: str, platform: str, environment: str) -> Manifest:
    """The manifest in a JSON document; OperationError names each wrong key, never a value."""
    name = parameter_name(platform, environment)
    remedy = f"write it anew with `pulumi up --stack {environment}` from the checkout that this command runs in"
    manifest = parameter_store.parse(document, Manifest, name, remedy)
    if (manifest.platform, manifest.environment) != (platform, environment):
        raise OperationError(
            f"the manifest {name} is malformed",
            f"platform, environment: it describes {manifest.platform} {manifest.environment}",
            remedy,
        )
    return manifest
