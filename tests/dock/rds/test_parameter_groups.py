"""Parameter groups take effect: what can at once does, the rest with a reboot."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.dock.rds.rig import Dock, Instance, create, until

pytestmark = pytest.mark.dock


def parameter(name: str, value: str, method: str = "immediate") -> dict[str, str]:
    return {"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}


@pytest.fixture(scope="module")
def group(dock: Dock) -> str:
    dock.client().create_db_parameter_group(
        DBParameterGroupName="Tuned", DBParameterGroupFamily="postgres15", Description="for tests"
    )
    return "tuned"


@pytest.fixture(scope="module")
def tuned(dock: Dock, group: str) -> Instance:
    made = create(dock, "tuned", DBParameterGroupName=group)
    made.wait()
    return made


def modify(instance: Instance, *parameters: dict[str, str]) -> None:
    instance.rds.modify_db_parameter_group(DBParameterGroupName="tuned", Parameters=list(parameters))


def apply_status(instance: Instance) -> str:
    (group,) = instance.describe()["DBParameterGroups"]
    return str(group["ParameterApplyStatus"])


def show(instance: Instance, name: str) -> str:
    return str(instance.query(f"SHOW {name}"))


def test_a_dynamic_parameter_acts_at_once(tuned: Instance) -> None:
    modify(tuned, parameter("work_mem", "8192"), parameter("log_min_duration_statement", "250"))
    until(lambda: show(tuned, "work_mem") == "8MB", 10, "work_mem is 8 MB")
    assert show(tuned, "log_min_duration_statement") == "250ms"
    assert apply_status(tuned) == "in-sync"


def test_a_static_parameter_waits_for_the_reboot(tuned: Instance) -> None:
    before = show(tuned, "max_connections")
    modify(tuned, parameter("max_connections", "57", "pending-reboot"))
    assert apply_status(tuned) == "pending-reboot"
    assert show(tuned, "max_connections") == before
    tuned.rds.reboot_db_instance(DBInstanceIdentifier="tuned")
    tuned.wait()
    assert show(tuned, "max_connections") == "57"
    assert apply_status(tuned) == "in-sync"


def test_a_dynamic_parameter_may_wait_too(tuned: Instance) -> None:
    modify(tuned, parameter("statement_timeout", "12000", "pending-reboot"))
    assert apply_status(tuned) == "pending-reboot"
    assert show(tuned, "statement_timeout") == "0"
    tuned.rds.reboot_db_instance(DBInstanceIdentifier="tuned")
    tuned.wait()
    assert show(tuned, "statement_timeout") == "12s"


def test_a_formula_follows_the_class(tuned: Instance) -> None:
    modify(tuned, parameter("max_connections", "LEAST({DBInstanceClassMemory/9531392},100)", "pending-reboot"))
    tuned.rds.reboot_db_instance(DBInstanceIdentifier="tuned")
    tuned.wait()
    assert show(tuned, "max_connections") == "100"


def test_force_ssl_decides_about_sessions_without_tls(tuned: Instance) -> None:
    modify(tuned, parameter("rds.force_ssl", "0"))

    def plain() -> bool:
        try:
            return (
                tuned.query("SELECT NOT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", sslmode="disable") is True
            )
        except psycopg.OperationalError:
            return False

    until(plain, 10, "a session without TLS")
    modify(tuned, parameter("rds.force_ssl", "1"))
    until(lambda: not plain(), 10, "no session without TLS")


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        (parameter("no_such_thing", "1"), "InvalidParameterValue", "Could not find parameter with name: no_such_thing"),
        (parameter("work_mem", "lots"), "InvalidParameterValue", "allowed values are: 64-2147483647"),
        (parameter("work_mem", "1"), "InvalidParameterValue", "allowed values are"),
        (parameter("log_statement", "some"), "InvalidParameterValue", "none,ddl,mod,all"),
        (parameter("autovacuum", "maybe"), "InvalidParameterValue", "0,1"),
        (parameter("archive_command", "id"), "InvalidParameterValue", "cannot be modified"),
        (parameter("listen_addresses", "*"), "InvalidParameterValue", "cannot be modified"),
        (parameter("synchronous_standby_names", ""), "InvalidParameterValue", "cannot be modified"),
        (parameter("server_version", "1"), "InvalidParameterValue", "cannot be modified"),
        (parameter("max_connections", "99"), "InvalidParameterCombination", "static"),
        (
            parameter("shared_preload_libraries", "/tmp/evil", "pending-reboot"),
            "InvalidParameterValue",
            "allowed values",
        ),
        (parameter("log_line_prefix", "x'\narchive_command = 'id"), "InvalidParameterValue", "one line"),
        (parameter("max_connections", "{__import__('os')}", "pending-reboot"), "InvalidParameterValue", "formula"),
        (
            parameter("max_connections", "{DBInstanceClassMemory*99}", "pending-reboot"),
            "InvalidParameterValue",
            "allowed",
        ),
    ],
)
def test_nonsense_is_refused(tuned: Instance, wrong: dict[str, str], code: str, words: str) -> None:
    with pytest.raises(ClientError) as caught:
        modify(tuned, wrong)
    assert caught.value.response["Error"]["Code"] == code
    assert words in caught.value.response["Error"]["Message"]


def test_a_value_can_not_break_out_of_its_line(tuned: Instance) -> None:
    modify(tuned, parameter("log_line_prefix", "it's \\ %m "))
    until(lambda: show(tuned, "log_line_prefix") == "it's \\ %m ", 10, "the prefix as given")


def test_every_parameter_of_postgresql_is_listed_page_by_page(tuned: Instance) -> None:
    pages = tuned.rds.get_paginator("describe_db_parameters").paginate(DBParameterGroupName="tuned")
    listed: dict[str, dict[str, Any]] = {p["ParameterName"]: p for page in pages for p in page["Parameters"]}
    with tuned.connect() as session:
        real = {row[0] for row in session.execute("SELECT name FROM pg_settings WHERE name NOT LIKE '%.%'")}
    assert set(listed) == real | {"rds.force_ssl"}
    assert listed["max_connections"]["ApplyType"] == "static"
    assert listed["work_mem"] | {"Description": ""} == {
        "ParameterName": "work_mem",
        "ParameterValue": "8192",
        "Description": "",
        "Source": "user",
        "ApplyType": "dynamic",
        "DataType": "integer",
        "AllowedValues": "64-2147483647",
        "IsModifiable": True,
        "ApplyMethod": "immediate",
    }
    assert not listed["archive_command"]["IsModifiable"]
    chosen = tuned.rds.describe_db_parameters(DBParameterGroupName="tuned", Source="user")["Parameters"]
    assert {p["ParameterName"] for p in chosen} >= {"work_mem", "max_connections"}


def test_what_keeps_the_server_from_starting_makes_the_instance_incompatible_until_it_is_taken_back(
    tuned: Instance,
) -> None:
    # 8 TB of shared memory.
    modify(tuned, parameter("shared_buffers", "1073741823", "pending-reboot"))
    tuned.rds.reboot_db_instance(DBInstanceIdentifier="tuned")
    until(lambda: tuned.describe()["DBInstanceStatus"] == "incompatible-parameters", 60, "incompatible parameters")
    assert any("reboot failed" in message for message in tuned.messages())
    tuned.rds.reset_db_parameter_group(
        DBParameterGroupName="tuned",
        Parameters=[{"ParameterName": "shared_buffers", "ApplyMethod": "pending-reboot"}],
    )
    until(lambda: tuned.describe()["DBInstanceStatus"] != "rebooting", 10, "reboot possible")
    tuned.rds.reboot_db_instance(DBInstanceIdentifier="tuned")
    until(lambda: tuned.describe()["DBInstanceStatus"] == "available", 60, "available")
    assert show(tuned, "shared_buffers") == "16MB"


def test_a_group_in_use_and_the_default_group_stay(tuned: Instance) -> None:
    with pytest.raises(ClientError, match="still members"):
        tuned.rds.delete_db_parameter_group(DBParameterGroupName="tuned")
    with pytest.raises(ClientError, match="Default parameter group"):
        tuned.rds.delete_db_parameter_group(DBParameterGroupName="default.postgres15")


def test_another_group_acts_after_a_reboot(tuned: Instance) -> None:
    tuned.rds.modify_db_instance(DBInstanceIdentifier="tuned", DBParameterGroupName="default.postgres15")
    assert apply_status(tuned) == "pending-reboot"
    assert show(tuned, "work_mem") == "8MB"
    tuned.rds.reboot_db_instance(DBInstanceIdentifier="tuned")
    tuned.wait()
    assert apply_status(tuned) == "in-sync"
    assert show(tuned, "work_mem") == "4MB"
    tuned.rds.delete_db_parameter_group(DBParameterGroupName="tuned")
