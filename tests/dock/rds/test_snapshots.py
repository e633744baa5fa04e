"""Snapshots are real base backups: what was in them comes back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.dock.rds.rig import Dock, Instance, create, until

pytestmark = pytest.mark.dock


def snapshot_status(instance: Instance, name: str) -> str:
    (snapshot,) = instance.rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"]
    return str(snapshot["Status"])


def test_a_snapshot_restores_rows_roles_and_password(dock: Dock, instance: Instance) -> None:
    instance.execute("CREATE TABLE cargo AS SELECT generate_series(1, 1000) AS n", "CREATE ROLE mate")
    instance.rds.add_tags_to_resource(
        ResourceName=instance.describe()["DBInstanceArn"], Tags=[{"Key": "team", "Value": "deck"}]
    )
    instance.rds.modify_db_instance(DBInstanceIdentifier="single", CopyTagsToSnapshot=True)
    instance.rds.create_db_snapshot(DBInstanceIdentifier="single", DBSnapshotIdentifier="Before")
    until(lambda: snapshot_status(instance, "before") == "available", 60, "the snapshot is available")
    instance.wait()
    with pytest.raises(ClientError, match="already exists"):
        instance.rds.create_db_snapshot(DBInstanceIdentifier="single", DBSnapshotIdentifier="before")
    instance.execute("DROP TABLE cargo", "DROP ROLE mate")

    (snapshot,) = instance.rds.describe_db_snapshots(DBInstanceIdentifier="single", SnapshotType="manual")[
        "DBSnapshots"
    ]
    assert snapshot["TagList"] == [{"Key": "team", "Value": "deck"}]
    assert snapshot["FullSnapshotSizeInBytes"] > 1_000_000
    restored = Instance(dock, "restored")
    restored.rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="restored", DBSnapshotIdentifier="before", DBInstanceClass="db.t4g.small", MultiAZ=True
    )
    described = restored.wait()
    assert described["MasterUsername"] == "captain"
    assert described["Endpoint"]["Address"] != instance.describe()["Endpoint"]["Address"]
    assert restored.query("SELECT sum(n) FROM cargo") == 500500
    assert restored.query("SELECT count(*) FROM pg_roles WHERE rolname = 'mate'") == 1
    restored.execute("INSERT INTO cargo VALUES (0)")
    assert restored.nodes()["standby"]["synchronous"]
    restored.rds.delete_db_instance(DBInstanceIdentifier="restored", SkipFinalSnapshot=True)
    restored.rds.delete_db_snapshot(DBSnapshotIdentifier="before")
    assert not any((dock.home / "rds" / "snapshots").iterdir())


def test_deletion_takes_the_final_snapshot_and_verifies_it(dock: Dock) -> None:
    made = create(dock, "passing", BackupRetentionPeriod=1)
    made.wait()
    made.execute("CREATE TABLE last AS SELECT 1 AS n")
    resource = made.describe()["DbiResourceId"]
    made.rds.delete_db_instance(DBInstanceIdentifier="passing", FinalDBSnapshotIdentifier="passing-final")
    until(
        lambda: (
            not made.rds.describe_db_instances(Filters=[{"Name": "db-instance-id", "Values": ["passing"]}])[
                "DBInstances"
            ]
        ),
        60,
        "deleted",
    )
    assert snapshot_status(made, "passing-final") == "available"
    (folder,) = (dock.home / "rds" / "snapshots").glob(f"{resource}-*")
    check = subprocess.run(["/usr/lib/postgresql/15/bin/pg_verifybackup", str(folder)], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
    # Automated backups and the archive go with the instance.
    assert not (dock.home / "rds" / resource).exists()
    assert not made.rds.describe_db_snapshots(DBInstanceIdentifier="passing", SnapshotType="automated")["DBSnapshots"]
    made.rds.delete_db_snapshot(DBSnapshotIdentifier="passing-final")


def test_automated_backups_are_kept_when_asked(dock: Dock) -> None:
    made = create(dock, "kept", BackupRetentionPeriod=1)
    resource = made.wait()["DbiResourceId"]
    made.rds.delete_db_instance(DBInstanceIdentifier="kept", SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    backups = until(
        lambda: [
            backup
            for backup in made.rds.describe_db_instance_automated_backups(DbiResourceId=resource)[
                "DBInstanceAutomatedBackups"
            ]
            if backup["Status"] == "retained"
        ],
        60,
        "a retained backup",
    )
    assert backups[0]["RestoreWindow"]["LatestTime"] >= backups[0]["RestoreWindow"]["EarliestTime"]
    folder = dock.home / "rds" / resource
    assert any((folder / "archive").iterdir())
    assert any((folder / "backups").iterdir())
    assert not (folder / "a").exists()
    made.rds.delete_db_instance_automated_backup(DbiResourceId=resource)
    assert not folder.exists()


def test_backups_are_switched_off_and_on(instance: Instance) -> None:
    def automated() -> list[str]:
        snapshots = instance.rds.describe_db_snapshots(DBInstanceIdentifier="single", SnapshotType="automated")
        return [snapshot["DBSnapshotIdentifier"] for snapshot in snapshots["DBSnapshots"]]

    archive = instance.dock.home / "rds" / instance.describe()["DbiResourceId"] / "archive"
    assert automated()
    assert any(archive.iterdir())
    instance.rds.modify_db_instance(DBInstanceIdentifier="single", BackupRetentionPeriod=0, ApplyImmediately=True)
    instance.wait()
    assert automated() == []
    assert not any(archive.iterdir())
    assert "LatestRestorableTime" not in instance.describe()
    instance.rds.modify_db_instance(DBInstanceIdentifier="single", BackupRetentionPeriod=2, ApplyImmediately=True)
    instance.wait()
    assert len(automated()) == 1
    assert "LatestRestorableTime" in instance.describe()


def test_an_automated_snapshot_is_not_deleted_by_hand(instance: Instance) -> None:
    (snapshot,) = instance.rds.describe_db_snapshots(DBInstanceIdentifier="single", SnapshotType="automated")[
        "DBSnapshots"
    ]
    assert snapshot["DBSnapshotIdentifier"].startswith("rds:single-")
    with pytest.raises(ClientError, match="automated"):
        instance.rds.delete_db_snapshot(DBSnapshotIdentifier=snapshot["DBSnapshotIdentifier"])


def test_a_damaged_snapshot_is_not_restored(dock: Dock, instance: Instance) -> None:
    instance.rds.create_db_snapshot(DBInstanceIdentifier="single", DBSnapshotIdentifier="damaged")
    until(lambda: snapshot_status(instance, "damaged") == "available", 60, "the snapshot is available")
    instance.wait()
    (folder,) = (dock.home / "rds" / "snapshots").iterdir()
    victim = max(
        (path for path in Path(folder, "base").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    broken = Instance(dock, "broken")
    broken.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="broken", DBSnapshotIdentifier="damaged")
    until(lambda: broken.describe()["DBInstanceStatus"] == "failed", 60, "the restore has failed")
    assert any("checksum mismatch" in message for message in broken.messages())
    broken.rds.delete_db_instance(DBInstanceIdentifier="broken", SkipFinalSnapshot=True)
    until(
        lambda: (
            not broken.rds.describe_db_instances(Filters=[{"Name": "db-instance-id", "Values": ["broken"]}])[
                "DBInstances"
            ]
        ),
        30,
        "deleted",
    )
    instance.rds.delete_db_snapshot(DBSnapshotIdentifier="damaged")
