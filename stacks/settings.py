"""What differs between environments: `drydock:settings` in `Pulumi.<stack>.yaml`.

The only reader of `pulumi.Config`. `python -m stacks.settings` writes the JSON schema that editors check the stack
files with.
"""

from __future__ import annotations

import ipaddress
import json
import sys
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from stacks import platforms
from stacks.domain import (
    AbsolutePath,
    Account,
    AvailabilityZone,
    CertificateArn,
    Cidr,
    DailyWindow,
    Expected,
    Hostname,
    InstanceClass,
    LogRetention,
    Name,
    NodeType,
    Part,
    Port,
    Region,
    TimeOfDay,
    VariableName,
    VpcCidr,
    Weekday,
    WeeklyWindow,
    minutes,
    whole,
)
from stacks.problems import UNFIT, SettingsError, problems

KEY = "settings"
PROJECT = "drydock"
SCHEMA = Path(__file__).with_name("settings.schema.json")

ANYWHERE = "0.0.0.0/0"
HTTPS = 443
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


class Protection(Part):
    """What keeps data from being deleted."""

    data: bool = True
    """Neither Pulumi nor AWS deletes the database, the cache, keys, secrets, images or the load balancer."""
    acknowledgement: str | None = None
    """Must be said to turn `data` off: `<platform> <environment> may lose its data`."""
    key_deletion_days: whole(7, 30, "days", 30)  # type: ignore[valid-type]
    """How long a deleted KMS key can still be restored."""
    secret_recovery_days: Annotated[int, Field(ge=0, le=30), Expected("days: 7 to 30, or 0 for none", 30)]
    """How long a deleted secret can still be restored."""

    def contradictions(self) -> Iterator[str]:
        if 0 < self.secret_recovery_days < 7:
            yield "secret_recovery_days: Secrets Manager takes 7 to 30 days, or 0 for no recovery"
        if self.data and self.secret_recovery_days == 0:
            yield "secret_recovery_days is 0 although data are protected: give 7 to 30"
        if self.data and self.acknowledgement is not None:
            yield "acknowledgement is for data: false; remove it"


class Network(Part):
    cidr: VpcCidr
    availability_zones: Annotated[tuple[AvailabilityZone, ...], Field(min_length=2, max_length=6)]
    """At least two: a load balancer and a Multi-AZ database want them."""
    nat_gateways: Literal["none", "one", "one_per_zone"]
    """`one` is cheaper; `one_per_zone` survives the loss of a zone."""


class Listener(Part):
    """Where users come in. With a certificate it speaks HTTPS, and port 80 leads there."""

    port: Port
    certificate_arn: CertificateArn | None = None
    hostname: Hostname | None = None
    """The name that the certificate is for; without a certificate the load balancer's own is used."""
    sources: Annotated[tuple[Cidr, ...], Field(min_length=1)]
    """Who may come in: CIDR blocks."""

    def contradictions(self) -> Iterator[str]:
        if (self.certificate_arn is None) != (self.hostname is None):
            yield "certificate_arn and hostname come together: the certificate is for that name"
        if ANYWHERE in self.sources and (self.certificate_arn is None or self.port != HTTPS):
            yield f"sources: {ANYWHERE} lets everybody in, which takes HTTPS: certificate_arn, hostname, port: {HTTPS}"


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


class Service(Part):
    cpu: Annotated[Literal[256, 512, 1024, 2048, 4096, 8192, 16384], Expected("CPU units of Fargate", 512)]
    """1024 are one virtual CPU."""
    memory: whole(512, 122880, "MiB", 1024)  # type: ignore[valid-type]
    """As Fargate combines it with `cpu`."""
    architecture: Literal["X86_64", "ARM64"]
    desired_count: whole(1, 1000, "tasks", 4)  # type: ignore[valid-type]
    minimum_healthy_percent: whole(0, 100, "percent of desired_count", 100)  # type: ignore[valid-type]
    """So many serve at any moment of a deployment."""
    maximum_percent: whole(100, 400, "percent of desired_count", 200)  # type: ignore[valid-type]
    """So many run at most during a deployment."""
    deregistration_delay_seconds: whole(0, 3600, "seconds", 30)  # type: ignore[valid-type]
    """How long requests may take to finish at a task that leaves."""
    idle_timeout_seconds: whole(1, 4000, "seconds", 60)  # type: ignore[valid-type]
    """How long a connection, a WebSocket for example, may be silent."""
    health_check: HealthCheck
    log_retention_days: LogRetention
    container_insights: Literal["disabled", "enabled", "enhanced"]
    keep_images: whole(5, 1000, "images", 50)  # type: ignore[valid-type]
    """Older ones expire, and with them the way back to their releases."""
    variables: dict[VariableName, str] = Field(default_factory=dict)
    """More environment variables of the application. Never secrets."""

    def contradictions(self) -> Iterator[str]:
        if self.memory not in _FARGATE[self.cpu]:
            choice = ", ".join(str(memory) for memory in _FARGATE[self.cpu])
            yield f"memory: Fargate combines cpu {self.cpu} with {choice} MiB, not with {self.memory}"
        most = self.desired_count * self.maximum_percent // 100
        least = ceil(self.desired_count * self.minimum_healthy_percent / 100)
        if most <= least:
            yield (
                f"with {self.desired_count} tasks a deployment could neither start nor stop one: raise maximum_percent "
                "or lower minimum_healthy_percent"
            )
        for name in sorted(RESERVED & self.variables.keys()):
            yield f"variables.{name}: the program sets it itself"


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
        yield from _apart("backup_window", self.backup_window, self.maintenance_window)


class Cache(Part):
    version: Annotated[Literal["7.0"], Expected("a version of Redis, in quotes", "7.0")]
    node_type: NodeType
    replicas: whole(1, 5, "replicas", 1)  # type: ignore[valid-type]
    snapshot_retention_days: whole(1, 35, "days", 7)  # type: ignore[valid-type]
    snapshot_window: DailyWindow
    maintenance_window: WeeklyWindow
    apply_immediately: bool
    final_snapshot: bool
    """A deletion leaves a snapshot behind."""

    def contradictions(self) -> Iterator[str]:
        return _apart("snapshot_window", self.snapshot_window, self.maintenance_window)


class Policy(Part):
    """Who has to agree before something is done."""

    migrations: Literal["automatic", "on_deploy", "manual"]
    deploy_approvals: whole(0, 5, "people", 1)  # type: ignore[valid-type]
    rollback_approvals: whole(0, 5, "people", 0)  # type: ignore[valid-type]


class Window(Part):
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1)]
    start: TimeOfDay
    end: TimeOfDay

    def contradictions(self) -> Iterator[str]:
        if self.start >= self.end:
            yield "start must be before end; a window over midnight is two windows"


class Calendar(Part):
    """When deployments happen, in the platform's time zone."""

    windows: Annotated[tuple[Window, ...], Field(min_length=1)]
    observe_freezes: bool
    """Whether the platform's freezes count here."""


class Settings(Part):
    """One environment. Which platform it is of, where it lives, and how big and how careful it is."""

    platform: Name
    environment: Name
    """The stack's own name."""
    account: Account
    region: Region
    recovery_region: Region
    """Where operations go when `region` is lost."""
    protection: Protection
    network: Network
    listener: Listener
    service: Service
    database: Database
    cache: Cache
    policy: Policy
    calendar: Calendar

    @field_validator("platform")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in platforms.names():
            raise PydanticCustomError(UNFIT, f"is not among {', '.join(platforms.names())}")
        return name

    @field_validator("environment")
    @classmethod
    def _is_the_stack(cls, name: str, info: ValidationInfo) -> str:
        stack = (info.context or {}).get("stack", name)
        if name != stack:
            raise PydanticCustomError(UNFIT, f"is not the stack's name, {stack}")
        return name

    def contradictions(self) -> Iterator[str]:
        if self.protection.data:
            for part, kept in (("database", self.database.final_snapshot), ("cache", self.cache.final_snapshot)):
                if not kept:
                    yield f"{part}.final_snapshot is false although data are protected: set it to true"
        else:
            sentence = f"{self.platform} {self.environment} may lose its data"
            if self.protection.acknowledgement != sentence:
                yield f'protection.data is false: confirm it with protection.acknowledgement: "{sentence}"'
        if self.recovery_region == self.region:
            yield "recovery_region must be another region than region"
        zones = self.network.availability_zones
        if len(set(zones)) != len(zones):
            yield "network.availability_zones names a zone twice"
        for zone in zones:
            if zone[:-1] != self.region:
                yield f"network.availability_zones: {zone} is not in region {self.region}"
        if not ipaddress.ip_network(self.network.cidr).is_private:
            yield f"network.cidr: {self.network.cidr} is public; take one of 10.0.0.0/8, for example"
        certificate = self.listener.certificate_arn
        if certificate is not None and certificate.split(":")[3:5] != [self.region, self.account]:
            yield f"listener.certificate_arn: it must be of region {self.region} and account {self.account}"


def _apart(name: str, daily: str, weekly: str) -> Iterator[str]:
    """AWS wants both windows to be half an hour at least, and never at once."""
    for each, window, times in ((name, daily, 7), ("maintenance_window", weekly, 1)):
        if len(minutes(window)) < 30 * times:
            yield f"{each}: {window} is shorter than 30 minutes"
    if minutes(daily) & minutes(weekly):
        yield f"{name} {daily} and maintenance_window {weekly} overlap"


def parse(document: str, stack: str) -> Settings:
    """A stack's settings from JSON text, as the engine hands it over. Raises SettingsError with all that is wrong."""
    try:
        return Settings.model_validate_json(document, context={"stack": stack})
    except ValidationError as error:
        raise SettingsError(problems(error, Settings, f"{PROJECT}:{KEY}"), _file(stack)) from None


def read(stack: str) -> Settings:
    """This stack's settings, of the project that runs. Raises SettingsError."""
    import pulumi
    from pulumi.runtime.config import CONFIG

    wrong = [
        f"{key}: there is no such setting; everything is in {PROJECT}:{KEY}"
        for key in sorted(CONFIG.get())
        if key.startswith(f"{PROJECT}:") and key != f"{PROJECT}:{KEY}"
    ]
    document = pulumi.Config(PROJECT).get(KEY)
    if document is None:
        wrong.append(f"{PROJECT}:{KEY} is missing: take another stack's file as a pattern")
        raise SettingsError(wrong, _file(stack))
    try:
        settings = parse(document, stack)
    except SettingsError as error:
        raise SettingsError(wrong + error.problems, error.file) from None
    if wrong:
        raise SettingsError(wrong, _file(stack))
    return settings


def _file(stack: str) -> str:
    return f"Pulumi.{stack}.yaml"


def schema() -> dict[str, Any]:
    """The JSON schema of a whole `Pulumi.<stack>.yaml`."""
    settings = Settings.model_json_schema(ref_template="#/$defs/{model}")
    definitions = settings.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pulumi.<stack>.yaml",
        "type": "object",
        "required": ["config"],
        "additionalProperties": False,
        "properties": {
            # What the engine itself may put into a stack file.
            "encryptionsalt": {"type": "string"},
            "encryptedkey": {"type": "string"},
            "secretsprovider": {"type": "string"},
            "config": {
                "type": "object",
                "required": [f"{PROJECT}:{KEY}"],
                "properties": {f"{PROJECT}:{KEY}": settings},
                # Pulumi's own keys may be there, but no other of ours, and no default provider's.
                "patternProperties": {"^pulumi:": {}},
                "additionalProperties": False,
            },
        },
        "$defs": definitions,
    }


def main() -> None:
    SCHEMA.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")
    print(f"wrote {SCHEMA}", file=sys.stderr)


if __name__ == "__main__":
    main()
