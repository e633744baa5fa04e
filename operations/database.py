"""Is the database there, does it read and write, is its standby in place, is it near a limit?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operations.checks import Check, judge, not_checked
from operations.endpoints import Answer, ask, sub_checks
from operations.manifest import Database, Thresholds
from operations.observation import Missing, observe
from operations.redaction import redact

if TYPE_CHECKING:
    from operations.target import Target

AREA = "database"
SESSION_SECONDS = 20.0
#: RDS's states in which an instance serves.
SERVING = frozenset({"available", "backing-up", "storage-optimization"})


@dataclass(frozen=True, slots=True)
class Instance:
    """What RDS says. `secondary_zone` is where the standby is, None without one."""

    status: str
    engine: str
    version: str
    multi_az: bool
    secondary_zone: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """What a session of the application's role saw. Times in seconds; `error` is set when the session failed.

    `connections` counts every client's session on the server, this one included.
    """

    error: str = ""
    connect_seconds: float = 0.0
    select_seconds: float = 0.0
    tls: bool = False
    write_error: str = ""
    connections: int = 0
    max_connections: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """`applications` are the services' own reports by service name: their database health path and health
    path.
    """

    database: Database
    thresholds: Thresholds
    region: str
    instance: Instance | Missing | None
    session: Session | Missing
    applications: dict[str, tuple[str, Answer]]
    reports: dict[str, Answer]


def gather(target: Target, reports: dict[str, Answer]) -> Observed:
    """`reports` are the answers of the services' health paths, which the endpoints' part has asked for
    already.
    """
    manifest = target.manifest
    database = manifest.database
    secret = database.application_secret
    read_secret = f"aws secretsmanager describe-secret --region {manifest.region} --secret-id {secret}"
    return Observed(
        database=database,
        thresholds=manifest.thresholds,
        region=manifest.region,
        instance=observe(lambda: _instance(target), next=_command(database, manifest.region)),
        session=observe(lambda: _session(target), next=read_secret, seconds=SESSION_SECONDS + 30),
        applications={
            name: (url, ask(target, url))
            for name, service in manifest.services.items()
            if (url := service.url + service.database_health_path)
        },
        reports=reports,
    )


def latency_seconds(body: Any) -> float | None:
    """The `latency_ms` of a database health report, in seconds; None without one."""
    value = body.get("latency_ms") if isinstance(body, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value / 1000


def evaluate(seen: Observed) -> list[Check]:
    return [
        *_evaluate_instance(seen),
        *_evaluate_session(seen),
        *(_evaluate_application(seen, name) for name in seen.applications),
        *_evaluate_reports(seen),
    ]


def _evaluate_instance(seen: Observed) -> list[Check]:
    database = seen.database
    command = _command(database, seen.region)
    expected = {"instance": "available (or backing up), engine postgres"}
    if database.multi_az:
        expected["standby"] = "Multi-AZ with a standby in a second zone"
    if isinstance(seen.instance, Missing):
        return [
            not_checked(AREA, database.identifier, name, seen.instance, expected=text)
            for name, text in expected.items()
        ]
    if seen.instance is None:
        why = f"RDS knows no instance {database.identifier} in {seen.region}"
        return [
            judge(AREA, database.identifier, name, False, measured="none", expected=text, why=why, next=command)
            for name, text in expected.items()
        ]
    instance = seen.instance
    checks = [
        judge(
            AREA,
            database.identifier,
            "instance",
            instance.status in SERVING and instance.engine == "postgres",
            measured=f"{instance.status}, {instance.engine} {instance.version}",
            expected=expected["instance"],
            why=f"RDS says {instance.status}" if instance.status not in SERVING else "it is another engine",
            next=command,
        )
    ]
    if database.multi_az:
        measured = f"standby in {instance.secondary_zone}" if instance.secondary_zone else "no standby"
        checks.append(
            judge(
                AREA,
                database.identifier,
                "standby",
                instance.multi_az and instance.secondary_zone is not None,
                measured=measured if instance.multi_az else "Single-AZ",
                expected=expected["standby"],
                why="if the primary is lost now, nothing takes over",
                next=f"aws rds describe-events --region {seen.region} --source-type db-instance"
                f" --source-identifier {database.identifier} --duration 60",
            )
        )
    return checks


def _evaluate_session(seen: Observed) -> list[Check]:
    database, limits = seen.database, seen.thresholds
    expected = {
        "connection": f"the role {database.application_role} connects over TLS and can select",
        "write": "a write commits, on the synchronous standby as well",
        "connections used": f"at most {limits.connections_percent:g} % of max_connections",
        "max_connections": f"{database.max_connections}, as the manifest says",
    }
    if isinstance(seen.session, Missing):
        return [
            not_checked(AREA, database.identifier, name, seen.session, expected=text, critical=name in _CRITICAL)
            for name, text in expected.items()
        ]
    session = seen.session
    command = _command(database, seen.region)
    connected = judge(
        AREA,
        database.identifier,
        "connection",
        not session.error and session.tls,
        measured="no session"
        if session.error
        else f"connected in {_ms(session.connect_seconds)}, select 1 in "
        f"{_ms(session.select_seconds)}, {'TLS' if session.tls else 'NO TLS'}",
        expected=expected["connection"],
        why=session.error or "the session is not encrypted",
        next=command,
        value=session.select_seconds,
    )
    if session.error:
        missing = Missing("there was no session to check it in", command)
        rest = [
            not_checked(AREA, database.identifier, name, missing, expected=text, critical=name in _CRITICAL)
            for name, text in expected.items()
            if name != "connection"
        ]
        return [connected, *rest]
    used = 100.0 * session.connections / session.max_connections
    return [
        connected,
        judge(
            AREA,
            database.identifier,
            "write",
            not session.write_error,
            measured="committed" if not session.write_error else "refused",
            expected=expected["write"],
            why=session.write_error,
            next=command,
        ),
        judge(
            AREA,
            database.identifier,
            "connections used",
            used <= limits.connections_percent,
            critical=False,
            measured=f"{session.connections} of {session.max_connections} ({used:.0f} %)",
            expected=expected["connections used"],
            why="close to the limit, new sessions will be refused",
            next="in psql: select usename, count(*) from pg_stat_activity group by 1 order by 2 desc",
            value=used,
        ),
        judge(
            AREA,
            database.identifier,
            "max_connections",
            session.max_connections == database.max_connections,
            critical=False,
            measured=str(session.max_connections),
            expected=expected["max_connections"],
            why="the parameter group differs, or waits for a reboot",
            next="`pulumi up`; where the parameter group then waits for a reboot (it interrupts sessions):"
            f" aws rds reboot-db-instance --region {seen.region}"
            f" --db-instance-identifier {database.identifier}",
            value=session.max_connections,
        ),
    ]


_CRITICAL = frozenset({"connection", "write"})


def _evaluate_application(seen: Observed, name: str) -> Check:
    url, answer = seen.applications[name]
    limit = seen.thresholds.database_latency_seconds
    expected = f"its queries take at most {_ms(limit)}"
    command = f"curl -s {url}"
    report = answer.body if isinstance(answer.body, dict) else None
    if answer.status is None or report is None:
        # It said nothing of its database: that speaks for the endpoints, not for the database.
        why = answer.error or f"{url} answered {answer.status} without a report in JSON"
        return not_checked(AREA, name, "latency from the service", Missing(why, command), expected=expected)
    # A check that failed was fast or slow for another reason than the database's speed.
    latency = latency_seconds(report) if answer.status < 400 else None
    why = "the database is slow, or the way to it"
    if latency is None:
        why = redact(str(report.get("problem") or f"it answered {answer.status} without a latency"))
    return judge(
        AREA,
        name,
        "latency from the service",
        latency is not None and latency <= limit,
        measured="none" if latency is None else _ms(latency),
        expected=expected,
        why=why,
        next=command,
        value=latency,
    )


def _evaluate_reports(seen: Observed) -> list[Check]:
    """What the services' health reports say of the database; one that doesn't mention it is left out."""
    checks = []
    for name, answer in seen.reports.items():
        reported = (sub_checks(answer.body) or {}).get(AREA)
        if reported is not None:
            checks.append(reported_check(AREA, name, reported))
    return checks


def reported_check(area: str, service: str, reported: tuple[bool, str]) -> Check:
    """The check on a service's own report of one of its dependencies."""
    ok, said = reported
    return judge(
        area,
        service,
        "the service's own report",
        ok,
        measured=said,
        expected="ok",
        why=f"the service can't use its {area}: {said}",
        next="read the other checks of this area first; if they passed, look at the service's logs",
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _instance(target: Target) -> Instance | None:
    from botocore.exceptions import ClientError

    identifier = target.manifest.database.identifier
    try:
        answer = target.client("rds").describe_db_instances(DBInstanceIdentifier=identifier)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("DBInstanceNotFound", "DBInstanceNotFoundFault"):
            return None
        raise
    found = answer["DBInstances"][0]
    return Instance(
        status=found["DBInstanceStatus"],
        engine=found["Engine"],
        version=found["EngineVersion"],
        multi_az=found["MultiAZ"],
        secondary_zone=found.get("SecondaryAvailabilityZone"),
    )


def _session(target: Target) -> Session:
    import psycopg

    from operations.deadline import within

    # Read apart from the session: a secret that can't be read says nothing of the database.
    target.secret(target.manifest.database.application_secret, "username", "password")
    try:
        return within(SESSION_SECONDS, lambda: _look_around(target))
    except (psycopg.Error, TimeoutError) as error:
        return Session(error=_first_line(error))


def _look_around(target: Target) -> Session:
    """Nothing stays behind: the one write is a message that no table keeps."""
    import psycopg

    start = time.perf_counter()
    with target.database() as connection:
        connected = time.perf_counter() - start
        start = time.perf_counter()
        connection.execute("select 1")
        selected = time.perf_counter() - start
        # numbackends, because a role without pg_monitor sees other sessions' kind as null in
        # pg_stat_activity.
        row = connection.execute(
            "select (select coalesce(sum(numbackends), 0) from pg_stat_database),"
            " current_setting('max_connections')::int"
        ).fetchone()
        assert row is not None
        write_error = ""
        try:
            connection.rollback()
            # A message in the write-ahead log: a write that needs no table and no right beyond connecting, is
            # refused by a standby, and commits only when the synchronous standby has it.
            written = connection.execute(
                "select current_setting('transaction_read_only'), pg_logical_emit_message(true, 'drydock', 'verify')"
            ).fetchone()
            connection.commit()
            # A read-only session may still write a message.
            if written is None or written[0] != "off":
                write_error = "sessions of this role are read-only"
        except psycopg.Error as error:
            write_error = _first_line(error)
        return Session(
            connect_seconds=connected,
            select_seconds=selected,
            tls=connection.pgconn.ssl_in_use,
            write_error=write_error,
            connections=int(row[0]),
            max_connections=int(row[1]),
        )


def _first_line(error: BaseException) -> str:
    return redact((str(error).strip() or type(error).__name__).splitlines()[0])


def _command(database: Database, region: str) -> str:
    return f"aws rds describe-db-instances --region {region} --db-instance-identifier {database.identifier}"
