"""Copies of a running server: base backups, and standbys made or mended from a primary."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from dock.engines.postgres import access
from dock.engines.postgres.configuration import slot
from dock.engines.postgres.node import TOOL_SECONDS, Node, PostgresError
from dock.engines.postgres.site import PORT


async def take(node: Node, into: Path) -> None:
    """A base backup of a running node, its manifest verified, under its final name only when it is whole and durable.

    `into` must not exist; its parent must. Raises PostgresError.
    """
    await node.end_tools()
    new = into.with_name(f".{into.name}.new")
    await asyncio.to_thread(shutil.rmtree, new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if node.site.user:
        os.chown(new, *node.site.user)
    try:
        await node.run(
            "pg_basebackup",
            *_from(node),
            f"--pgdata={new}",
            f"--label={into.name}",
        )
        await node.run("pg_verifybackup", "--quiet", str(new))
        # An integrity check of what was copied is only as good as what reaches the disk: pg_basebackup has synced.
        new.rename(into)
        _sync(into.parent)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, new, ignore_errors=True))
        raise


async def lay_out(node: Node, backup: Path) -> None:
    """Fill a node's data folder with a base backup, so that it starts as a primary of its own.

    Raises PostgresError when the backup is damaged or the disk is full.
    """
    await node.erase()
    node.make_folders()
    await node.run("pg_verifybackup", "--quiet", str(backup))
    try:
        await asyncio.to_thread(shutil.copytree, backup, node.data, dirs_exist_ok=True, symlinks=True)
    except (OSError, shutil.Error) as problem:
        raise PostgresError(f"{backup} could not be copied: {problem}") from None
    if node.site.user:
        await asyncio.to_thread(_give, node.data, node.site.user)
    node.data.chmod(0o700)


async def clone(primary: Node, standby: Node) -> None:
    """Make a standby anew from the running primary, whose slot for it must exist. Raises PostgresError."""
    await standby.erase()
    standby.make_folders()
    await standby.run(
        "pg_basebackup",
        *_from(primary),
        f"--pgdata={standby.data}",
        f"--slot={slot(standby.name)}",
    )


async def rewind(primary: Node, former: Node) -> None:
    """Turn a former primary back to where the present one took over, copying only what differs.

    Raises PostgresError when that isn't possible; the data is then of no use, `clone` makes it anew.
    """
    former.make_folders()
    # Before PostgreSQL 17 pg_rewind learns of the new timeline from the control file, which a promotion leaves to the
    # next checkpoint. Without one it may find that there is nothing to do.
    async with primary.connect(seconds=TOOL_SECONDS) as connection:
        await connection.execute("CHECKPOINT")
    (former.data / "postmaster.pid").unlink(missing_ok=True)
    await former.run(
        "pg_rewind",
        f"--target-pgdata={former.data}",
        f"--source-server=host='{primary.socket_folder}' port={PORT} user={access.ADMIN} dbname=postgres",
    )
    # What the former primary had still to archive, the present one archives itself; and its replication slot would
    # keep WAL for a standby that there is no more. pg_rewind leaves both.
    for folder in (former.data / "pg_wal" / "archive_status", former.data / "pg_replslot"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        if former.site.user:
            os.chown(folder, *former.site.user)


def size(folder: Path) -> int:
    """Bytes that the files below a folder hold."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _from(node: Node) -> list[str]:
    """pg_basebackup's options for its source; the WAL that the copy needs comes with it."""
    return [
        f"--host={node.socket_folder}",
        f"--port={PORT}",
        f"--username={access.ADMIN}",
        "--no-password",
        "--checkpoint=fast",
        "--wal-method=stream",
    ]


def _give(folder: Path, user: tuple[int, int]) -> None:
    os.chown(folder, *user)
    for path in folder.rglob("*"):
        os.chown(path, *user, follow_symlinks=False)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
