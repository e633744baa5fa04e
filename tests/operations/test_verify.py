"""The judgement, on facts that are made up: which fault fails which area, and how a verdict is reached."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from operations import cache, database, endpoints, traffic, verify
from operations.checks import ChecksFailed, Status, Verdict
from operations.endpoints import Answer, Endpoint, Tasks
from operations.manifest import Manifest
from operations.observation import Missing
from operations.parameters import VerifyParameters
from operations.traffic import Probe, Series
from operations.verify import Facts

STARTED = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "golden"
AREAS = ("endpoints", "database", "cache", "performance", "error rate")
Fault = Callable[[Facts], Facts]


def report(**problems: str) -> Answer:
    """A health report in which these checks fail."""
    checks: dict[str, Any] = {
        name: {"status": "failing", "problem": problems[name]} if name in problems else {"status": "ok"}
        for name in ("database", "cache", "disk", "memory")
    }
    status = 503 if problems else 200
    return Answer(status, 5 if problems else 1, 0.01, {"status": "failing" if problems else "ok", "checks": checks})


def probes(count: int, *, seconds: float = 0.02, status: int | None = 200, every: int = 1) -> tuple[Probe, ...]:
    """`count` probes of which each `every`th is like this and the others are good ones."""
    good = Probe(0.0, 0.02, 200)
    return tuple(
        replace(good, at=number / 40, seconds=seconds, status=status)
        if number % every == 0
        else replace(good, at=number / 40)
        for number in range(count)
    )


@pytest.fixture
def healthy(manifest: Manifest) -> Facts:
    health = report()
    return Facts(
        platform="chatvrm",
        environment="local",
        started=STARTED,
        seconds=6.0,
        services=(
            Endpoint(
                name="web",
                service=manifest.service("web"),
                region="us-east-1",
                tasks=Tasks("ACTIVE", 2, 2),
                targets=(("127.65.8.1:8080", "healthy", ""), ("127.65.8.2:8080", "healthy", "")),
                page=Answer(200, 1, 0.004),
                health=health,
            ),
        ),
        database=database.Observed(
            database=manifest.database,
            thresholds=manifest.thresholds,
            region="us-east-1",
            instance=database.Instance("available", "postgres", "15.18", True, "us-east-1b"),
            session=database.Session(
                connect_seconds=0.02, select_seconds=0.001, tls=True, connections=12, max_connections=100
            ),
            applications={"web": ("http://127.0.0.1:8080/api/health/db", Answer(200, 1, 0.01, {"latency_ms": 1.5}))},
            reports={"web": health},
        ),
        cache=cache.Observed(
            cache=manifest.cache,
            thresholds=manifest.thresholds,
            region="us-east-1",
            group=cache.Group("available", ("cache-001", "cache-002")),
            session=cache.Session(
                ping_seconds=0.0005,
                role="master",
                replicas=(("127.65.4.4:6379", "online"),),
                memory_used=10 * 2**20,
                memory_limit=100 * 2**20,
            ),
            reports={"web": health},
        ),
        series=(Series("web", "http://127.0.0.1:8080/", STARTED, 200, 40.0, probes(200), manifest.thresholds),),
    )


def endpoint(**changes: Any) -> Fault:
    return lambda facts: replace(facts, services=(replace(facts.services[0], **changes),))


def in_database(**changes: Any) -> Fault:
    return lambda facts: replace(facts, database=replace(facts.database, **changes))


def in_cache(**changes: Any) -> Fault:
    return lambda facts: replace(facts, cache=replace(facts.cache, **changes))


def sampled(series: tuple[Probe, ...], planned: int | None = None) -> Fault:
    return lambda facts: replace(
        facts, series=(replace(facts.series[0], probes=series, planned=planned or len(series)),)
    )


def reported(**problems: str) -> Fault:
    """What every part that reads the service's health report sees."""

    def fault(facts: Facts) -> Facts:
        health = report(**problems)
        facts = in_database(reports={"web": health})(facts)
        return in_cache(reports={"web": health})(endpoint(health=health)(facts))

    return fault


def together(*faults: Fault) -> Fault:
    def fault(facts: Facts) -> Facts:
        for one in faults:
            facts = one(facts)
        return facts

    return fault


REFUSED = database.Session(error="connection failed: Connection refused")
NO_ANSWER = Answer(None, 5, 0.0, None, "Connection refused")
BROKEN = Answer(503, 5, 0.001, None)
QUERIES = "http://127.0.0.1:8080/api/health/db"
OUT = (("127.65.8.1:8080", "healthy", ""), ("127.65.8.2:8080", "unhealthy", "Request timed out"))
GONE = Missing("Could not connect to the endpoint URL", "check the network and AWS_ENDPOINT_URL")

#: By the row of the table in `verify`'s docstring, each way in which the fault shows.
FAULTS: dict[str, list[Fault]] = {
    "one of two tasks is out": [
        endpoint(tasks=Tasks("ACTIVE", 2, 1), targets=OUT[:1]),
        endpoint(targets=OUT),
        endpoint(tasks=None),
        endpoint(page=Answer(404, 5, 0.001)),
        endpoint(page=NO_ANSWER),
    ],
    "the service reports a full disk": [
        reported(disk="12 MiB free, 100 needed"),
        endpoint(health=Answer(503, 5, 0.01, {"status": "draining", "checks": {"disk": {"status": "ok"}}})),
        endpoint(health=Answer(200, 1, 0.01, ["no report"])),
    ],
    "PostgreSQL's primary is gone, or read-only": [
        together(
            in_database(
                instance=database.Instance("failed", "postgres", "15.18", True, "us-east-1b"),
                session=REFUSED,
                applications={"web": (QUERIES, Answer(503, 5, 1.5, {"status": "failing", "latency_ms": 1500.0}))},
            ),
            reported(database="does not answer (OperationalError)"),
        ),
        in_database(session=database.Session(tls=True, max_connections=100, write_error="read-only transaction")),
        in_database(session=database.Session(tls=False, max_connections=100)),
        in_database(applications={"web": (QUERIES, Answer(200, 1, 0.5, {"latency_ms": 250.0}))}),
        in_database(instance=None),
    ],
    "its standby is gone": [
        in_database(instance=database.Instance("available", "postgres", "15.18", True, None)),
        in_database(instance=database.Instance("available", "postgres", "15.18", False, None)),
    ],
    "Redis is gone, or its replica": [
        together(
            in_cache(session=cache.Session(error="Connection refused"), group=cache.Group("modifying", ("a", "b"))),
            reported(cache="does not answer (ConnectionError)"),
        ),
        in_cache(session=cache.Session(role="master", memory_limit=1)),
        in_cache(session=cache.Session(role="slave", replicas=(("a", "online"),), memory_limit=1)),
        in_cache(
            session=cache.Session(key_error="READONLY", role="master", replicas=(("a", "online"),), memory_limit=1)
        ),
        in_cache(group=None),
    ],
    "a slow release": [sampled(probes(200, seconds=3.0)), sampled(probes(200, seconds=3.0, every=10))],
    "a release with 10 % errors": [
        sampled(probes(200, status=500, every=10)),
        sampled(probes(200, status=None, every=10)),
        # fast errors don't make it look fast, slow ones don't make it look slow
        sampled(probes(200, status=500, seconds=9.0, every=10)),
    ],
    "few probes asked for": [sampled(probes(10))],
    "no task at all": [
        together(
            endpoint(tasks=Tasks("ACTIVE", 2, 0), targets=(), page=BROKEN, health=BROKEN),
            in_database(applications={"web": (QUERIES, BROKEN)}, reports={"web": BROKEN}),
            in_cache(reports={"web": BROKEN}),
            sampled(probes(200, status=503)),
        )
    ],
    "RDS's API does not answer": [in_database(instance=GONE)],
}
MARKS = {Verdict.PASSED: "", Verdict.FAILED: "x", Verdict.INCOMPLETE: "?"}


def documented() -> dict[str, dict[str, str]]:
    """The table in the docstring: fault → area → x, ? or nothing."""
    lines = (verify.__doc__ or "").splitlines()
    head = next(number for number, line in enumerate(lines) if line.strip().startswith("fault "))
    starts = [lines[head].index(area) for area in AREAS]
    bounds = list(pairwise([*starts, 200]))
    rows = {}
    for line in lines[head + 1 :]:
        if not line.strip():
            break
        cells = [line[start:end].strip(" *") for start, end in bounds]
        rows[line[: starts[0]].strip()] = dict(zip(AREAS, cells, strict=True))
    return rows


def test_the_documented_faults_are_the_ones_tested() -> None:
    assert list(documented()) == list(FAULTS)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param(name, fault, id=f"{name} {number}")
        for name, ways in FAULTS.items()
        for number, fault in enumerate(ways)
    ],
)
def test_each_fault_fails_the_areas_that_are_documented_and_no_other(healthy: Facts, name: str, fault: Fault) -> None:
    outcome = verify.evaluate(fault(healthy))
    assert {area: MARKS[verdict] for area, verdict in outcome.areas.items()} == documented()[name]
    assert outcome.verdict is not Verdict.PASSED
    for check in outcome.checks:
        if check.status is not Status.PASSED:
            assert check.why, check
            assert check.next, check


def test_every_area_has_a_fault_that_fails_it_alone() -> None:
    alone = {
        next(area for area in row if row[area]) for row in documented().values() if sum(map(bool, row.values())) == 1
    }
    assert alone == set(AREAS)


def test_a_healthy_environment_passes_every_check(healthy: Facts) -> None:
    outcome = verify.evaluate(healthy)
    assert {check.status for check in outcome.checks} == {Status.PASSED}
    outcome.require_passed()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("healthy", together()),
        ("errors", sampled(probes(200, status=500, every=10))),
        ("primary_gone", FAULTS["PostgreSQL's primary is gone, or read-only"][0]),
        ("no_tasks", FAULTS["no task at all"][0]),
    ],
)
def test_the_record_is_as_it_was(healthy: Facts, name: str, fault: Fault) -> None:
    """To accept a change, delete the file and run once."""
    record = verify.evaluate(fault(healthy)).to_json() + "\n"
    path = GOLDEN / f"verify_{name}.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(record)
        pytest.fail(f"{path.name} was written: read it, then run again")
    assert json.loads(record) == json.loads(path.read_text())


def test_too_few_probes_are_not_checked_and_never_passed(healthy: Facts) -> None:
    checks = traffic.evaluate(replace(healthy.series[0], probes=probes(99), planned=99))
    assert [check.status for check in checks] == [Status.PASSED, Status.NOT_CHECKED]
    assert "a limit of 1 % needs 100 probes" in checks[1].why
    assert "probes=100" in checks[1].next


def test_a_small_sample_that_is_bad_enough_fails(healthy: Facts) -> None:
    two_of_fifty = replace(healthy.series[0], probes=probes(50, status=500, every=25), planned=50)
    assert traffic.evaluate(two_of_fifty)[1].status is Status.FAILED
    one_of_fifty = replace(healthy.series[0], probes=probes(50, status=500, every=50), planned=50)
    assert traffic.evaluate(one_of_fifty)[1].status is Status.NOT_CHECKED


def test_errors_are_told_apart_by_kind(healthy: Facts) -> None:
    mixed = (*probes(90), *probes(6, status=500), *probes(4, status=503))
    _, check = traffic.evaluate(replace(healthy.series[0], probes=mixed))
    assert check.measured == "10.0 % (10 of 100 probes)"
    assert check.why == "6 × status 500, 4 × status 503"


@pytest.mark.parametrize(("percent", "value"), [(50, 10), (95, 19), (99, 20), (100, 20), (1, 1)])
def test_percentiles_are_values_that_were_measured(percent: float, value: float) -> None:
    assert traffic.percentile([float(number) for number in range(1, 21)], percent) == value


@pytest.mark.parametrize(
    "fault",
    [
        in_database(session=database.Session(tls=True, connections=81, max_connections=100)),
        in_database(session=database.Session(tls=True, connections=1, max_connections=50)),
        endpoint(tasks=Tasks("ACTIVE", 1, 1), targets=OUT[:1]),
        in_cache(session=cache.Session(role="master", replicas=(("a", "online"),), memory_used=81, memory_limit=100)),
        in_cache(session=cache.Session(role="master", replicas=(("a", "online"),), memory_used=81, memory_limit=0)),
    ],
    ids=["connections", "max_connections", "scaled", "memory", "no maxmemory"],
)
def test_an_advisory_warns_and_does_not_fail(healthy: Facts, fault: Fault) -> None:
    outcome = verify.evaluate(fault(healthy))
    assert outcome.verdict is Verdict.PASSED
    assert outcome.summary.endswith("; 1 advisory to look at")
    outcome.require_passed()


def test_an_instance_that_is_being_backed_up_serves(healthy: Facts) -> None:
    backing_up = database.Instance("backing-up", "postgres", "15.18", True, "us-east-1b")
    assert verify.evaluate(in_database(instance=backing_up)(healthy)).verdict is Verdict.PASSED


def test_a_service_that_was_never_deployed_says_so(healthy: Facts) -> None:
    outcome = verify.evaluate(endpoint(tasks=Tasks("ACTIVE", 0, 0), targets=())(healthy))
    assert outcome.areas["endpoints"] is Verdict.FAILED
    assert any("no release is deployed" in check.why for check in outcome.checks)


def test_the_error_of_a_failed_verification_carries_every_finding_and_the_next_command(healthy: Facts) -> None:
    outcome = verify.evaluate(together(*FAULTS["a slow release"][:1], *FAULTS["its standby is gone"][:1])(healthy))
    with pytest.raises(ChecksFailed) as error:
        outcome.require_passed()
    text = str(error.value)
    assert "chatvrm local failed" in text
    assert "p95 3000" in text
    assert "no standby" in text
    assert "next: aws rds describe-events" in text
    assert error.value.outcome is outcome


def test_the_table_escapes_what_it_shows(healthy: Facts) -> None:
    outcome = verify.evaluate(endpoint(page=Answer(None, 5, 0.0, None, "<script>alert(1)</script>"))(healthy))
    bundle = outcome._repr_mimebundle_()
    assert "<script>" not in bundle["text/html"]
    assert "&lt;script&gt;" in bundle["text/html"]
    assert bundle["application/vnd.drydock.outcome+json"]["verdict"] == "failed"
    assert "next: curl -i" in bundle["text/plain"]


def test_the_plan_says_what_is_looked_at_and_asks_nobody(manifest: Manifest) -> None:
    shown = repr(verify.plan(manifest, VerifyParameters(probes=400)))
    for area in AREAS:
        assert f"{area}:" in shown
    assert "400 × GET / to each service at 40/s" in shown
    assert "Takes about 12 s. Changes nothing" in shown


def test_the_figure_shows_failed_probes_apart(healthy: Facts) -> None:
    outcome = verify.evaluate(sampled(probes(200, status=500, every=10))(healthy))
    over_time, distribution = outcome.plot().figure.axes
    labels = [text.get_text() for text in over_time.get_legend().get_texts()]
    assert labels == ["180 answered", "20 failed", "limit for p95: 2000 ms"]
    assert distribution.get_legend().get_texts()[0].get_text() == "p95 20 ms"


def test_names_of_areas_are_those_documented() -> None:
    assert (endpoints.AREA, database.AREA, cache.AREA, traffic.PERFORMANCE, traffic.ERROR_RATE) == AREAS
