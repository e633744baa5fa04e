"""`python -m chat.migrate [upgrade [REVISION] | downgrade REVISION | status]`: the application's role and its schema.

Runs with the master's credentials, which the service itself never sees. Says what it did as JSON lines.
Exit codes: 0 done (also when there was nothing to do), 1 failed, 2 wrong configuration or usage.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationInfo
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from chat import schema
from chat.database import conninfo
from chat.settings import ConfigurationError, MigrationSettings

LOCK_KEY = 0x63686174  # "chat"
LOCK_WAIT_SECONDS = 60.0
LOCK_TIMEOUT_SECONDS = 2
STATEMENT_TIMEOUT_SECONDS = 120
ATTEMPTS = 5
CONNECT_SECONDS = 20.0

RIGHTS = {
    "accounts": "SELECT, INSERT",
    "conversations": "SELECT, INSERT, UPDATE",
    "members": "SELECT, INSERT",
    "messages": "SELECT, INSERT",
    "characters": "SELECT, INSERT",
    "payments": "SELECT, INSERT, UPDATE",
    "alembic_version": "SELECT",
}
"""All that the application may do, table by table. No DDL, and no DELETE: the service has nothing to delete."""


class MigrationError(Exception):
    """Says what, why and what to do next."""


def say(event: str, **facts: object) -> None:
    print(json.dumps({"event": event, **facts}, default=str), flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m chat.migrate", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("upgrade", help="the default").add_argument("revision", nargs="?", default="head")
    commands.add_parser("downgrade", help="may throw away data").add_argument("revision")
    commands.add_parser("status", help="change nothing")
    chosen = parser.parse_args(arguments)
    try:
        settings = MigrationSettings.load()
    except ConfigurationError as error:
        say("refused", problems=error.problems)
        return 2
    try:
        with _master(settings) as master:
            if chosen.command == "status":
                say("status", schema=_revision(master), newest=schema.required())
            else:
                with _alone(master):
                    _role(master, settings)
                    _migrate(master, settings, chosen.command or "upgrade", getattr(chosen, "revision", "head"))
                    _rights(master, settings)
                _prove(settings)
    except (MigrationError, psycopg.Error, DBAPIError) as error:
        say("failed", problem=_without(str(error), settings))
        return 1
    return 0


def _master(settings: MigrationSettings) -> psycopg.Connection:
    user, password = settings.database_master_user, settings.database_master_password.get_secret_value()
    parameters = conninfo(settings, user=user, password=password, application="chat.migrate")
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return psycopg.connect(**parameters, autocommit=True)
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                raise MigrationError(f"the database refuses {user}: check DATABASE_MASTER_PASSWORD") from None
            if time.monotonic() > deadline:
                raise MigrationError(
                    f"the database did not answer in {CONNECT_SECONDS:.0f} s: {str(error).strip()}"
                ) from None
            time.sleep(1.0)


@contextmanager
def _alone(master: psycopg.Connection) -> Iterator[None]:
    """One migration at a time. The lock belongs to the connection: whoever is killed leaves it free."""
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    waited = False
    while not _one(master, "SELECT pg_try_advisory_lock(%s)", LOCK_KEY):
        if time.monotonic() > deadline:
            raise MigrationError(
                f"another migration has been running for {LOCK_WAIT_SECONDS:.0f} s: wait for it, then run this again"
            )
        if not waited:
            say("waiting", reason="another migration is running")
        waited = True
        time.sleep(0.5)
    try:
        yield
    finally:
        if not master.closed:
            master.execute("SELECT pg_advisory_unlock(%s)", (LOCK_KEY,))


def _role(master: psycopg.Connection, settings: MigrationSettings) -> None:
    """Create the application's role, or give it its current password."""
    role, password = settings.database_user, settings.database_password.get_secret_value()
    # Hashed here: a statement with the password itself would end up in the server's log.
    verifier = master.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    if not _one(master, "SELECT count(*) FROM pg_roles WHERE rolname = %s", role):
        master.execute(
            sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(verifier)
            )
        )
        say("role", role=role, action="created")
    elif _may_log_in(settings):
        say("role", role=role, action="unchanged")
    else:
        master.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))
        say("role", role=role, action="password updated")


def _may_log_in(settings: MigrationSettings) -> bool:
    try:
        _application(settings).close()
    except psycopg.OperationalError:
        return False
    return True


def _application(settings: MigrationSettings) -> psycopg.Connection:
    password = settings.database_password.get_secret_value()
    parameters = conninfo(settings, user=settings.database_user, password=password, application="chat.migrate check")
    return psycopg.connect(**parameters, autocommit=True)


def _migrate(master: psycopg.Connection, settings: MigrationSettings, direction: str, revision: str) -> None:
    """Bring the schema to a revision. Going up never goes down, and the other way round: an older release finds a
    newer schema and leaves it alone."""
    target, before = _target(revision), _revision(master)
    if direction == "upgrade" and (before or "") > target:
        say("schema", action="unchanged", schema=before, reason=f"is newer than {target}, and works for this release")
        return
    if (before or "") == target or (direction == "downgrade" and (before or "") < target):
        say("schema", action="unchanged", schema=before)
        return
    if before is not None and before not in _known():
        raise MigrationError(f"the schema is at {before}, and this release can't go down from what it does not know")
    started = time.monotonic()
    _patiently(lambda: _alembic(settings, direction, target or "base"))
    if (after := _revision(master) or "") != target:
        raise MigrationError(f"the schema is at {after or 'base'} instead of {target or 'base'}: look with `status`")
    seconds = round(time.monotonic() - started, 2)
    say("schema", action=f"{direction}d", before=before, after=after or None, seconds=seconds)


def _alembic(settings: MigrationSettings, direction: str, target: str) -> None:
    user, password = settings.database_master_user, settings.database_master_password.get_secret_value()
    parameters = conninfo(settings, user=user, password=password, application="chat.migrate")
    parameters["options"] = f"-c lock_timeout={LOCK_TIMEOUT_SECONDS}s -c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s"
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(**parameters), poolclass=NullPool)
    config = _config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        config.attributes["on_version_apply"] = _applied
        (command.upgrade if direction == "upgrade" else command.downgrade)(config, target)


def _applied(*, step: MigrationInfo, **_: object) -> None:
    before, after = ", ".join(step.source_revision_ids), ", ".join(step.destination_revision_ids)
    say("migration", before=before or None, after=after or None)


def _patiently(work: Callable[[], None]) -> None:
    """Again when a table was locked: a short lock_timeout keeps the queue behind us short, retries get us there."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            work()
            return
        except DBAPIError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
                raise
            if attempt == ATTEMPTS:
                raise MigrationError(
                    f"a table stayed locked through {ATTEMPTS} attempts of {LOCK_TIMEOUT_SECONDS} s. Nothing half-done"
                    " remains. Find the holder in pg_stat_activity, then run this again"
                ) from None
            say("retry", attempt=attempt, reason="a table is locked")
            time.sleep(0.5 * 2 ** (attempt - 1))


def _rights(master: psycopg.Connection, settings: MigrationSettings) -> None:
    """Take all rights away and give back those of RIGHTS, in one transaction: nobody sees the state between."""
    role = sql.Identifier(settings.database_user)
    database = sql.Identifier(settings.database_name)
    granted = {}
    with master.transaction():
        master.execute(sql.SQL("SET LOCAL lock_timeout = '2s'"))
        master.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        master.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        master.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))
        master.execute(sql.SQL("REVOKE ALL ON SCHEMA public FROM {}").format(role))
        master.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role))
        master.execute(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(role))
        for table, rights in RIGHTS.items():
            if _one(master, "SELECT to_regclass(%s) IS NOT NULL", f"public.{table}"):
                statement = sql.SQL("GRANT {} ON TABLE public.{} TO {}")
                master.execute(statement.format(sql.SQL(rights), sql.Identifier(table), role))
                granted[table] = rights
    say("rights", role=settings.database_user, granted=granted)


def _prove(settings: MigrationSettings) -> None:
    """Log in as the application and look: a role that can't log in, or can do more than it should, is a failure."""
    try:
        with _application(settings) as connection:
            if _one(connection, "SELECT has_schema_privilege('public', 'CREATE')"):
                raise MigrationError(f"{settings.database_user} may create tables: its rights are wider than meant")
            say("ready", role=settings.database_user, schema=_revision(connection))
    except psycopg.OperationalError as error:
        raise MigrationError(f"{settings.database_user} can't log in: {str(error).strip()}") from None


def _known() -> list[str]:
    return sorted(step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions())


def _target(revision: str) -> str:
    """A revision's number; that of `base`, before the first, is empty."""
    known = _known()
    if revision == "head":
        return known[-1]
    if revision not in (*known, "base"):
        raise MigrationError(f"there is no revision {revision} here: one of {', '.join(known)}, base")
    return "" if revision == "base" else revision


def _revision(connection: psycopg.Connection) -> str | None:
    if not _one(connection, "SELECT to_regclass('public.alembic_version') IS NOT NULL"):
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _one(connection: psycopg.Connection, query: LiteralString, *values: object) -> object:
    row = connection.execute(query, values).fetchone()
    return row[0] if row else None


def _without(message: str, settings: MigrationSettings) -> str:
    for secret in (settings.database_password, settings.database_master_password):
        message = message.replace(secret.get_secret_value(), "[redacted]")
    return message


if __name__ == "__main__":
    sys.exit(main())
