"""Snapshots: a node's data, saved by Redis itself and copied away."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import time
from pathlib import Path
from typing import Any

from dock.aws.elasticache.base import CACHE_NODE, NODE_GROUP, PROBLEMS, Base, arn, page, tags_of
from dock.aws.elasticache.group import Group
from dock.aws.elasticache.shapes import moment
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.redis import NodeError
from dock.store import Record, Scope

_NAME = re.compile(r"[a-zA-Z](?:-?[a-zA-Z0-9])*")
# What a snapshot remembers of its group.
_REMEMBERED = (
    "description",
    "engine",
    "version",
    "node_type",
    "port",
    "parameter_group",
    "subnet_group",
    "auto_minor",
    "automatic_failover",
    "maintenance_window",
    "snapshot_retention",
    "snapshot_window",
    "notification_topic",
)


class Snapshots(Base):
    """CreateSnapshot, DescribeSnapshots, DeleteSnapshot, and what others need of snapshots."""

    @operation("CreateSnapshot", acts="ReplicationGroupId CacheClusterId SnapshotName Tags", records="KmsKeyId")
    async def create_snapshot(self, call: Call, request: Request) -> Response:
        member = None
        if cluster := request.get("CacheClusterId"):
            group, found = self.cluster(call.scope, cluster)
            member = found["id"]
        elif identifier := request.get("ReplicationGroupId"):
            group = self.group(call.scope, identifier)
        else:
            raise AwsError("InvalidParameterCombinationException", "Name a CacheClusterId or a ReplicationGroupId.")
        self.group_in(call.scope, group.identifier, "available")
        record = self.new_snapshot(
            group, request["SnapshotName"], member, kms_key=request.get("KmsKeyId"), tags=tags_of(request)
        )
        group.update(status="snapshotting")
        self.spawn(group, self._take(group, record["name"]))
        return {"Snapshot": _shape(call.scope, record)}

    @operation(
        "DescribeSnapshots",
        acts="ReplicationGroupId CacheClusterId SnapshotName SnapshotSource Marker MaxRecords ShowNodeGroupConfig",
    )
    async def describe_snapshots(self, call: Call, request: Request) -> Response:
        if name := request.get("SnapshotName"):
            self.snapshot(call.scope, name)
        source = {"system": "automated", "user": "manual"}.get(request.get("SnapshotSource", ""))
        found = [
            (record["name"], _shape(call.scope, record))
            for record in self.snapshots.list(call.scope)
            if request.get("SnapshotName", "").lower() in ("", record["name"])
            and request.get("ReplicationGroupId", "").lower() in ("", record["group"])
            and request.get("CacheClusterId", "").lower() in ("", record["member"])
            and source in (None, record["source"])
        ]
        return page(found, request, "Snapshots")

    @operation("DeleteSnapshot", acts="SnapshotName")
    async def delete_snapshot(self, call: Call, request: Request) -> Response:
        record = self.snapshot(call.scope, request["SnapshotName"])
        if record["status"] != "available":
            raise AwsError("InvalidSnapshotStateFault", f"Snapshot {record['name']} is {record['status']}.")
        self.forget_snapshot(call.scope, record["name"])
        return {"Snapshot": _shape(call.scope, {**record, "status": "deleting"})}

    def snapshot(self, scope: Scope, name: str) -> Record:
        """A snapshot's record. Raises SnapshotNotFoundFault."""
        record = self.snapshots.get(scope, name.lower())
        if record is None:
            raise AwsError("SnapshotNotFoundFault", f"Snapshot {name} not found.", 404)
        return record

    def snapshot_file(self, scope: Scope, name: str) -> Path:
        return self.cloud.home.data("elasticache") / "snapshots" / scope.account / scope.region / f"{name}.rdb"

    def new_snapshot(
        self,
        group: Group,
        name: str,
        member: str | None,
        *,
        kms_key: str | None = None,
        tags: dict[str, str] | None = None,
        automated: bool = False,
    ) -> Record:
        """Record a snapshot that is to be taken. Raises SnapshotAlreadyExistsFault, InvalidParameterValue."""
        name = name.lower()
        if not automated and (not _NAME.fullmatch(name) or len(name) > 255):
            raise AwsError(
                "InvalidParameterValueException",
                f"Invalid snapshot name {name!r}: letters, digits and single hyphens, beginning with a letter.",
            )
        if self.snapshots.get(group.scope, name) is not None:
            raise AwsError("SnapshotAlreadyExistsFault", f"Snapshot {name} already exists.")
        of = group.record
        record: Record = {
            "name": name,
            "status": "creating",
            "source": "automated" if automated else "manual",
            "group": of["id"],
            "member": member or of["snapshotting_cluster"] or self._quietest(group),
            "created": time.time(),
            "size": None,
            "kms_key": kms_key or of["kms_key"],
            "group_created": of["created"],
            "nodes": len(of["members"]),
            "tags": tags or {},
            **{key: of[key] for key in _REMEMBERED},
        }
        self.snapshots.put(group.scope, name, record)
        return record

    async def save_snapshot(self, group: Group, name: str) -> None:
        """Take a recorded snapshot; its record is gone when that fails. May be repeated after a crash."""
        try:
            record = self.snapshots.get(group.scope, name)
            if record is None:
                raise NodeError(f"snapshot {name} is not there any more")
            size = await group.replication.save(record["member"], self.snapshot_file(group.scope, name))
        except PROBLEMS as problem:
            self.forget_snapshot(group.scope, name)
            group.happened(None, f"Snapshot {name} failed: {problem}")
            raise
        self.snapshots.put(group.scope, name, {**record, "status": "available", "size": size, "created": time.time()})
        group.happened(record["member"], f"Snapshot succeeded for snapshot with ID '{name}' of {record['member']}")

    def forget_snapshot(self, scope: Scope, name: str) -> None:
        self.snapshot_file(scope, name).unlink(missing_ok=True)
        self.snapshots.delete(scope, name)

    async def _take(self, group: Group, name: str) -> None:
        # A snapshot that failed has left an event, and is not there.
        with contextlib.suppress(*PROBLEMS):
            await self.save_snapshot(group, name)
        await self.conclude(group, status="available")

    def take_automatic(self, group: Group, now: dt.datetime) -> None:
        """Begin today's automatic snapshot unless it was begun, and forget those beyond the retention limit."""
        automated = [
            record
            for record in self.snapshots.list(group.scope)
            if record["group"] == group.identifier and record["source"] == "automated"
        ]
        if any(now.timestamp() - record["created"] < 23 * 3600 for record in automated):
            return
        retention = group.record["snapshot_retention"]
        for record in sorted(automated, key=lambda record: record["created"])[: max(0, len(automated) + 1 - retention)]:
            self.forget_snapshot(group.scope, record["name"])
        member = group.record["snapshotting_cluster"] or self._quietest(group)
        name = f"automatic.{member}-{now:%Y-%m-%d-%H-%M}"
        self.new_snapshot(group, name, member, automated=True)
        group.update(status="snapshotting")
        self.spawn(group, self._take(group, name))

    def resume_snapshots(self, group: Group) -> None:
        """Take again what an earlier daemon had begun."""
        begun = [
            record["name"]
            for record in self.snapshots.list(group.scope)
            if record["group"] == group.identifier and record["status"] == "creating"
        ]
        for name in begun:
            self.spawn(group, self._take(group, name))
        if not begun:
            group.update(status="available")

    def _quietest(self, group: Group) -> str:
        """A replica that is in sync, so that the primary need not fork; the primary when there is none."""
        record = group.record
        for member in record["members"]:
            if member["id"] != record["primary"] and group.member_status(member["id"]) == "available":
                return str(member["id"])
        return str(record["primary"])


def _shape(scope: Scope, record: Record) -> dict[str, Any]:
    size = record["size"]
    return {
        "SnapshotName": record["name"],
        "ReplicationGroupId": record["group"],
        "ReplicationGroupDescription": record["description"],
        "CacheClusterId": record["member"],
        "SnapshotStatus": record["status"],
        "SnapshotSource": record["source"],
        "CacheNodeType": record["node_type"],
        "Engine": record["engine"],
        "EngineVersion": record["version"],
        "NumCacheNodes": record["nodes"],
        "CacheClusterCreateTime": moment(record["group_created"]),
        "PreferredMaintenanceWindow": record["maintenance_window"],
        "TopicArn": record["notification_topic"],
        "Port": record["port"],
        "CacheParameterGroupName": record["parameter_group"],
        "CacheSubnetGroupName": record["subnet_group"],
        "AutoMinorVersionUpgrade": record["auto_minor"],
        "SnapshotRetentionLimit": record["snapshot_retention"],
        "SnapshotWindow": record["snapshot_window"],
        "NumNodeGroups": 1,
        "AutomaticFailover": "enabled" if record["automatic_failover"] else "disabled",
        "NodeSnapshots": [
            {
                "CacheClusterId": record["member"],
                "NodeGroupId": NODE_GROUP,
                "CacheNodeId": CACHE_NODE,
                "CacheSize": None if size is None else f"{max(1, round(size / 2**20))} MB",
                "CacheNodeCreateTime": moment(record["group_created"]),
                "SnapshotCreateTime": moment(record["created"]),
            }
        ],
        "KmsKeyId": record["kms_key"],
        "ARN": arn(scope, "snapshot", record["name"]),
        "DataTiering": "disabled",
    }
