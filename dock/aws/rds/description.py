"""Records as the API shows them."""

# ruff: noqa: SIM905 - long lists of names read best as words

from __future__ import annotations

import datetime as dt
from typing import Any

from dock.store import Record, Scope

# What a snapshot and an automated backup show of their instance.
COPIED = (
    "DBInstanceIdentifier Engine EngineVersion AllocatedStorage AvailabilityZone MasterUsername LicenseModel Iops"
    " StorageThroughput StorageType KmsKeyId IAMDatabaseAuthenticationEnabled BackupRetentionPeriod"
    " PreferredBackupWindow"
).split()


def arn(scope: Scope, kind: str, name: str) -> str:
    """For example `arn(scope, "db", identifier)`; kinds: db, snapshot, pg, subgrp, auto-backup."""
    return f"arn:aws:rds:{scope.region}:{scope.account}:{kind}:{name}"


def moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def instance(
    scope: Scope,
    record: Record,
    *,
    protected: bool,
    address: str | None,
    in_sync: bool,
    subnet_group: dict[str, Any] | None,
    restorable: float | None,
) -> dict[str, Any]:
    """A DBInstance. `address` is None before there is an endpoint, `restorable` until when WAL is archived.

    `protected` says that a standby, where there is one, is synchronous: while it isn't, no second zone is shown.
    """
    shape = record["shape"]
    described = {
        **shape,
        "DBInstanceStatus": record["status"],
        "DBInstanceArn": arn(scope, "db", shape["DBInstanceIdentifier"]),
        "DbiResourceId": record["resource_id"],
        "DbInstancePort": 0,
        "DBSecurityGroups": [],
        "VpcSecurityGroups": [{"VpcSecurityGroupId": group, "Status": "active"} for group in record["security_groups"]],
        "DBParameterGroups": [
            {
                "DBParameterGroupName": record["parameter_group"],
                "ParameterApplyStatus": "in-sync" if in_sync else "pending-reboot",
            }
        ],
        "OptionGroupMemberships": [
            {"OptionGroupName": f"default:postgres-{shape['EngineVersion'].split('.')[0]}", "Status": "in-sync"}
        ],
        "PendingModifiedValues": {
            name: "****" if name == "MasterUserPassword" else value for name, value in record["pending"].items()
        },
        "ReadReplicaDBInstanceIdentifiers": [],
        "ReadReplicaDBClusterIdentifiers": [],
        "DomainMemberships": [],
        "AssociatedRoles": [],
        "StatusInfos": [],
        "CertificateDetails": {"CAIdentifier": shape["CACertificateIdentifier"]},
        "TagList": record["tags"],
        "ActivityStreamStatus": "stopped",
        "CustomerOwnedIpEnabled": False,
    }
    if subnet_group is not None:
        described["DBSubnetGroup"] = subnet_group
    if record["endpoint"] and address is not None:
        described["Endpoint"] = {"Address": address, "Port": record["port"]}
        described["InstanceCreateTime"] = moment(record["created"])
    if not protected:
        described.pop("SecondaryAvailabilityZone", None)
    if restorable is not None:
        described["LatestRestorableTime"] = moment(restorable)
    return described


def snapshot(scope: Scope, record: Record) -> dict[str, Any]:
    """A DBSnapshot."""
    described = {
        **record["shape"],
        "DBSnapshotArn": arn(scope, "snapshot", record["shape"]["DBSnapshotIdentifier"]),
        "Status": record["status"],
        "PercentProgress": 100 if record["status"] == "available" else 0,
        "TagList": record["tags"],
    }
    for name in ("SnapshotCreateTime", "OriginalSnapshotCreateTime", "InstanceCreateTime"):
        if name in described:
            described[name] = moment(described[name])
    return described


def new_snapshot(record: Record, name: str, kind: str, path: str, tags: list[dict[str, str]], now: float) -> Record:
    """The record of a snapshot of an instance that is about to be taken; `kind`: manual or automated."""
    shape = record["shape"]
    return {
        "shape": {
            **{field: shape[field] for field in COPIED if field in shape},
            "DBSnapshotIdentifier": name,
            "SnapshotType": kind,
            "SnapshotCreateTime": now,
            "OriginalSnapshotCreateTime": now,
            "InstanceCreateTime": record["created"],
            "Port": record["port"],
            "Encrypted": shape["StorageEncrypted"],
            "DbiResourceId": record["resource_id"],
            "SnapshotTarget": "region",
            "OptionGroupName": f"default:postgres-{shape['EngineVersion'].split('.')[0]}",
        },
        "status": "creating",
        "path": path,
        "tags": tags,
        # What a restore takes over unless it is told otherwise.
        "instance": {
            "shape": shape,
            "parameter_group": record["parameter_group"],
            "port": record["port"],
            "security_groups": record["security_groups"],
            "subnet_group": record["subnet_group"],
        },
    }
