"""How each type of resource is paid for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stacks.costs.prices import table
from stacks.costs.resources import Resource


class UnknownPrice(Exception):
    """A resource that can't be priced; its text says why."""


@dataclass(frozen=True)
class Tasks:
    """What deployments run of each service: the program itself starts none. `memory` in MiB, `cpu` in 1/1024."""

    count: int
    cpu: int
    memory: int
    architecture: str


Line = tuple[str, float]
Rule = Callable[["Context"], Iterator[Line]]


@dataclass(frozen=True)
class Context:
    """What a rule knows: the resource's inputs, its prices, the usage, the hours of a month."""

    inputs: Mapping[str, Any]
    price: Mapping[str, Any]
    usage: Mapping[str, float]
    hours: float
    tasks: Tasks | None
    # GiB of all databases.
    storage: float

    def choice(self, prices: Mapping[str, Any], name: Any) -> Any:
        if name not in prices:
            raise UnknownPrice(f"the table has no price for {name}")
        return prices[name]


def is_priced(type_: str) -> bool:
    """Whether the table has it and a rule here reckons with it."""
    return type_ in table()["prices"] and type_ in _RULES


def priced(resource: Resource, tasks: Tasks | None, storage: float) -> Iterator[Line]:
    """What is paid for of a resource. Raises UnknownPrice."""
    known = table()
    if not is_priced(resource.type):
        raise UnknownPrice(f"the table has no {resource.type}")
    context = Context(
        resource.inputs, known["prices"][resource.type], known["usage"], known["hours_per_month"], tasks, storage
    )
    yield from _RULES[resource.type](context)


def _nat_gateway(on: Context) -> Iterator[Line]:
    yield "gateway", on.price["hour"] * on.hours
    yield "data through it", on.price["gigabyte"] * on.usage["nat_gigabytes"]


def _hourly(on: Context) -> Iterator[Line]:
    yield "by the hour", on.price["hour"] * on.hours


def _monthly(on: Context) -> Iterator[Line]:
    yield "by the month", on.price["month"]


def _load_balancer(on: Context) -> Iterator[Line]:
    zones = len(on.inputs.get("subnets") or ())
    yield "load balancer", on.price["hour"] * on.hours
    yield "capacity units", on.price["unit_hour"] * on.hours * on.usage["balancer_units"]
    yield f"{zones} public addresses", on.price["address_hour"] * on.hours * zones
    yield "data to users", on.price["internet_gigabyte"] * on.usage["internet_gigabytes"]


def _service(on: Context) -> Iterator[Line]:
    if on.tasks is None:
        raise UnknownPrice("how many tasks run is not known")
    rates = on.choice(on.price, on.tasks.architecture)
    cpus, gigabytes = on.tasks.cpu / 1024, on.tasks.memory / 1024
    hour = cpus * rates["cpu_hour"] + gigabytes * rates["gigabyte_hour"]
    yield f"{on.tasks.count} tasks of {cpus:g} vCPU and {gigabytes:g} GiB", hour * on.hours * on.tasks.count


def _cluster(on: Context) -> Iterator[Line]:
    insights = next(
        (each["value"] for each in on.inputs.get("settings") or () if each["name"] == "containerInsights"), ""
    )
    factor = {"enabled": 1, "enhanced": on.price["enhanced_factor"]}.get(insights, 0)
    if factor:
        yield "Container Insights", on.price["metric"] * on.usage["insights_metrics"] * factor


def _database(on: Context) -> Iterator[Line]:
    kind, nodes = on.inputs["instanceClass"], 2 if on.inputs.get("multiAz") else 1
    size = on.inputs["allocatedStorage"]
    yield f"{nodes} × {kind}", on.choice(on.price["hour"], kind) * on.hours * nodes
    yield f"{nodes} × {size:g} GiB", on.price["storage_gigabyte"] * size * nodes
    if on.inputs.get("databaseInsightsMode") == "advanced":
        cpus = on.choice(on.price["cpus"], kind.rpartition(".")[2])
        yield "Database Insights, advanced", on.price["insights_cpu_hour"] * cpus * on.hours * nodes


def _cache(on: Context) -> Iterator[Line]:
    kind, nodes = on.inputs["nodeType"], on.inputs["numCacheClusters"]
    yield f"{nodes:g} × {kind}", on.choice(on.price, kind) * on.hours * nodes


def _key(on: Context) -> Iterator[Line]:
    yield "key", on.price["month"]
    yield "requests", on.price["request"] * on.usage["key_requests"]


def _secret(on: Context) -> Iterator[Line]:
    yield "secret", on.price["month"]
    yield "requests", on.price["request"] * on.usage["secret_requests"]


def _log_group(on: Context) -> Iterator[Line]:
    yield "what comes in", on.price["gigabyte"] * on.usage["log_gigabytes"]
    yield "what is kept", on.price["gigabyte_month"] * on.usage["log_gigabytes_kept"]


def _alarm(on: Context) -> Iterator[Line]:
    """AWS asks for each metric that an alarm looks at."""
    queries = on.inputs.get("metricQueries") or []
    metrics = [query["metric"] for query in queries if "metric" in query] or [on.inputs]
    quick = [metric for metric in metrics if isinstance(metric.get("period"), int | float) and metric["period"] < 60]
    yield "metrics", on.price["metric"] * (len(metrics) - len(quick)) + on.price["high_resolution_metric"] * len(quick)


def _repository(on: Context) -> Iterator[Line]:
    yield "images", on.price["gigabyte_month"] * on.usage["image_gigabytes"]


def _bucket(on: Context) -> Iterator[Line]:
    yield "objects", on.price["gigabyte_month"] * on.usage["object_gigabytes"]
    yield "requests", on.price["request"] * on.usage["object_requests"]


def _table(on: Context) -> Iterator[Line]:
    places = 1 + len(on.inputs.get("replicas") or ())
    size = on.usage["table_gigabytes"]
    yield "writes", on.price["write"] * on.usage["table_writes"] * places
    yield "reads", on.price["read"] * on.usage["table_reads"]
    yield "items", on.price["gigabyte_month"] * size * places
    if (on.inputs.get("pointInTimeRecovery") or {}).get("enabled"):
        yield "point-in-time recovery", on.price["recovery_gigabyte"] * size


def _parameter(on: Context) -> Iterator[Line]:
    if on.inputs.get("tier") == "Advanced":
        yield "advanced parameter", on.price["advanced"]


def _backups(on: Context) -> Iterator[Line]:
    """By the size of the databases of the stack; how much their snapshots hold isn't known here."""
    stored = on.storage * on.usage["backup_share"]
    yield "snapshots here", on.price["gigabyte_month"] * stored
    yield "snapshots in the recovery region", on.price["gigabyte_month"] * stored
    yield "copying them there", on.price["copied_gigabyte"] * stored


def _zone(on: Context) -> Iterator[Line]:
    yield "zone", on.price["month"]
    yield "queries", on.price["query"] * on.usage["dns_queries"]


def _health_check(on: Context) -> Iterator[Line]:
    kind = str(on.inputs.get("type", ""))
    yield "check", on.price["month"]
    options = [kind.startswith("HTTPS"), kind.endswith("STR_MATCH"), on.inputs.get("requestInterval") == 10,
               bool(on.inputs.get("measureLatency"))]  # fmt: skip
    if kind not in ("CALCULATED", "CLOUDWATCH_METRIC") and any(options):
        yield f"{sum(options)} options", on.price["option"] * sum(options)


_RULES: dict[str, Rule] = {
    "aws:ec2/natGateway:NatGateway": _nat_gateway,
    "aws:ec2/eip:Eip": _hourly,
    "aws:lb/loadBalancer:LoadBalancer": _load_balancer,
    "aws:ecs/service:Service": _service,
    "aws:ecs/cluster:Cluster": _cluster,
    "aws:rds/instance:Instance": _database,
    "aws:elasticache/replicationGroup:ReplicationGroup": _cache,
    "aws:kms/key:Key": _key,
    "aws:kms/replicaKey:ReplicaKey": _key,
    "aws:secretsmanager/secret:Secret": _secret,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": _monthly,
    "aws:cloudwatch/dashboard:Dashboard": _monthly,
    "aws:ecr/repository:Repository": _repository,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:dynamodb/table:Table": _table,
    "aws:ssm/parameter:Parameter": _parameter,
    "aws:backup/selection:Selection": _backups,
    "aws:route53/zone:Zone": _zone,
    "aws:route53/healthCheck:HealthCheck": _health_check,
}
