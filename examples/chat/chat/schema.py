"""Which schema this release was built for, and which one the database has."""

from collections.abc import Sequence
from pathlib import Path

import psycopg

from chat.database import Database

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


def required() -> str:
    """The newest revision that lies beside the code. An image holds only those that its release needs."""
    return max(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


async def found(database: Database) -> str | None:
    """The database's revision, or None when it was never migrated. Raises psycopg.Error."""
    try:
        rows: Sequence[dict[str, str]] = await database.probe("SELECT version_num FROM alembic_version")
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return None
    return rows[0]["version_num"] if rows else None


def fits(found: str | None, required: str) -> bool:
    """A newer schema fits: migrations only add, until no running release needs what one takes away."""
    return found is not None and found >= required
