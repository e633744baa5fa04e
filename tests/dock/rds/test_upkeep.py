"""What is done by the clock, with the clock turned."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest

from dock.aws.rds import Rds
from dock.aws.rds.upkeep import Upkeep
from dock.home import Home
from dock.store import Scope
from tests.dock.conftest import call, running_cloud
from tests.dock.rds.rig import PASSWORD

pytestmark = pytest.mark.dock

DAY = 86400


def moment_of(weekday: int, hour: int, minute: int) -> float:
    """The next such moment (UTC), in seconds since the epoch."""
    now = dt.datetime.now(dt.UTC).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (now + dt.timedelta(days=(weekday - now.weekday()) % 7)).timestamp()


async def test_windows_apply_changes_take_backups_and_expire_them(home: Home, account: str, region: str) -> None:
    async with running_cloud(home, [Rds]) as cloud:
        rds, service, scope = cloud.client("rds", account, region), cloud.service(Rds), Scope(account, region)

        async def available() -> dict[str, Any]:
            limit = time.monotonic() + 60
            while True:
                (described,) = (await call(rds.describe_db_instances))["DBInstances"]
                if described["DBInstanceStatus"] == "available":
                    return dict(described)
                assert time.monotonic() < limit, described["DBInstanceStatus"]

        async def look(now: float) -> None:
            (record,) = service.records.instances.list(scope)
            await Upkeep(cloud, service.fleet, service.records).look(scope, record, now)

        async def backups() -> list[str]:
            answer = await call(rds.describe_db_snapshots, SnapshotType="automated")
            return [snapshot["DBSnapshotIdentifier"] for snapshot in answer["DBSnapshots"]]

        # Around this time tomorrow less three hours: so long after the first backup that another is due.
        begin = dt.datetime.fromtimestamp(time.time() + 21 * 3600 - 900, dt.UTC)
        backup_window = f"{begin:%H:%M}-{begin + dt.timedelta(minutes=45):%H:%M}"
        maintenance = f"wed:{begin + dt.timedelta(hours=2):%H:00}-wed:{begin + dt.timedelta(hours=2):%H:45}"
        hour = int(maintenance[4:6])
        await call(
            rds.create_db_instance,
            DBInstanceIdentifier="clockwork",
            DBInstanceClass="db.t4g.micro",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="captain",
            MasterUserPassword=PASSWORD,
            BackupRetentionPeriod=1,
            PreferredBackupWindow=backup_window,
            PreferredMaintenanceWindow=maintenance,
        )
        await available()

        await call(rds.modify_db_instance, DBInstanceIdentifier="clockwork", DBInstanceClass="db.t4g.small")
        await look(moment_of(2, hour, 0) - 60)
        assert (await available())["DBInstanceClass"] == "db.t4g.micro"
        await look(moment_of(2, hour, 0))
        described = await available()
        assert (described["DBInstanceClass"], described["PendingModifiedValues"]) == ("db.t4g.small", {})

        tomorrow = time.time() + 21 * 3600
        await look(tomorrow - 1800)
        assert len(await backups()) == 1
        for expected in (2, 3):
            await look(tomorrow)
            await available()
            assert len(await backups()) == expected
            (record,) = service.records.instances.list(scope)
            service.records.update(scope, record["resource_id"], backup_completed=0)

        # Four and three days old: the newer of them is what the retention period's beginning is restored from.
        for snapshot, age in zip(service.records.snapshots.list(scope), (4, 3, 0), strict=True):
            snapshot["shape"]["SnapshotCreateTime"] = time.time() - age * DAY
            service.records.snapshots.put(scope, snapshot["shape"]["DBSnapshotIdentifier"], snapshot)
        before, archive = await backups(), service.fleet.root / record["resource_id"] / "archive"
        segments = sorted(path.name for path in archive.iterdir())
        service.records.update(scope, record["resource_id"], backup_completed=time.time())
        await look(time.time())
        assert await backups() == before[1:]
        kept = sorted(path.name for path in archive.iterdir())
        assert kept == segments[-len(kept) :]
        assert len(kept) < len(segments)

        (status,) = service.status()
        assert (status["kind"], status["name"], status["state"]) == ("db-instance", "clockwork", "available")
