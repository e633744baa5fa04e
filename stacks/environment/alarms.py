"""Which alarms an environment has: the platform's thresholds, at the environment's pace, on its parts' metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from components.alarms import Alarm, Composite, Metric

if TYPE_CHECKING:
    from stacks.environment import Environment

# What whoever is woken opens first: it looks at everything and says what is wrong.
RUNBOOK = "runbooks/verify.ipynb"
_GIB = 1024**3
_DAY = 86400
_BALANCER, _TASKS, _DATABASE, _CACHE = "AWS/ApplicationELB", "AWS/ECS", "AWS/RDS", "AWS/ElastiCache"
# ALB publishes nothing of what didn't happen: no 5xx is 0 of them. Requests that no target could be chosen for are not
# in RequestCount, so errors may be more than it. The rate of a handful of requests is 0.
_ERRORS = "FILL(elb, 0) + FILL(target, 0)"
_SEEN = f"IF({_ERRORS} > FILL(requests, 0), {_ERRORS}, FILL(requests, 0))"


def namespace(environment: Environment) -> str:
    """Where the platform's own metrics are: what its application logs, and what deployments put."""
    return f"{environment.settings.platform}/{environment.settings.environment}"


def deployment(environment: Environment) -> Metric:
    """What whoever deploys puts for as long as it does."""
    return Metric(namespace=namespace(environment), name="DeploymentInProgress", statistic="Maximum")


def error_rate_metrics(environment: Environment) -> dict[str, Metric]:
    balancer = {"LoadBalancer": environment.load_balancer.arn_suffix}
    return {
        identifier: Metric(namespace=_BALANCER, name=name, statistic="Sum", dimensions=balancer)
        for identifier, name in (
            ("requests", "RequestCount"),
            ("elb", "HTTPCode_ELB_5XX_Count"),
            ("target", "HTTPCode_Target_5XX_Count"),
        )
    }


def metric_alarms(environment: Environment) -> list[Alarm]:
    return [
        *_service(environment),
        *_burn_rates(environment),
        *_database(environment),
        *_cache(environment),
        *_business(environment),
    ]


def composites(environment: Environment) -> list[Composite]:
    owner, members = environment.platform.watch.owner, cache_members(environment)
    burning = [
        Composite(
            key=f"burn-{number}",
            says=f"The error budget is used up {rate.factor:g} times too fast.",
            members=[f"burn-{number}-long", f"burn-{number}-short"],
            fires="all",
            severity=rate.severity,
            # Also a deployment may not burn the budget.
            quiet_in_deployments=False,
            owner=owner,
            runbook=RUNBOOK,
        )
        for number, rate in enumerate(environment.settings.alarms.burn_rates, 1)
    ]

    def service(key: str, says: str, keys: list[str], quiet: bool) -> Composite:
        return Composite(
            key=key,
            says=says,
            members=keys,
            fires="any",
            severity="page",
            quiet_in_deployments=quiet,
            owner=owner,
            runbook=RUNBOOK,
        )

    return [
        service(
            environment.platform.service.name,
            "The application does badly: errors, slow answers or busy tasks.",
            ["error-rate", "slow", "cpu"],
            quiet=True,
        ),
        service("database", "The database is silent, or has hardly a connection left.", _DATABASE_KEYS, quiet=False),
        service(
            "cache",
            "A cache node is silent, or its memory is nearly full.",
            [f"cache-{part}-{number}" for number, _ in enumerate(members, 1) for part in ("silent", "memory")],
            quiet=False,
        ),
        *burning,
    ]


_DATABASE_KEYS = ["database-silent", "connections"]


def cache_members(environment: Environment) -> list[str]:
    """The nodes of the replication group, as ElastiCache names them."""
    return [f"{environment.prefix}-cache-{number:03d}" for number in range(1, environment.settings.cache.replicas + 2)]


def _service(environment: Environment) -> Iterator[Alarm]:
    watch, thresholds = environment.platform.watch, environment.platform.thresholds
    name = environment.platform.service.name
    minimum = environment.settings.alarms.minimum_requests
    group = {
        "LoadBalancer": environment.load_balancer.arn_suffix,
        "TargetGroup": environment.load_balancer.target_group_suffix,
    }
    tasks = {"ClusterName": environment.cluster.cluster, "ServiceName": environment.service.service}
    yield _alarm(
        environment,
        "error-rate",
        f"More than {thresholds.error_rate_percent:g} % of requests fail.",
        error_rate_metrics(environment),
        watch.error_rate_minutes,
        expression=f"IF({_SEEN} >= {minimum}, 100 * ({_ERRORS}) / ({_SEEN}), 0)",
        unit="percent",
        threshold=thresholds.error_rate_percent,
    )
    yield _alarm(
        environment,
        "slow",
        f"One answer in twenty takes longer than {thresholds.p95_seconds:g} s.",
        {
            "p95": Metric(namespace=_BALANCER, name="TargetResponseTime", statistic="p95", dimensions=group),
            "requests": Metric(namespace=_BALANCER, name="RequestCount", statistic="Sum", dimensions=group),
        },
        watch.p95_minutes,
        # CloudWatch's own guard wants 200 requests in a period, and would miss an evening's slow release.
        expression=f"IF(FILL(requests, 0) >= {minimum}, p95, 0)",
        unit="seconds",
        threshold=thresholds.p95_seconds,
    )
    yield _alarm(
        environment,
        "cpu",
        f"The tasks of {name} use more than {thresholds.cpu_percent:g} % of their CPU.",
        {"cpu": Metric(namespace=_TASKS, name="CPUUtilization", statistic="Average", dimensions=tasks)},
        watch.cpu_minutes,
        unit="percent",
        threshold=thresholds.cpu_percent,
    )
    healthy = {"healthy": Metric(namespace=_BALANCER, name="HealthyHostCount", statistic="Minimum", dimensions=group)}
    yield _alarm(
        environment,
        "nobody-serves",
        f"No task of {name} is healthy: users see error pages.",
        healthy,
        watch.silence_minutes,
        unit="tasks",
        comparison="below",
        threshold=1,
        missing="breaching",
        severity="page",
    )
    yield _alarm(
        environment,
        "few-serve",
        f"Fewer tasks of {name} are healthy than there should be at least.",
        healthy,
        watch.silence_minutes,
        unit="tasks",
        comparison="below",
        threshold=environment.settings.service.desired_count,
        missing="breaching",
        severity="ticket",
    )


def _burn_rates(environment: Environment) -> Iterator[Alarm]:
    budget = 100 - environment.platform.objectives.availability_percent
    minimum = environment.settings.alarms.minimum_requests
    for number, rate in enumerate(environment.settings.alarms.burn_rates, 1):
        for window, seconds in (("long", rate.long_seconds), ("short", rate.short_seconds)):
            # An alarm's period is a day at most; a longer window must be bad on each of its days.
            period = min(seconds, _DAY)
            yield Alarm(
                key=f"burn-{number}-{window}",
                says=f"The error budget was used up {rate.factor:g} times too fast for {seconds} s.",
                metrics=error_rate_metrics(environment),
                expression=f"IF({_SEEN} >= {minimum}, 100 * ({_ERRORS}) / ({_SEEN}), 0)",
                unit="percent",
                comparison="above",
                threshold=round(rate.factor * budget, 6),
                period_seconds=period,
                periods=seconds // period,
                datapoints=seconds // period,
                missing="notBreaching",
                severity=None,
                owner=environment.platform.watch.owner,
                runbook=RUNBOOK,
            )


def _database(environment: Environment) -> Iterator[Alarm]:
    watch, thresholds, settings = environment.platform.watch, environment.platform.thresholds, environment.settings
    instance = {"DBInstanceIdentifier": environment.database.identifier}
    limit = thresholds.connections_percent / 100 * settings.database.max_connections
    connections = Metric(namespace=_DATABASE, name="DatabaseConnections", statistic="Maximum", dimensions=instance)
    yield _alarm(
        environment,
        "connections",
        f"More than {thresholds.connections_percent:g} % of the database's {settings.database.max_connections}"
        " connections are taken.",
        {"connections": connections},
        watch.connections_minutes,
        unit="connections",
        threshold=limit,
    )
    yield _alarm(
        environment,
        "database-silent",
        "The database has not been heard of.",
        {"reports": dataclasses.replace(connections, statistic="SampleCount")},
        watch.silence_minutes,
        unit="reports",
        comparison="below",
        threshold=1,
        missing="breaching",
    )
    yield _alarm(
        environment,
        "storage",
        f"More than {watch.storage_percent:g} % of the database's storage is used.",
        {"free": Metric(namespace=_DATABASE, name="FreeStorageSpace", statistic="Minimum", dimensions=instance)},
        watch.storage_minutes,
        unit="bytes free",
        comparison="below",
        threshold=round((100 - watch.storage_percent) / 100 * settings.database.storage_gib * _GIB),
        missing="ignore",
        severity="ticket",
    )


def _cache(environment: Environment) -> Iterator[Alarm]:
    watch, percent = environment.platform.watch, environment.platform.thresholds.cache_memory_percent
    for number, member in enumerate(cache_members(environment), 1):
        node = {"CacheClusterId": member}
        memory = "DatabaseMemoryUsagePercentage"
        yield _alarm(
            environment,
            f"cache-memory-{number}",
            f"The cache node {member} uses more than {percent:g} % of its memory.",
            {"memory": Metric(namespace=_CACHE, name=memory, statistic="Maximum", dimensions=node)},
            watch.cache_memory_minutes,
            unit="percent",
            threshold=percent,
        )
        yield _alarm(
            environment,
            f"cache-silent-{number}",
            f"The cache node {member} has not been heard of.",
            {"memory": Metric(namespace=_CACHE, name=memory, statistic="SampleCount", dimensions=node)},
            watch.silence_minutes,
            unit="reports",
            comparison="below",
            threshold=1,
            missing="breaching",
        )


def _business(environment: Environment) -> Iterator[Alarm]:
    watch, failures = environment.platform.watch, environment.platform.thresholds.payment_failures
    own = namespace(environment)
    seconds = _period(watch.payment_minutes * environment.settings.alarms.minute_seconds)
    yield Alarm(
        key="payments",
        says=f"More than {failures} payments failed in {seconds} s.",
        metrics={"failed": Metric(namespace=own, name="PaymentsFailed", statistic="Sum")},
        unit="payments",
        comparison="above",
        threshold=failures,
        period_seconds=seconds,
        periods=1,
        datapoints=1,
        missing="notBreaching",
        severity="page",
        owner=watch.owner,
        runbook=RUNBOOK,
    )
    yield _alarm(
        environment,
        "voice-queue",
        f"More than {watch.voice_queue_depth} voices wait to be made.",
        {"depth": Metric(namespace=own, name="VoiceQueueDepth", statistic="Maximum")},
        watch.voice_queue_minutes,
        unit="voices",
        threshold=watch.voice_queue_depth,
        severity="ticket",
    )


def _alarm(
    environment: Environment,
    key: str,
    says: str,
    metrics: dict[str, Metric],
    minutes: int,
    *,
    unit: str,
    threshold: float,
    expression: str | None = None,
    comparison: Literal["above", "below"] = "above",
    missing: Literal["breaching", "notBreaching", "ignore"] = "notBreaching",
    severity: Literal["page", "ticket"] | None = None,
) -> Alarm:
    """One that must be so in each of so many minutes."""
    parts: dict[str, Any] = {"periods": minutes, "datapoints": minutes}
    return Alarm(
        key=key,
        says=says,
        metrics=metrics,
        expression=expression,
        unit=unit,
        comparison=comparison,
        threshold=threshold,
        period_seconds=environment.settings.alarms.minute_seconds,
        missing=missing,
        severity=severity,
        owner=environment.platform.watch.owner,
        runbook=RUNBOOK,
        **parts,
    )


def _period(seconds: int) -> int:
    """The shortest period of CloudWatch's that is as long."""
    return next((short for short in (10, 20, 30) if short >= seconds), -(-seconds // 60) * 60)
