"""Who may do what: the dock's own superuser, and a master who is none.

The master gets CREATEROLE, and before PostgreSQL 16 a role with CREATEROLE may grant itself any role that isn't a
superuser, `pg_execute_server_program` among them: `COPY … TO PROGRAM` would then run commands on the host. No hook
that SQL offers sees a GRANT of a role. So the three predefined roles that open the server's files and programs are
removed from the catalogue: what doesn't exist can't be granted, `pg_…` names can't be created, and PostgreSQL checks
these roles by fixed object ids that no new role can get.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import pwd

from psycopg import AsyncConnection, sql

# The dock's superuser; it comes in through the Unix socket alone, so it needs no password.
ADMIN = "rdsadmin"
# The dock's own database, closed to everyone else.
ADMIN_DATABASE = "rdsadmin"
MASTER_GROUP = "rds_superuser"

_HOST_ROLES = ("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files")
_GROUP_MEMBERSHIPS = ("pg_monitor", "pg_signal_backend", "pg_checkpoint")
_SCRAM_ITERATIONS = 4096


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores instead of the password (RFC 5803): the server never sees the password itself.

    The password must be ASCII, for which SASLprep changes nothing.
    """
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _SCRAM_ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def host_based_authentication(*, force_tls: bool) -> str:
    """The text of `pg_hba.conf`."""
    lines = [
        f"local   all            {ADMIN}  peer map=dock",
        f"local   replication    {ADMIN}  peer map=dock",
        "local   all            all  reject",
        f"host    all            {ADMIN}  all  reject",
        f"host    {ADMIN_DATABASE}  all  all  reject",
        "hostssl all            all  127.0.0.0/8  scram-sha-256",
    ]
    if not force_tls:
        lines.append("hostnossl all          all  127.0.0.0/8  scram-sha-256")
    return "\n".join(lines) + "\n"


def identity_map(server_user: int | None) -> str:
    """The text of `pg_ident.conf`: the daemon's user and the server's own may be the superuser."""
    users = {pwd.getpwuid(os.geteuid()).pw_name}
    if server_user is not None:
        users.add(pwd.getpwuid(server_user).pw_name)
    return "".join(f"dock {user} {ADMIN}\n" for user in sorted(users))


async def prepare_roles(connection: AsyncConnection) -> None:
    """What every new server gets, in the database `postgres`. Idempotent."""
    await connection.execute("DELETE FROM pg_catalog.pg_authid WHERE rolname = ANY(%s)", [list(_HOST_ROLES)])
    if not await _exists(connection, "pg_roles", "rolname", MASTER_GROUP):
        await connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(MASTER_GROUP)))
    for role in _GROUP_MEMBERSHIPS:
        await connection.execute(
            sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(sql.Identifier(role), sql.Identifier(MASTER_GROUP))
        )
    await connection.execute(
        sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(sql.Identifier(MASTER_GROUP))
    )
    if not await _exists(connection, "pg_database", "datname", ADMIN_DATABASE):
        await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(ADMIN_DATABASE)))
    await connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(ADMIN_DATABASE)))


async def protect_group(connection: AsyncConnection) -> None:
    """In the dock's own database: an object of the group's, so that nobody can drop the group. Idempotent."""
    await connection.execute("CREATE TABLE IF NOT EXISTS public.keeps_rds_superuser ()")
    await connection.execute(
        sql.SQL("ALTER TABLE public.keeps_rds_superuser OWNER TO {}").format(sql.Identifier(MASTER_GROUP))
    )


async def create_master(connection: AsyncConnection, name: str, verifier: str, database: str | None) -> None:
    """The master and the first database, in the database `postgres`. Idempotent; sets the password anew."""
    role = sql.Identifier(name)
    if not await _exists(connection, "pg_roles", "rolname", name):
        await connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    await connection.execute(sql.SQL("ALTER ROLE {} LOGIN CREATEDB CREATEROLE INHERIT").format(role))
    await connection.execute(sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(sql.Identifier(MASTER_GROUP), role))
    await set_password(connection, name, verifier)
    for owned in ("postgres", "template1"):
        await connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(owned), role))
    if database is not None and not await _exists(connection, "pg_database", "datname", database):
        await connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(sql.Identifier(database), role)
        )


async def set_password(connection: AsyncConnection, name: str, verifier: str) -> None:
    """Give a role the password of this verifier. Not even the verifier gets into the server's log."""
    async with connection.transaction():
        for setting in (
            "log_statement = 'none'",
            "log_min_error_statement = 'panic'",
            "log_min_duration_statement = -1",
        ):
            await connection.execute(sql.SQL("SET LOCAL " + setting))
        await connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(verifier))
        )


async def _exists(connection: AsyncConnection, catalogue: str, column: str, name: str) -> bool:
    query = sql.SQL("SELECT 1 FROM pg_catalog.{} WHERE {} = %s").format(
        sql.Identifier(catalogue), sql.Identifier(column)
    )
    cursor = await connection.execute(query, [name])
    return await cursor.fetchone() is not None
