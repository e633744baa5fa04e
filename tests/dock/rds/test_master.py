"""The master can do what RDS's can, and nothing that reaches the host."""

from __future__ import annotations

import psycopg
import pytest

from tests.dock.rds.rig import PASSWORD, Instance

pytestmark = pytest.mark.dock

DENIED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject, psycopg.errors.ReservedName)


def test_the_master_is_no_superuser_but_a_member_of_rds_superuser(instance: Instance) -> None:
    assert instance.query(
        "SELECT NOT rolsuper AND rolcreaterole AND rolcreatedb FROM pg_roles WHERE rolname = 'captain'"
    )
    assert instance.query("SELECT pg_has_role('rds_superuser', 'member') AND pg_has_role('pg_monitor', 'usage')")
    assert instance.query("SELECT count(*) FROM pg_stat_activity WHERE query IS NOT NULL") > 0


def test_what_an_application_needs_works(instance: Instance) -> None:
    instance.execute(
        "CREATE ROLE chat_app LOGIN PASSWORD 'Another-secret-1'",
        "GRANT chat_app TO captain",
        "CREATE DATABASE second OWNER chat_app",
        "CREATE EXTENSION pg_trgm",
        "CREATE EXTENSION pgcrypto",
        "CREATE TABLE ship (id int PRIMARY KEY)",
        "GRANT SELECT ON ship TO chat_app",
        "SET session_replication_role = replica",
        "CHECKPOINT",
    )
    assert instance.query("SELECT count(*) FROM ship", user="chat_app", password="Another-secret-1") == 0
    with instance.connect(user="chat_app", password="Another-secret-1") as other:
        assert instance.query(f"SELECT pg_terminate_backend({other.info.backend_pid})")


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/drydock-test-file'",
        "COPY ship FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "GRANT pg_execute_server_program TO captain",
        "GRANT pg_read_server_files TO captain",
        "GRANT pg_write_server_files TO captain",
        "CREATE ROLE pg_execute_server_program",
        "CREATE ROLE thief SUPERUSER",
        "ALTER ROLE captain SUPERUSER",
        "ALTER ROLE captain REPLICATION",
        "GRANT rdsadmin TO captain",
        "ALTER ROLE rdsadmin PASSWORD 'x'",
        "SET ROLE rdsadmin",
        "CREATE EXTENSION file_fdw",
        "CREATE EXTENSION dblink",
        "CREATE EXTENSION adminpack",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'system'",
        "LOAD '/tmp/evil.so'",
        "ALTER SYSTEM SET archive_command = 'id'",
        "CREATE TABLESPACE t LOCATION '/tmp'",
        "CREATE SUBSCRIPTION s CONNECTION 'host=/tmp user=rdsadmin' PUBLICATION p",
        "INSERT INTO pg_auth_members SELECT 4569, oid, 10, true FROM pg_roles WHERE rolname = 'captain'",
        "UPDATE pg_database SET datdba = 10",
        "DROP DATABASE rdsadmin",
    ],
)
def test_the_host_and_the_docks_own_roles_are_out_of_reach(instance: Instance, statement: str) -> None:
    with pytest.raises(DENIED):
        instance.execute("CREATE TABLE IF NOT EXISTS ship (id int PRIMARY KEY)", statement)


def test_granting_itself_every_role_does_not_help_the_master(instance: Instance) -> None:
    """Before PostgreSQL 16 a role with CREATEROLE may grant itself nearly all."""
    with instance.connect() as session:
        roles = session.execute("SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname <> 'captain'").fetchall()
        for (role,) in roles:
            if role != "pg_database_owner":
                session.execute(f'GRANT "{role}" TO captain')
        for statement in (
            "COPY (SELECT 1) TO PROGRAM 'id'",
            "COPY ship FROM '/etc/passwd'",
            "SELECT pg_read_file('/etc/passwd')",
            "INSERT INTO pg_auth_members SELECT 4569, oid, 10, true FROM pg_roles WHERE rolname = 'captain'",
            "UPDATE pg_authid SET rolsuper = true",
        ):
            with pytest.raises(DENIED):
                session.execute(statement)
        # It may read the catalogue of roles now; the dock's superuser has no password there to find.
        row = session.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'rdsadmin'").fetchone()
        assert row == (None,)


def test_the_group_of_masters_can_not_be_dropped(instance: Instance) -> None:
    with instance.connect() as session:
        session.execute("DROP OWNED BY rds_superuser")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            session.execute("DROP ROLE rds_superuser")
        session.execute("GRANT rds_superuser TO captain")


def test_the_docks_superuser_and_its_database_are_not_reachable_over_the_network(instance: Instance) -> None:
    for options in (
        {"user": "rdsadmin", "password": "x"},
        {"dbname": "rdsadmin"},
        {"user": "rdsadmin", "password": ""},
    ):
        with pytest.raises(psycopg.OperationalError, match=r"rejects connection|no password supplied"):
            instance.connect(**options)


def test_nothing_listens_beyond_loopback(instance: Instance) -> None:
    assert instance.query("SHOW listen_addresses").startswith("127.")
    socket_folder = instance.query("SELECT setting FROM pg_settings WHERE name = 'unix_socket_directories'")
    assert socket_folder.startswith(str(instance.dock.home))


def test_no_file_of_the_server_is_readable_by_others(instance: Instance) -> None:
    resource = instance.describe()["DbiResourceId"]
    folder = instance.dock.home / "rds" / resource
    data = folder / "a" / "data"
    assert data.stat().st_mode & 0o077 == 0
    assert (folder / "tls" / "server.key").stat().st_mode & 0o077 == 0
    assert PASSWORD not in (data / "postgresql.conf").read_text()
