"""The manifest: what operations need to know of an environment, read from SSM Parameter Store.

`docs/architecture.md` shows the document. It holds no secrets, only their ARNs.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from operations.errors import ATTACH, OperationError, reach

DEFAULT_REGIONS = ("us-east-1", "us-west-2")

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
    repository: Name
    repository_url: Name
    log_group: Name
    url: Url
    health_path: Path
    database_health_path: Path
    load_balancer: Arn
    target_group: Arn
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
    first = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGIONS[0]
    second = recovery_region or next(name for name in DEFAULT_REGIONS if name != first)
    refusals: list[_Refusal] = []
    for candidate in dict.fromkeys((first, second)):
        found = _read(platform, environment, candidate)
        if isinstance(found, str):
            manifest = parse(found, platform, environment)
            manifest._read_from = candidate
            return manifest
        refusals.append(found)
    raise OperationError(
        f"no manifest of {platform} {environment}",
        "; ".join(f"{refusal.region}: {refusal.why}" for refusal in refusals),
        # Where both fail, the first region's remedy is the one to try first.
        refusals[0].next,
    )


def parse(document: str, platform: str, environment: str) -> Manifest:
    """The manifest in a JSON document; OperationError names each wrong key, never a value."""
    name = parameter_name(platform, environment)
    remedy = f"write it anew with `pulumi up --stack {environment}` from the checkout that this command runs in"
    try:
        manifest = Manifest.model_validate_json(document)
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc']) or 'document'}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        ]
        raise OperationError(f"the manifest {name} is malformed", "; ".join(faults), remedy) from None
    if (manifest.platform, manifest.environment) != (platform, environment):
        raise OperationError(
            f"the manifest {name} is malformed",
            f"platform, environment: it describes {manifest.platform} {manifest.environment}",
            remedy,
        )
    return manifest


class _Refusal(BaseModel):
    region: str
    why: str
    next: str


def _read(platform: str, environment: str, region: str) -> str | _Refusal:
    """The parameter's value, or why this region didn't give it."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        HTTPClientError,
        NoCredentialsError,
    )

    name = parameter_name(platform, environment)
    # Shorter than a target's: a dead primary region must not hold up its own failover.
    config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
    endpoint = ""
    try:
        # A session of its own, because boto3's default one keeps the credentials that it found first.
        session: Any = boto3.session.Session()
        client = session.client("ssm", region_name=region, config=config)
        endpoint = client.meta.endpoint_url
        return str(client.get_parameter(Name=name)["Parameter"].get("Value", ""))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "ParameterNotFound":
            why = f"there is no parameter {name}"
            return _Refusal(region=region, why=why, next=f"create it with `pulumi up --stack {environment}`")
        return _Refusal(region=region, why=str(error), next=ATTACH)
    except NoCredentialsError:
        return _Refusal(region=region, why="this shell has no AWS credentials", next=ATTACH)
    except (ConnectionError, HTTPClientError):
        return _Refusal(region=region, why=f"nothing answers at {endpoint}", next=reach(endpoint))
    except (BotoCoreError, ValueError) as error:
        return _Refusal(region=region, why=str(error), next=ATTACH)
