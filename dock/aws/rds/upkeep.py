"""What RDS does by the clock: daily backups, changes that waited for the maintenance window, expiry."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import shutil
import time
from pathlib import Path

from dock.aws.rds import checks, jobs
from dock.aws.rds.fleet import Fleet
from dock.aws.rds.modification import Modification
from dock.aws.rds.records import Records
from dock.aws.service import Call
from dock.cloud import Cloud
from dock.store import Record, Scope

log = logging.getLogger(__name__)

_LOOK_SECONDS = 60.0
_DAY = 86400
# A backup that was taken in this window already isn't taken again.
_BETWEEN_BACKUPS = 20 * 3600


class Upkeep:
    """Looks once a minute."""

    def __init__(self, cloud: Cloud, fleet: Fleet, records: Records) -> None:
        self._cloud = cloud
        self._fleet = fleet
        self._records = records

    async def run(self) -> None:
        """Until the dock ends."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.expire_retained(time.time())
            for scope, _, record in self._records.instances.all():
                try:
                    await self.look(scope, record, time.time())
                except Exception:
                    log.exception("the upkeep of %s failed", record["shape"]["DBInstanceIdentifier"])

    async def look(self, scope: Scope, record: Record, now: float) -> None:
        """Do for one instance what is due at `now` (epoch seconds)."""
        if record["status"] != "available" or record["job"] is not None:
            return
        shape = record["shape"]
        moment = dt.datetime.fromtimestamp(now, dt.UTC)
        if record["pending"] and within(shape["PreferredMaintenanceWindow"], moment):
            call = Call(scope.account, scope.region, "rds", "maintenance", "maintenance")
            Modification(self._cloud, self._fleet, self._records, call).carry_out(record, record["pending"], {}, {})
            return
        if shape["BackupRetentionPeriod"] == 0:
            return
        await self._expire(scope, record, now)
        last = record["backup_completed"] or 0
        if within(shape["PreferredBackupWindow"], moment) and now - last > _BETWEEN_BACKUPS:
            self._fleet.begin(scope, record["resource_id"], "backing-up", {"kind": "backup"})

    def expire_retained(self, now: float) -> None:
        """Forget the automated backups of deleted instances whose retention period is over at `now`."""
        for scope, resource, record in self._records.retained_backups.all():
            if now - record["deleted"] > record["shape"]["BackupRetentionPeriod"] * _DAY:
                jobs.forget_automated_snapshots(self._fleet, scope, resource)
                self._records.retained_backups.delete(scope, resource)
                shutil.rmtree(self._fleet.root / resource, ignore_errors=True)

    async def _expire(self, scope: Scope, record: Record, now: float) -> None:
        """Remove base backups past the retention period, but for the newest of those, from which its beginning is
        restored; and the WAL that none of the rest needs."""
        limit = now - record["shape"]["BackupRetentionPeriod"] * _DAY
        backups = sorted(
            (
                snapshot
                for snapshot in self._records.snapshots.list(scope)
                if snapshot["shape"]["SnapshotType"] == "automated"
                and snapshot["shape"]["DbiResourceId"] == record["resource_id"]
                and snapshot["status"] == "available"
            ),
            key=lambda snapshot: float(snapshot["shape"]["SnapshotCreateTime"]),
        )
        past = [snapshot for snapshot in backups if snapshot["shape"]["SnapshotCreateTime"] < limit]
        for snapshot in past[:-1]:
            self._records.snapshots.delete(scope, snapshot["shape"]["DBSnapshotIdentifier"])
            await asyncio.to_thread(shutil.rmtree, Path(snapshot["path"]), ignore_errors=True)
        if len(past) > 1:
            oldest = past[-1]
            archive = self._fleet.root / record["resource_id"] / "archive"
            await asyncio.to_thread(_expire_wal, archive, Path(oldest["path"]))


def within(window: str, moment: dt.datetime) -> bool:
    """Whether a moment (UTC) is in a window such as `sun:08:00-sun:08:30` or `06:00-06:30`."""
    begin, end = (checks.minute_of_week(part) for part in window.split("-"))
    assert begin is not None
    assert end is not None
    weekly = window[0].isalpha()
    period = 7 * 1440 if weekly else 1440
    now = (moment.weekday() * 1440 if weekly else 0) + moment.hour * 60 + moment.minute
    return (now - begin) % period < (end - begin) % period


def _expire_wal(archive: Path, backup: Path) -> None:
    """Remove archived segments from before a base backup began; a segment's name is timeline, then position."""
    label = (backup / "backup_label").read_text()
    first = label.split("(file ")[1].split(")")[0]
    for path in archive.iterdir():
        name = path.name
        is_segment = len(name.partition(".")[0]) == 24 and not name.startswith(".")
        if is_segment and name[8:24] < first[8:]:
            path.unlink(missing_ok=True)
