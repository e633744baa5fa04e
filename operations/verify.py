"""Verify that an environment does what its manifest promises.

Five areas, each with a fault that fails it alone (x = fails, ? = can't be checked):

    fault                                        endpoints  database  cache  performance  error rate
    one of two tasks is out                          x
    the service reports a full disk                  x
    PostgreSQL's primary is gone, or read-only                  x
    its standby is gone                                         x
    Redis is gone, or its replica                                       x
    a slow release                                                             x
    a release with 10 % errors                                                             x
    few probes asked for                                                       ?           ?
    no task at all                                   x          ?*             ?           x
    RDS's API does not answer                                   ?

    * only the latency that the service reports: the database itself is asked directly.

The boundaries that make it so: a service's health report is split, what it says of its database and cache
counts there; the endpoints need one good answer of a few, many requests are the error rate's; performance
takes only answers that are no errors; the error rate does not look at the clock, short of the probe's time
limit. What they rest on: the load balancer's own health check must not ask for the database or the cache, and
the page that is probed needs neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from operations import cache, database, endpoints, figures, operation, traffic
from operations.by_hand import verify as by_hand
from operations.checks import Check, Outcome
from operations.manifest import Manifest
from operations.parameters import VerifyParameters
from operations.runs.journal import Journal
from operations.target import Target

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Facts:
    """All that was observed; `evaluate` needs nothing else."""

    platform: str
    environment: str
    started: datetime
    seconds: float
    services: tuple[endpoints.Endpoint, ...]
    database: database.Observed
    cache: cache.Observed
    series: tuple[traffic.Series, ...]


class Plan(operation.Plan):
    """What a verification will look at, what it sends, and that it changes nothing. `seconds` is how long it takes."""

    request: VerifyParameters
    title: str
    lines: tuple[tuple[str, str], ...]
    seconds: float

    @property
    def empty(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "\n".join([self.title, *(f"  {area + ':':<13}{text}" for area, text in self.lines), f"  {self._effect}"])

    def _repr_html_(self) -> str:
        from operations.tables import pairs

        return f"<p><b>{escape(self.title)}</b></p>{pairs(self.lines)}<p>{escape(self._effect)}</p>"

    @property
    def _effect(self) -> str:
        return (
            f"Takes about {self.seconds:.0f} s. Changes nothing: what it writes to the database is a message that no"
            f" table keeps, the key it writes is deleted (and expires after {cache.KEY_SECONDS} s)."
        )


def plan(manifest: Manifest, parameters: VerifyParameters) -> Plan:
    """What `gather` and `evaluate` would look at; asks nobody."""
    limits = manifest.thresholds
    lines = []
    for name, service in sorted(manifest.services.items()):
        lines.append((endpoints.AREA, f"{name}: tasks, targets, page and health of {service.url}"))
    standby = ", its standby" if manifest.database.multi_az else ""
    lines.append(
        (
            database.AREA,
            f"{manifest.database.identifier}: instance{standby}, a session that writes,"
            f" latency ≤ {limits.database_latency_seconds * 1000:g} ms,"
            f" connections ≤ {limits.connections_percent:g} %",
        )
    )
    lines.append(
        (
            cache.AREA,
            f"{manifest.cache.replication_group}: group, ping, a key with a TTL, replicas,"
            f" memory ≤ {limits.cache_memory_percent:g} %",
        )
    )
    rate = f"{parameters.probes_per_second:g}/s"
    probes = f"{parameters.probes} × GET {parameters.probe_path} to each service at {rate}"
    lines.append((traffic.PERFORMANCE, f"{probes}: p95 ≤ {limits.p95_seconds * 1000:g} ms"))
    lines.append((traffic.ERROR_RATE, f"of the same probes: failed ≤ {limits.error_rate_percent:g} %"))
    seconds = 2 + len(manifest.services) * parameters.probes / parameters.probes_per_second
    title = f"Verify {manifest.platform} {manifest.environment}"
    return Plan(request=parameters, title=title, lines=tuple(lines), seconds=seconds)


def gather(target: Target, parameters: VerifyParameters, progress: Progress = lambda _: None) -> Facts:
    """Observe everything, one part after the other, so that no part's load is another's finding.

    A part that can't be observed is a fact too: this raises only when the code is wrong.
    """
    started, start = datetime.now(UTC), time.perf_counter()
    manifest = target.manifest
    services = []
    for name in sorted(manifest.services):
        progress(f"{name}: tasks, targets, page, health")
        services.append(endpoints.gather(target, name, parameters.probe_path))
    reports = {seen.name: seen.health for seen in services}
    progress(f"database {manifest.database.identifier}")
    database_seen = database.gather(target, reports)
    progress(f"cache {manifest.cache.replication_group}")
    cache_seen = cache.gather(target, reports)
    series = []
    for name in sorted(manifest.services):
        progress(f"{name}: {parameters.probes} probes at {parameters.probes_per_second:g}/s")
        series.append(
            traffic.gather(
                target,
                name,
                path=parameters.probe_path,
                probes=parameters.probes,
                per_second=parameters.probes_per_second,
            )
        )
    return Facts(
        platform=manifest.platform,
        environment=manifest.environment,
        started=started,
        seconds=time.perf_counter() - start,
        services=tuple(services),
        database=database_seen,
        cache=cache_seen,
        series=tuple(series),
    )


def evaluate(facts: Facts) -> Outcome:
    """All checks on these facts; pure."""
    checks: list[Check] = []
    for seen in facts.services:
        checks += endpoints.evaluate(seen)
    checks += database.evaluate(facts.database)
    checks += cache.evaluate(facts.cache)
    judged = [traffic.evaluate(series) for series in facts.series]
    checks += [performance for performance, _ in judged]
    checks += [error_rate for _, error_rate in judged]
    return Outcome(
        platform=facts.platform,
        environment=facts.environment,
        started=facts.started,
        seconds=facts.seconds,
        checks=tuple(checks),
        measurements=_measurements(facts),
        series=facts.series,
    )


def verify(target: Target, parameters: VerifyParameters, progress: Progress = lambda _: None) -> Outcome:
    """`gather` and `evaluate` in one, for other operations and the command line."""
    return evaluate(gather(target, parameters, progress))


def execute(plan: Plan, target: Target, journal: Journal) -> Outcome:
    """Look at everything that the plan names, and judge it."""
    figures.prepare()
    return verify(target, plan.request, journal.progress)


OPERATION = operation.Operation(
    name="verify",
    parameters=VerifyParameters,
    plan_type=Plan,
    gather=lambda target, _: target.manifest,
    plan=plan,
    execute=execute,
    by_hand=by_hand.steps,
    changes=False,
    seconds=lambda request: 300 + 3 * request.probes / request.probes_per_second,
)


def _measurements(facts: Facts) -> dict[str, float]:
    figures: dict[str, float] = {}
    for series in facts.series:
        name, latencies = series.service, series.latencies
        figures[f"{name}.probes"] = len(series.probes)
        figures[f"{name}.failed"] = series.failed
        if latencies:
            for percent in (50, 95, 99):
                figures[f"{name}.p{percent}_seconds"] = round(traffic.percentile(latencies, percent), 6)
    if isinstance(facts.database.session, database.Session) and not facts.database.session.error:
        figures["database.select_seconds"] = round(facts.database.session.select_seconds, 6)
        figures["database.connections"] = facts.database.session.connections
    if isinstance(facts.cache.session, cache.Session) and not facts.cache.session.error:
        figures["cache.ping_seconds"] = round(facts.cache.session.ping_seconds, 6)
        figures["cache.memory_used_bytes"] = facts.cache.session.memory_used
    return figures
