"""Configuration, the task's address and the log, without engines."""

import io
import json
import logging
import sys

import pytest
from chat import logs
from chat.settings import ConfigurationError, MigrationSettings, Settings
from chat.task import TaskError, discover, from_metadata

GOOD = {
    "PLATFORM": "chatvrm",
    "ENVIRONMENT": "local",
    "DATABASE_HOST": "127.65.2.1",
    "DATABASE_NAME": "chat",
    "DATABASE_USER": "chat_app",
    "DATABASE_PASSWORD": "canary-database",
    "PGSSLROOTCERT": __file__,
    "CACHE_HOST": "127.65.3.1",
    "CACHE_AUTH_TOKEN": "canary-cache",
}


def problems(environ: dict[str, str], model: type[Settings] | type[MigrationSettings] = Settings) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        model.load(environ)
    assert "canary" not in str(refused.value)
    return refused.value.problems


def test_the_defaults_are_the_safe_ones():
    settings = Settings.load(GOOD)
    assert (settings.port, settings.database_port, settings.cache_port) == (8080, 5432, 6379)
    assert settings.database_sslmode == "verify-full"
    assert settings.cache_tls is True
    assert settings.chat_fault is None
    assert "canary" not in repr(settings)
    assert set(settings.secrets()) == {"canary-database", "canary-cache"}


def test_all_problems_are_told_at_once():
    told = problems(GOOD | {"DATABASE_HOST": "", "PORT": "80800", "CACHE_TLS": "maybe", "DATABASE_SSLMODE": "on"})
    assert {problem.split(":")[0].split(" ")[0] for problem in told} == {
        "DATABASE_HOST",
        "PORT",
        "CACHE_TLS",
        "DATABASE_SSLMODE",
    }
    assert "DATABASE_HOST is not set" in told
    assert "CACHE_TLS: must be true or false" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"PGSSLROOTCERT": ""}, "PGSSLROOTCERT is not set: DATABASE_SSLMODE=verify-full needs an authority to trust"),
        ({"PGSSLROOTCERT": "/nowhere"}, "PGSSLROOTCERT names a file that can't be read"),
        ({"SSL_CERT_FILE": "/nowhere"}, "SSL_CERT_FILE names a file that can't be read"),
        (
            {"CACHE_TLS": "false"},
            "CACHE_AUTH_TOKEN is set but CACHE_TLS is false: the token would travel in clear text",
        ),
        ({"DRAIN_SECONDS": "30"}, "DRAIN_SECONDS must be shorter than SHUTDOWN_SECONDS"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(change, told):
    assert problems(GOOD | change) == [told]


def test_a_migration_needs_the_masters_credentials_and_a_role_of_its_own():
    told = problems(GOOD, MigrationSettings)
    assert told == ["DATABASE_MASTER_USER is not set", "DATABASE_MASTER_PASSWORD is not set"]
    same = {"DATABASE_MASTER_USER": "chat_app", "DATABASE_MASTER_PASSWORD": "canary"}
    assert "needs a role of its own" in problems(GOOD | same, MigrationSettings)[0]


METADATA = {
    "TaskARN": "arn:aws:ecs:us-east-1:000000000001:task/chatvrm-local/0123456789abcdef",
    "Limits": {"CPU": 0.25, "Memory": 512},
    "Containers": [{"Name": "web", "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["127.65.8.3"]}]}],
}


def test_a_task_knows_its_address_from_the_metadata():
    task = from_metadata(METADATA)
    assert (task.name, task.address) == ("0123456789abcdef", "127.65.8.3")
    assert task.memory_limit_bytes == 512 * 1024 * 1024


@pytest.mark.parametrize(
    "containers",
    [[], [{}], [{"Networks": [{"IPv4Addresses": []}]}], [{"Networks": [{"IPv4Addresses": ["0.0.0.0"]}]}]],
)
def test_a_task_without_an_address_of_its_own_does_not_start(containers):
    with pytest.raises(ValueError, match="address"):
        from_metadata(METADATA | {"Containers": containers})


def test_an_agent_that_does_not_answer_is_an_error_and_no_reason_for_loopback(monkeypatch):
    monkeypatch.setattr("chat.task.ATTEMPTS", 2)
    monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", "http://127.0.0.1:9/v4/none")
    with pytest.raises(TaskError, match="no address after 2 attempts"):
        discover()
    monkeypatch.delenv("ECS_CONTAINER_METADATA_URI_V4")
    assert discover().address == "127.0.0.1"


def test_a_secret_is_cut_out_of_a_log_line_wherever_it_stands(monkeypatch):
    output, secret = io.StringIO(), 'pass"wörd' + "\\1"
    monkeypatch.setattr(sys, "stdout", output)
    kept = logging.root.handlers[:], logging.root.level
    try:
        logs.configure(level="INFO", constants={"release": "1"}, secrets=[secret])
        try:
            raise ValueError(f"it was {secret}")
        except ValueError:
            logging.getLogger("t").exception(f"with {secret}", extra={"detail": {"deep": secret}})
    finally:
        logging.root.handlers[:], logging.root.level = kept
    line = json.loads(output.getvalue())
    assert "pass" not in output.getvalue().replace("[redacted]", "")
    assert line["message"] == "with [redacted]"
    assert line["release"] == "1"
    assert "ValueError" in line["exception"]
