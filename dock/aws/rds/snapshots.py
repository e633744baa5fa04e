"""DB snapshots and what automated backups leave behind."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

from dock.aws.rds import description, jobs
from dock.aws.rds.instances import Instances
from dock.aws.rds.records import apply_filters, page, tag_list
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record


class Snapshots(Instances):
    """CreateDBSnapshot and its like."""

    @operation("CreateDBSnapshot", acts="DBSnapshotIdentifier DBInstanceIdentifier Tags")
    async def create_db_snapshot(self, call: Call, request: Request) -> Response:
        record = self._in_status(call, request, "available", "storage-full")
        snapshot = self.new_manual_snapshot(
            call, record, request["DBSnapshotIdentifier"], tag_list(request.get("Tags"))
        )
        name = snapshot["shape"]["DBSnapshotIdentifier"]
        with self.cloud.store.transaction():
            self.records.snapshots.put(call.scope, name, snapshot)
            self.fleet.begin(call.scope, record["resource_id"], "backing-up", {"kind": "snapshot", "snapshot": name})
        arn = description.arn(call.scope, "snapshot", name)
        self.records.add_event(call.scope, "db-snapshot", name, arn, "Creating manual snapshot", ["creation"])
        return {"DBSnapshot": description.snapshot(call.scope, snapshot)}

    @operation(
        "DescribeDBSnapshots",
        acts="DBInstanceIdentifier DBSnapshotIdentifier SnapshotType Filters MaxRecords Marker DbiResourceId"
        " IncludeShared IncludePublic",
    )
    async def describe_db_snapshots(self, call: Call, request: Request) -> Response:
        if "DBSnapshotIdentifier" in request:
            found = [self.records.snapshot(call.scope, request["DBSnapshotIdentifier"])]
        else:
            found = self.records.snapshots.list(call.scope)
        described = [description.snapshot(call.scope, record) for record in found]
        for parameter, member in (
            ("DBInstanceIdentifier", "DBInstanceIdentifier"),
            ("SnapshotType", "SnapshotType"),
            ("DbiResourceId", "DbiResourceId"),
        ):
            if parameter in request:
                wanted = (
                    request[parameter].rpartition(":db:")[2]
                    if parameter == "DBInstanceIdentifier"
                    else request[parameter]
                )
                described = [
                    item for item in described if item[member] == (wanted.lower() if "Id" not in member else wanted)
                ]
        known = {
            "db-instance-id": "DBInstanceIdentifier",
            "db-snapshot-id": "DBSnapshotIdentifier",
            "dbi-resource-id": "DbiResourceId",
            "snapshot-type": "SnapshotType",
            "engine": "Engine",
        }
        shown, more = page(apply_filters(described, request, known), request)
        return {"DBSnapshots": shown, **more}

    @operation("DeleteDBSnapshot", acts="DBSnapshotIdentifier")
    async def delete_db_snapshot(self, call: Call, request: Request) -> Response:
        record = self.records.snapshot(call.scope, request["DBSnapshotIdentifier"])
        name = record["shape"]["DBSnapshotIdentifier"]
        if record["shape"]["SnapshotType"] != "manual":
            raise AwsError(
                "InvalidDBSnapshotStateFault", f"The snapshot {name} is automated: only manual ones can be deleted."
            )
        if record["status"] == "creating" or self._is_source(call, record):
            raise AwsError("InvalidDBSnapshotStateFault", f"The snapshot {name} is in use: {record['status']}")
        self.records.snapshots.delete(call.scope, name)
        await asyncio.to_thread(shutil.rmtree, Path(record["path"]), ignore_errors=True)
        arn = description.arn(call.scope, "snapshot", name)
        self.records.add_event(call.scope, "db-snapshot", name, arn, "Deleted manual snapshot", ["deletion"])
        return {"DBSnapshot": {**description.snapshot(call.scope, record), "Status": "deleted"}}

    @operation(
        "DescribeDBInstanceAutomatedBackups", acts="DbiResourceId DBInstanceIdentifier Filters MaxRecords Marker"
    )
    async def describe_db_instance_automated_backups(self, call: Call, request: Request) -> Response:
        live = [
            record
            for record in self.records.instances.list(call.scope)
            if record["shape"]["BackupRetentionPeriod"] > 0 and record["backup_completed"]
        ]
        described = [self._automated_backup(call, record) for record in live]
        described += [self._automated_backup(call, record) for record in self.records.retained_backups.list(call.scope)]
        for parameter in ("DbiResourceId", "DBInstanceIdentifier"):
            if parameter in request:
                described = [item for item in described if item[parameter] == request[parameter]]
        known = {"status": "Status", "db-instance-id": "DBInstanceIdentifier", "dbi-resource-id": "DbiResourceId"}
        shown, more = page(apply_filters(described, request, known), request)
        return {"DBInstanceAutomatedBackups": shown, **more}

    @operation("DeleteDBInstanceAutomatedBackup", acts="DbiResourceId")
    async def delete_db_instance_automated_backup(self, call: Call, request: Request) -> Response:
        resource = request.get("DbiResourceId", "")
        record = self.records.retained_backups.get(call.scope, resource)
        if record is None:
            raise AwsError("DBInstanceAutomatedBackupNotFoundFault", f"No retained automated backup of {resource!r}.")
        with self.cloud.store.transaction():
            jobs.forget_automated_snapshots(self.fleet, call.scope, resource)
            self.records.retained_backups.delete(call.scope, resource)
        await asyncio.to_thread(shutil.rmtree, self.fleet.root / resource, ignore_errors=True)
        return {"DBInstanceAutomatedBackup": {**self._automated_backup(call, record), "Status": "deleting"}}

    def _is_source(self, call: Call, snapshot: Record) -> bool:
        """Whether an instance is being made from it now."""
        return any(
            record["job"] and record["job"].get("snapshot") == snapshot["path"]
            for record in self.records.instances.list(call.scope)
        )

    def _automated_backup(self, call: Call, record: Record) -> dict[str, Any]:
        shape = record["shape"]
        described = {
            **{field: shape[field] for field in description.COPIED if field in shape},
            "DBInstanceArn": description.arn(call.scope, "db", shape["DBInstanceIdentifier"]),
            "DBInstanceAutomatedBackupsArn": description.arn(
                call.scope, "auto-backup", f"ab-{record['resource_id'][3:].lower()}"
            ),
            "DbiResourceId": record["resource_id"],
            "Region": call.region,
            "Status": "retained" if "deleted" in record else "active",
            "Port": record["port"],
            "InstanceCreateTime": description.moment(record["created"]),
            "Encrypted": shape["StorageEncrypted"],
            "BackupTarget": shape["BackupTarget"],
            "TagList": record["tags"],
        }
        archive = self.fleet.root / record["resource_id"] / "archive"
        if record["backup_completed"] and archive.exists():
            latest = archive.stat().st_mtime
            described["RestoreWindow"] = {
                # A backup ends with a segment that is archived before the backup is verified and noted as complete.
                "EarliestTime": description.moment(min(record["backup_completed"], latest)),
                "LatestTime": description.moment(latest),
            }
        return described
