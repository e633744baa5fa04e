"""Each fault on real engines fails its own area alone."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from operations import verify
from operations.checks import Outcome, Status, Verdict
from operations.parameters import VerifyParameters
from operations.target import Target
from tests.operations.cloud import AwsRefusal
from tests.operations.environment import CANARY, Environment, running, until

pytestmark = pytest.mark.dock

PARAMETERS = VerifyParameters(probes=100, probes_per_second=100.0)
Fault = Callable[[Environment], Any]


@pytest.fixture
def environment(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    with running(document) as environment:
        monkeypatch.setenv("PGSSLROOTCERT", str(environment.ca))
        monkeypatch.setenv("SSL_CERT_FILE", str(environment.ca))
        yield environment


def look(environment: Environment, parameters: VerifyParameters = PARAMETERS) -> Outcome:
    with environment.cloud.serve() as url, pytest.MonkeyPatch.context() as shell:
        shell.setenv("AWS_ENDPOINT_URL", url)
        return verify.verify(Target.open(parameters), parameters)


def kill(name: str) -> Fault:
    def fault(environment: Environment) -> None:
        environment.processes[name].kill()
        environment.processes[name].wait(10)

    return fault


def freeze(name: str) -> Fault:
    """A server that hangs: the kernel still accepts connections for it."""
    return lambda environment: environment.processes[name].send_signal(signal.SIGSTOP)


def set_service(**behaviour: Any) -> Fault:
    def fault(environment: Environment) -> None:
        for name, value in behaviour.items():
            setattr(environment.service, name, value)

    return fault


def unhealthy_target(environment: Environment) -> None:
    targets = environment.cloud.answers["DescribeTargetHealth"]["TargetHealthDescriptions"]  # type: ignore[index]
    targets[1]["TargetHealth"] = {"State": "unhealthy", "Reason": "Target.Timeout"}


def no_standby(environment: Environment) -> None:
    del environment.cloud.answers["DescribeDBInstances"]["DBInstances"][0]["SecondaryAvailabilityZone"]  # type: ignore[index]


def wrong_token(environment: Environment) -> None:
    environment.document["cache"]["secret"] = environment.document["database"]["application_secret"].replace("app", "x")
    answers = environment.cloud.answers
    told = answers["GetSecretValue"]
    answers["GetSecretValue"] = lambda request: (
        {"SecretString": '{"auth_token": "canary-wrong"}'} if ":secret:x" in request["SecretId"] else told(request)  # type: ignore[operator]
    )


def read_only(environment: Environment) -> None:
    with psycopg.connect(
        host="127.0.0.1", port=environment.document["database"]["port"], dbname="chat", user="chat_app", password=CANARY
    ) as connection:
        connection.execute("alter role chat_app set default_transaction_read_only = on")


def replica_gone(environment: Environment) -> None:
    import redis

    kill("redis-replica")(environment)
    port = environment.document["cache"]["port"]
    with redis.Redis(port=port, password=CANARY, ssl=True, ssl_ca_certs=str(environment.ca)) as client:
        until(lambda: client.info("replication")["connected_slaves"] == 0)


def test_a_healthy_environment_passes_every_check(environment: Environment) -> None:
    outcome = look(environment)
    assert {check.status for check in outcome.checks} == {Status.PASSED}, repr(outcome)
    assert outcome.measurements["web.probes"] == 100
    assert 0 < outcome.measurements["database.select_seconds"] < 1
    assert 0 < outcome.measurements["cache.ping_seconds"] < 1
    outcome.require_passed()


@pytest.mark.parametrize(
    ("fault", "area"),
    [
        pytest.param(unhealthy_target, "endpoints", id="a target is unhealthy"),
        pytest.param(set_service(problems={"disk": "12 MiB free"}), "endpoints", id="a full disk is reported"),
        pytest.param(kill("postgres"), "database", id="the primary is killed"),
        pytest.param(read_only, "database", id="the database is read-only"),
        pytest.param(no_standby, "database", id="there is no standby"),
        pytest.param(kill("redis"), "cache", id="redis is killed"),
        pytest.param(freeze("redis"), "cache", id="redis hangs"),
        pytest.param(replica_gone, "cache", id="the replica is killed"),
        pytest.param(wrong_token, "cache", id="the auth token is another"),
        pytest.param(set_service(slow_seconds=2.2), "performance", id="a slow release"),
        pytest.param(set_service(error_share=0.1), "error rate", id="a release with 10 % errors"),
    ],
)
def test_a_fault_fails_its_own_area_alone(environment: Environment, fault: Fault, area: str) -> None:
    fault(environment)
    outcome = look(environment)
    assert outcome.failed_areas == [area], repr(outcome)
    assert {name for name, verdict in outcome.areas.items() if verdict is not Verdict.PASSED} == {area}
    assert CANARY not in repr(outcome) + outcome.to_json() + outcome._repr_mimebundle_()["text/html"]


def test_a_database_that_hangs_fails_in_bounded_time(environment: Environment) -> None:
    freeze("postgres")(environment)
    outcome = look(environment)
    assert outcome.failed_areas == ["database"], repr(outcome)
    assert outcome.seconds < 60


def test_a_certificate_that_is_not_trusted_fails_the_connection(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", "/etc/ssl/certs/ca-certificates.crt")
    outcome = look(environment)
    assert outcome.failed_areas == ["database"]
    assert any("certificate verify failed" in check.why for check in outcome.checks), repr(outcome)


def test_a_secret_that_can_not_be_read_leaves_its_checks_not_checked(environment: Environment) -> None:
    environment.cloud.answers["GetSecretValue"] = AwsRefusal("AccessDeniedException", "not for you")
    outcome = look(environment)
    assert outcome.verdict is Verdict.INCOMPLETE
    assert {area for area, verdict in outcome.areas.items() if verdict is Verdict.INCOMPLETE} == {"database", "cache"}
    assert any("not for you" in check.why for check in outcome.checks)


@contextmanager
def connections(environment: Environment, count: int) -> Iterator[None]:
    port = environment.document["database"]["port"]
    held = [
        psycopg.connect(host="127.0.0.1", port=port, dbname="chat", user="chat_app", password=CANARY)
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for connection in held:
            connection.close()


def test_many_connections_are_an_advisory(environment: Environment) -> None:
    with connections(environment, 82):
        outcome = look(environment)
    assert outcome.verdict is Verdict.PASSED
    (used,) = [check for check in outcome.checks if check.name == "connections used"]
    assert used.status is Status.FAILED
    assert used.value is not None
    assert 83 <= used.value <= 85
