"""What is done to an instance in the background. Each job may be killed anywhere and done again from its beginning."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dock.aws.rds import description
from dock.engines.postgres import Cluster, PostgresError, access, backup
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.aws.rds.fleet import Fleet

log = logging.getLogger(__name__)

# A standby is a whole copy of the primary.
_SYNCHRONOUS_SECONDS = 600.0
_FAILOVER_SECONDS = 60.0


def _record(fleet: Fleet, scope: Scope, resource: str) -> Record:
    record = fleet.records.instances.get(scope, resource)
    if record is None:
        raise RuntimeError(f"{resource} is gone")
    return record


def _done(fleet: Fleet, scope: Scope, resource: str, status: str = "available") -> Record:
    return fleet.records.update(scope, resource, status=status, job=None, problem=None)


async def create(fleet: Fleet, scope: Scope, resource: str, job: dict[str, Any]) -> None:
    """From nothing, or from a snapshot (`job["snapshot"]`: its folder)."""
    record = _record(fleet, scope, resource)
    cluster = fleet.cluster(scope, record)
    await cluster.create(Path(job["snapshot"]) if job.get("snapshot") else None)
    verifier = fleet.verifier_path(resource)
    if not job.get("snapshot"):
        shape = record["shape"]
        async with cluster.administer() as connection:
            await access.create_master(connection, shape["MasterUsername"], verifier.read_text(), shape.get("DBName"))
    await cluster.start()
    record = fleet.records.update(scope, resource, endpoint=True)
    fleet.event(
        scope,
        record,
        f"Restored from snapshot {job['snapshot_name']}" if job.get("snapshot") else "DB instance created",
        "restoration" if job.get("snapshot") else "creation",
    )
    if record["shape"]["MultiAZ"]:
        await cluster.wait_until_synchronous(_SYNCHRONOUS_SECONDS)
    if record["shape"]["BackupRetentionPeriod"] > 0:
        fleet.records.update(scope, resource, status="backing-up")
        await take_automated_backup(fleet, scope, resource, cluster)
    _done(fleet, scope, resource)
    verifier.unlink(missing_ok=True)


async def modify(fleet: Fleet, scope: Scope, resource: str, job: dict[str, Any]) -> None:
    """Make the cluster what the record says. `restart`: the class has changed; `had`: retention and Multi-AZ before."""
    record = _record(fleet, scope, resource)
    cluster = fleet.cluster(scope, record)
    shape = record["shape"]
    if job["restart"]:
        record = fleet.records.update(scope, resource, parameters=fleet.group_values(scope, record["parameter_group"]))
        fleet.event(scope, record, "Applying modification to database instance class", "configuration change")
    verifier = fleet.verifier_path(resource)
    if verifier.exists():
        async with cluster.administer() as connection:
            await access.set_password(connection, shape["MasterUsername"], verifier.read_text())
        fleet.event(scope, record, "Reset master credentials", "configuration change")
    await cluster.apply(fleet.settings(record))
    await cluster.reroute()
    if job["restart"]:
        await _restart(cluster, failover=shape["MultiAZ"] and cluster.state.synchronous)
        fleet.event(scope, record, "Finished applying modification to DB instance class", "configuration change")
    if shape["MultiAZ"]:
        await cluster.wait_until_synchronous(_SYNCHRONOUS_SECONDS)
    if shape["MultiAZ"] != job["had"]["MultiAZ"]:
        message = (
            "DB instance converted to a Multi-AZ DB instance."
            if shape["MultiAZ"]
            else "Finished applying modification to convert to a standard (Single-AZ) DB instance"
        )
        fleet.event(scope, record, message, "configuration change")
    if shape["BackupRetentionPeriod"] == 0 and job["had"]["BackupRetentionPeriod"] > 0:
        await drop_automated_backups(fleet, scope, resource, cluster)
        fleet.event(scope, record, "Automatic backups for this DB instance have been disabled", "configuration change")
    elif shape["BackupRetentionPeriod"] > 0 and job["had"]["BackupRetentionPeriod"] == 0:
        fleet.records.update(scope, resource, status="backing-up")
        await take_automated_backup(fleet, scope, resource, cluster)
    _done(fleet, scope, resource)
    verifier.unlink(missing_ok=True)


async def reboot(fleet: Fleet, scope: Scope, resource: str, job: dict[str, Any]) -> None:
    """With everything that waited for a reboot; `failover`: on the standby."""
    record = _record(fleet, scope, resource)
    record = fleet.records.update(scope, resource, parameters=fleet.group_values(scope, record["parameter_group"]))
    cluster = fleet.cluster(scope, record)
    await cluster.apply(fleet.settings(record))
    await _restart(cluster, failover=job["failover"])
    _done(fleet, scope, resource)
    fleet.event(scope, record, "DB instance restarted", "availability")


async def _restart(cluster: Cluster, *, failover: bool) -> None:
    if failover:
        await cluster.fail_over(_FAILOVER_SECONDS)
    else:
        await cluster.restart()


async def start(fleet: Fleet, scope: Scope, resource: str, job: dict[str, Any]) -> None:
    record = _record(fleet, scope, resource)
    cluster = fleet.cluster(scope, record)
    await cluster.apply(fleet.settings(record))
    await cluster.start()
    _done(fleet, scope, resource)
    fleet.event(scope, record, "DB instance started", "notification")


async def stop(fleet: Fleet, scope: Scope, resource: str, job: dict[str, Any]) -> None:
    record = _record(fleet, scope, resource)
    await fleet.cluster(scope, record).stop()
    _done(fleet, scope, resource, "stopped")
    fleet.event(scope, record, "DB instance stopped", "notification")


async def take_snapshot(fleet: Fleet, scope: Scope, resource: str, job: dict[str, Any]) -> None:
    """Take the manual snapshot whose record is there already (`job["snapshot"]`)."""
    record = _record(fleet, scope, resource)
    await _take(fleet, scope, fleet.cluster(scope, record), job["snapshot"])
    _done(fleet, scope, resource)


async def back_up(fleet: Fleet, scope: Scope, resource: str, job: dict[str, Any]) -> None:
    """The automated backup of the day."""
    record = _record(fleet, scope, resource)
    await take_automated_backup(fleet, scope, resource, fleet.cluster(scope, record))
    _done(fleet, scope, resource)


async def delete(fleet: Fleet, scope: Scope, resource: str, job: dict[str, Any]) -> None:
    """After the final snapshot, if there is to be one, everything goes; automated backups may stay."""
    record = _record(fleet, scope, resource)
    cluster = fleet.cluster(scope, record)
    final = fleet.records.snapshots.get(scope, job["final_snapshot"]) if job["final_snapshot"] else None
    if final is not None and final["status"] != "available":
        await cluster.start()
        await _take(fleet, scope, cluster, job["final_snapshot"])
    await cluster.destroy(keep_archive=job["keep_backups"])
    await fleet.withdraw(resource)
    identifier = record["shape"]["DBInstanceIdentifier"]
    with fleet.records.store.transaction():
        if job["keep_backups"]:
            fleet.records.retained_backups.put(
                scope, resource, {**record, "status": "retained", "job": None, "deleted": time.time()}
            )
        else:
            forget_automated_snapshots(fleet, scope, resource)
        fleet.event(scope, record, "DB instance deleted", "deletion")
        fleet.records.instances.delete(scope, resource)
    log.info("rds/%s: %s is deleted", resource, identifier)
    fleet.forget(resource)


async def take_automated_backup(fleet: Fleet, scope: Scope, resource: str, cluster: Cluster) -> None:
    """A base backup, with its record among the snapshots."""
    record = _record(fleet, scope, resource)
    await _forget_unfinished(fleet, scope, resource, cluster)
    now = time.time()
    stamp = dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%d-%H-%M-%S")
    name = f"rds:{record['shape']['DBInstanceIdentifier']}-{stamp}"
    path = cluster.site.backups / stamp
    fleet.records.snapshots.put(
        scope, name, description.new_snapshot(record, name, "automated", str(path), record["tags"], now)
    )
    fleet.event(scope, record, "Backing up DB instance", "backup")
    try:
        await _take(fleet, scope, cluster, name)
    except BaseException:
        fleet.records.snapshots.delete(scope, name)
        raise
    fleet.records.update(scope, resource, backup_completed=time.time())
    fleet.event(scope, record, "Finished DB Instance backup", "backup")


async def _forget_unfinished(fleet: Fleet, scope: Scope, resource: str, cluster: Cluster) -> None:
    """Remove what a daemon that was killed during an automated backup left behind."""
    for snapshot in fleet.records.snapshots.list(scope):
        shape = snapshot["shape"]
        automated = shape["SnapshotType"] == "automated" and shape["DbiResourceId"] == resource
        if automated and snapshot["status"] != "available":
            fleet.records.snapshots.delete(scope, shape["DBSnapshotIdentifier"])
    finished = {Path(snapshot["path"]) for snapshot in fleet.records.snapshots.list(scope)}
    for folder in set(cluster.site.backups.iterdir()) - finished:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _take(fleet: Fleet, scope: Scope, cluster: Cluster, name: str) -> None:
    snapshot = fleet.records.snapshots.get(scope, name)
    if snapshot is None or snapshot["status"] == "available":
        return
    path = Path(snapshot["path"])
    # A daemon that was killed may have left a whole one; it is older than what is asked for now.
    await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
    await cluster.back_up(path)
    snapshot["status"] = "available"
    snapshot["shape"]["FullSnapshotSizeInBytes"] = await asyncio.to_thread(backup.size, path)
    fleet.records.snapshots.put(scope, name, snapshot)
    if snapshot["shape"]["SnapshotType"] == "manual":
        arn = description.arn(scope, "snapshot", name)
        fleet.records.add_event(scope, "db-snapshot", name, arn, "Manual snapshot created", ["creation"])


def forget_automated_snapshots(fleet: Fleet, scope: Scope, resource: str) -> None:
    for snapshot in fleet.records.snapshots.list(scope):
        shape = snapshot["shape"]
        if shape["SnapshotType"] == "automated" and shape["DbiResourceId"] == resource:
            fleet.records.snapshots.delete(scope, shape["DBSnapshotIdentifier"])


async def drop_automated_backups(fleet: Fleet, scope: Scope, resource: str, cluster: Cluster) -> None:
    """Base backups and archived WAL of an instance that is to have none any more."""
    fleet.records.update(scope, resource, backup_completed=None)
    forget_automated_snapshots(fleet, scope, resource)
    await asyncio.to_thread(_empty, cluster.site.backups)
    await asyncio.to_thread(_empty, cluster.site.archive)


def _empty(folder: Path) -> None:
    for entry in folder.glob("*"):
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


async def give_up(fleet: Fleet, scope: Scope, resource: str, job: dict[str, Any], problem: Exception) -> None:
    """A job has failed: say so in status and event, and leave nothing half-made behind."""
    record = fleet.records.instances.get(scope, resource)
    if record is None:
        return
    reason = str(problem) or type(problem).__name__
    disk_full = "No space left on device" in reason or getattr(problem, "errno", None) == 28
    if name := job.get("snapshot") if job["kind"] == "snapshot" else job.get("final_snapshot"):
        snapshot = fleet.records.snapshots.get(scope, name)
        if snapshot is not None and snapshot["status"] != "available":
            fleet.records.snapshots.put(scope, name, {**snapshot, "status": "failed"})
    cluster = fleet.known(resource)
    running = cluster is not None and cluster.primary.process is not None
    if job["kind"] == "create":
        if cluster is not None:
            with contextlib.suppress(PostgresError, OSError, RuntimeError):
                await cluster.destroy(keep_archive=False)
                await fleet.withdraw(resource)
        status = "storage-full" if disk_full else "failed"
        record = fleet.records.update(scope, resource, endpoint=False)
    elif running:
        status = "available"
    elif disk_full:
        status = "storage-full"
    else:
        status = "incompatible-parameters" if job["kind"] in ("reboot", "modify", "start") else "failed"
    fleet.records.update(scope, resource, status=status, job=None, problem=reason)
    fleet.event(scope, record, f"DB instance: {job['kind']} failed: {reason}", "failure")
    log.error("rds/%s: %s failed: %s", resource, job["kind"], reason)


Job = Callable[["Fleet", Scope, str, dict[str, Any]], Awaitable[None]]

JOBS: dict[str, Job] = {
    "create": create,
    "modify": modify,
    "reboot": reboot,
    "start": start,
    "stop": stop,
    "snapshot": take_snapshot,
    "backup": back_up,
    "delete": delete,
}
