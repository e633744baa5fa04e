"""A sample of what users see: requests at a steady rate through the load balancer, judged twice.

Performance looks only at answers (below 500): a fast error is no good latency. The error rate looks only at
whether there was one. A probe that times out counts as an error, not as a latency.
"""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from operations.checks import Check, Status, judge, not_checked
from operations.manifest import Thresholds
from operations.observation import Missing
from operations.redaction import redact

if TYPE_CHECKING:
    import httpx

    from operations.target import Target

PERFORMANCE, ERROR_RATE = "performance", "error rate"
#: So that at least one probe lies beyond the 95th percentile.
LEAST_FOR_P95 = 20
WORKERS = 128


@dataclass(frozen=True, slots=True)
class Probe:
    """One request: `at` is when it was sent, in seconds after the start; `status` None when there was no
    answer.
    """

    at: float
    seconds: float
    status: int | None
    error: str = ""

    @property
    def failed(self) -> bool:
        return self.status is None or self.status >= 500


@dataclass(frozen=True, slots=True)
class Series:
    """One service's probes, in the order in which they were sent. Fewer than `planned` when time ran out."""

    service: str
    url: str
    started: datetime
    planned: int
    per_second: float
    probes: tuple[Probe, ...]
    thresholds: Thresholds

    @property
    def latencies(self) -> list[float]:
        """Seconds of each probe that did not fail, ascending."""
        return sorted(probe.seconds for probe in self.probes if not probe.failed)

    @property
    def failed(self) -> int:
        return sum(probe.failed for probe in self.probes)


def gather(target: Target, name: str, *, path: str, probes: int, per_second: float) -> Series:
    """Send `probes` requests, started `per_second` apart whether or not earlier ones were answered.

    Takes probes / per_second seconds, and at most the probes' own time limit more than twice that: with more
    than WORKERS requests hanging, later ones wait, and those not sent in time are left out.
    """
    thresholds = target.manifest.thresholds
    # Long enough to measure a service that is slow several times over, instead of calling it dead.
    timeout = max(10.0, 5 * thresholds.p95_seconds)
    url = target.manifest.service(name).url + path
    started, start = datetime.now(UTC), time.perf_counter()
    last_start = start + 2 * probes / per_second + timeout
    results: list[Probe] = []
    lock = threading.Lock()

    def send(client: httpx.Client, number: int) -> None:
        delay = start + number / per_second - time.perf_counter()
        if delay > 0:
            time.sleep(delay)
        if time.perf_counter() > last_start:
            return
        probe = _probe(client, url, start, timeout)
        with lock:
            results.append(probe)

    with target.http(timeout) as client, ThreadPoolExecutor(min(WORKERS, probes)) as pool:
        for future in [pool.submit(send, client, number) for number in range(probes)]:
            future.result()
    ordered = tuple(sorted(results, key=lambda probe: probe.at))
    return Series(name, url, started, probes, per_second, ordered, thresholds)


def percentile(ascending: list[float], percent: float) -> float:
    """The smallest value that `percent` of the values don't exceed (nearest rank). Raises ValueError without
    values.
    """
    if not ascending:
        raise ValueError("no values")
    return ascending[max(0, math.ceil(percent / 100 * len(ascending)) - 1)]


def least_for_rate(limit_percent: float) -> int:
    """How many probes it takes until a single error does not exceed `limit_percent` by itself.

    A limit of 0 is judged from 100 probes on.
    """
    return math.ceil(100 / limit_percent) if limit_percent > 0 else 100


def evaluate(series: Series) -> list[Check]:
    return [_evaluate_performance(series), _evaluate_error_rate(series)]


def _evaluate_performance(series: Series) -> Check:
    limit = series.thresholds.p95_seconds
    latencies = series.latencies
    expected = f"p95 at most {limit * 1000:.0f} ms"
    if len(latencies) < LEAST_FOR_P95:
        why = (
            f"{len(latencies)} of {len(series.probes)} probes were answered without an error, p95 needs {LEAST_FOR_P95}"
        )
        missing = Missing(why, _more_probes(series, LEAST_FOR_P95))
        return not_checked(PERFORMANCE, series.service, "latency", missing, expected=expected)
    p50, p95, p99 = (1000 * percentile(latencies, percent) for percent in (50, 95, 99))
    return judge(
        PERFORMANCE,
        series.service,
        "latency",
        p95 <= 1000 * limit,
        measured=f"p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} ms of {len(latencies)} answers",
        expected=expected,
        why=f"one request in twenty takes longer than {p95:.0f} ms",
        next=f"compare with the release before: was {series.url} as slow then? if not, roll back",
        value=p95 / 1000,
    )


def _evaluate_error_rate(series: Series) -> Check:
    limit = series.thresholds.error_rate_percent
    sample, failed = len(series.probes), series.failed
    expected = f"at most {limit:g} % failed"
    needed = least_for_rate(limit)
    # A sample too small to pass may be large enough to fail: further successes could not bring it below the
    # limit.
    proven = failed > 0 and 100 * failed / max(needed, sample) > limit
    if sample < needed and not proven:
        why = f"{failed} of {sample} probes failed; a limit of {limit:g} % needs {needed} probes"
        missing = Missing(why, _more_probes(series, needed))
        return not_checked(ERROR_RATE, series.service, "failed requests", missing, expected=expected)
    rate = 100 * failed / sample
    check = judge(
        ERROR_RATE,
        series.service,
        "failed requests",
        rate <= limit,
        measured=f"{rate:.1f} % ({failed} of {sample} probes)",
        expected=expected,
        why=_kinds(series),
        next="look at the service's logs; if the release before did not do this, roll back",
        value=rate,
    )
    assert check.status is not Status.NOT_CHECKED
    return check


def _kinds(series: Series) -> str:
    kinds: dict[str, int] = {}
    for probe in series.probes:
        if probe.failed:
            kind = f"status {probe.status}" if probe.status is not None else probe.error
            kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1])[:3])


def _more_probes(series: Series, needed: int) -> str:
    if series.planned < needed:
        return f"verify again with probes={needed} or more"
    return "see the endpoints and the error rate first: too few probes were answered"


def _probe(client: httpx.Client, url: str, start: float, timeout: float) -> Probe:
    import httpx

    sent = time.perf_counter()
    status, error = None, ""
    try:
        with client.stream("GET", url) as response:
            for _ in response.iter_raw():
                # The client's own limit is for each read; a server that drips must not hold a worker for
                # ever.
                if time.perf_counter() - sent > timeout:
                    raise httpx.ReadTimeout("the answer took too long")
            status = response.status_code
    except httpx.HTTPError as failure:
        error = redact(str(failure) or type(failure).__name__)
    return Probe(at=sent - start, seconds=time.perf_counter() - sent, status=status, error=error)
