"""DB instances: creating, describing, changing, rebooting, deleting."""

from __future__ import annotations

import time
from typing import Any

from dock.aws.rds import checks, classes, description, network
from dock.aws.rds.modification import MODIFY_ACTS, MODIFY_RECORDS, Modification
from dock.aws.rds.part import Part
from dock.aws.rds.records import apply_filters, new_resource_id, page, tag_list
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.postgres import scram_verifier
from dock.store import Record

# Kept and shown again as they are.
_RECORDED = (
    "PubliclyAccessible AutoMinorVersionUpgrade Iops StorageThroughput StorageType StorageEncrypted KmsKeyId"
    " MonitoringInterval MonitoringRoleArn DatabaseInsightsMode PerformanceInsightsKMSKeyId"
    " PerformanceInsightsRetentionPeriod MaxAllocatedStorage NetworkType CACertificateIdentifier DedicatedLogVolume"
    " EngineLifecycleSupport BackupTarget LicenseModel"
)
# Likewise, under another name.
_RENAMED = {
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
    "EnableCloudwatchLogsExports": "EnabledCloudwatchLogsExports",
}
_LOG_EXPORTS = frozenset({"postgresql", "upgrade", "iam-db-auth-error"})

_SHAPE_DEFAULTS: dict[str, Any] = {
    "AutoMinorVersionUpgrade": True,
    "BackupTarget": "region",
    "CACertificateIdentifier": checks.DEFAULT_CA,
    "CopyTagsToSnapshot": False,
    "DatabaseInsightsMode": "standard",
    "DedicatedLogVolume": False,
    "DeletionProtection": False,
    "EngineLifecycleSupport": "open-source-rds-extended-support",
    "IAMDatabaseAuthenticationEnabled": False,
    "LicenseModel": checks.LICENSE,
    "MonitoringInterval": 0,
    "MultiAZ": False,
    "NetworkType": "IPV4",
    "PerformanceInsightsEnabled": False,
    "PubliclyAccessible": False,
    "StorageEncrypted": False,
}
# A gp3 volume below 400 GiB has these and takes no others (RDS user guide, "gp3 storage").
_GP3 = {"Iops": 3000, "StorageThroughput": 125}


class Instances(Part):
    """CreateDBInstance and its like."""

    @operation(
        "CreateDBInstance",
        acts="DBName DBInstanceIdentifier DBInstanceClass Engine MasterUsername MasterUserPassword AvailabilityZone"
        " DBSubnetGroupName PreferredMaintenanceWindow DBParameterGroupName BackupRetentionPeriod PreferredBackupWindow"
        " Port MultiAZ EngineVersion OptionGroupName Tags CopyTagsToSnapshot DeletionProtection"
        " ManageMasterUserPassword",
        records=f"{_RECORDED} {' '.join(_RENAMED)} VpcSecurityGroupIds AllocatedStorage",
    )
    async def create_db_instance(self, call: Call, request: Request) -> Response:
        checks.engine(request["Engine"])
        if "MasterUsername" not in request or "MasterUserPassword" not in request:
            raise checks.invalid("MasterUsername and MasterUserPassword must be provided.")
        checks.master_username(request["MasterUsername"])
        checks.password(request["MasterUserPassword"])
        if "DBName" in request:
            checks.database_name(request["DBName"])
        checks.storage(request, request.get("StorageType", "gp2"))
        record = await self.new_instance(call, request, {})
        record["shape"]["MasterUsername"] = request["MasterUsername"]
        if "DBName" in request:
            record["shape"]["DBName"] = request["DBName"]
        self._refuse_twin(call, record)
        self.fleet.keep_verifier(record["resource_id"], scram_verifier(request["MasterUserPassword"]))
        return self._created(call, record, {"kind": "create"})

    @operation(
        "RestoreDBInstanceFromDBSnapshot",
        acts="DBInstanceIdentifier DBSnapshotIdentifier DBInstanceClass Port AvailabilityZone DBSubnetGroupName MultiAZ"
        " Engine OptionGroupName Tags CopyTagsToSnapshot DBParameterGroupName DeletionProtection BackupRetentionPeriod"
        " PreferredBackupWindow ManageMasterUserPassword",
        records="PubliclyAccessible AutoMinorVersionUpgrade Iops StorageThroughput StorageType NetworkType"
        " CACertificateIdentifier DedicatedLogVolume EngineLifecycleSupport BackupTarget LicenseModel"
        " EnableIAMDatabaseAuthentication EnableCloudwatchLogsExports VpcSecurityGroupIds AllocatedStorage",
    )
    async def restore_db_instance_from_db_snapshot(self, call: Call, request: Request) -> Response:
        if "DBSnapshotIdentifier" not in request:
            raise checks.invalid("DBSnapshotIdentifier must be provided.")
        snapshot = self.records.snapshot(call.scope, request["DBSnapshotIdentifier"])
        name = snapshot["shape"]["DBSnapshotIdentifier"]
        if snapshot["status"] != "available":
            raise AwsError("InvalidDBSnapshotStateFault", f"DBSnapshot {name} is {snapshot['status']}, not available.")
        checks.engine(request.get("Engine", checks.ENGINE))
        source = snapshot["instance"]
        inherited = {
            "DBInstanceClass": source["shape"]["DBInstanceClass"],
            "Port": source["port"],
            "AllocatedStorage": source["shape"]["AllocatedStorage"],
            "StorageType": source["shape"]["StorageType"],
            "BackupRetentionPeriod": source["shape"]["BackupRetentionPeriod"],
            "PreferredBackupWindow": source["shape"]["PreferredBackupWindow"],
            "PreferredMaintenanceWindow": source["shape"]["PreferredMaintenanceWindow"],
            "EngineVersion": snapshot["shape"]["EngineVersion"],
        }
        checks.storage(
            {**inherited, **request},
            request.get("StorageType", inherited["StorageType"]),
            inherited["AllocatedStorage"],
        )
        record = await self.new_instance(call, request, inherited)
        for field in ("MasterUsername", "DBName", "StorageEncrypted", "KmsKeyId"):
            if field in source["shape"]:
                record["shape"][field] = source["shape"][field]
        self._refuse_twin(call, record)
        return self._created(call, record, {"kind": "create", "snapshot": snapshot["path"], "snapshot_name": name})

    @operation("DescribeDBInstances", acts="DBInstanceIdentifier Filters MaxRecords Marker")
    async def describe_db_instances(self, call: Call, request: Request) -> Response:
        if "DBInstanceIdentifier" in request:
            found = [self.records.instance(call.scope, request["DBInstanceIdentifier"])]
        else:
            found = self.records.instances.list(call.scope)
        described = [self.describe(call, record) for record in found]
        described.sort(key=lambda item: str(item["DBInstanceIdentifier"]))
        known = {"db-instance-id": "DBInstanceIdentifier", "dbi-resource-id": "DbiResourceId", "engine": "Engine"}
        shown, more = page(apply_filters(described, request, known), request)
        return {"DBInstances": shown, **more}

    @operation("ModifyDBInstance", acts=MODIFY_ACTS, records=MODIFY_RECORDS)
    async def modify_db_instance(self, call: Call, request: Request) -> Response:
        modification = Modification(self.cloud, self.fleet, self.records, call)
        return {"DBInstance": self.describe(call, await modification.apply(request))}

    @operation("RebootDBInstance", acts="DBInstanceIdentifier ForceFailover")
    async def reboot_db_instance(self, call: Call, request: Request) -> Response:
        record = self._in_status(call, request, "available", "incompatible-parameters", "storage-full", "failed")
        failover = request.get("ForceFailover", False)
        if failover and not record["shape"]["MultiAZ"]:
            raise checks.combination("Cannot ForceFailover Reboot an instance that is not Multi-AZ.")
        if not record["endpoint"]:
            raise self._wrong_status(record)
        return self._begin(call, record, "rebooting", {"kind": "reboot", "failover": failover})

    @operation("StopDBInstance", acts="DBInstanceIdentifier")
    async def stop_db_instance(self, call: Call, request: Request) -> Response:
        record = self._in_status(call, request, "available", "storage-full", "incompatible-parameters")
        return self._begin(call, record, "stopping", {"kind": "stop"})

    @operation("StartDBInstance", acts="DBInstanceIdentifier")
    async def start_db_instance(self, call: Call, request: Request) -> Response:
        record = self._in_status(call, request, "stopped")
        return self._begin(call, record, "starting", {"kind": "start"})

    @operation(
        "DeleteDBInstance",
        acts="DBInstanceIdentifier SkipFinalSnapshot FinalDBSnapshotIdentifier DeleteAutomatedBackups",
    )
    async def delete_db_instance(self, call: Call, request: Request) -> Response:
        record = self.records.instance(call.scope, request["DBInstanceIdentifier"])
        if record["status"] == "deleting":
            raise AwsError(
                "InvalidDBInstanceStateFault",
                f"Instance {record['shape']['DBInstanceIdentifier']} is already being deleted.",
            )
        if record["shape"]["DeletionProtection"]:
            raise checks.combination(
                "Cannot delete protected DB Instance, please disable deletion protection and try again."
            )
        final, skip = request.get("FinalDBSnapshotIdentifier"), request.get("SkipFinalSnapshot", False)
        if skip and final is not None:
            raise checks.combination(
                "FinalDBSnapshotIdentifier can not be specified when deleting with SkipFinalSnapshot."
            )
        if not skip and final is None:
            raise checks.combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
        snapshot = None
        if final is not None:
            if not record["endpoint"]:
                raise self._wrong_status(record)
            snapshot = self.new_manual_snapshot(call, record, final, [])
        keep = not request.get("DeleteAutomatedBackups", True) and record["shape"]["BackupRetentionPeriod"] > 0
        job = {"kind": "delete", "final_snapshot": final and final.lower(), "keep_backups": keep}
        with self.cloud.store.transaction():
            if snapshot is not None:
                self.records.snapshots.put(call.scope, snapshot["shape"]["DBSnapshotIdentifier"], snapshot)
            return self._begin(call, record, "deleting", job)

    # shared

    def describe(self, call: Call, record: Record) -> dict[str, Any]:
        """A DBInstance as the API shows it."""
        group = self.records.subnet_groups.get(call.scope, record["subnet_group"]) if record["subnet_group"] else None
        archive = self.fleet.root / record["resource_id"] / "archive"
        restorable = None
        if record["shape"]["BackupRetentionPeriod"] and record["backup_completed"]:
            # Each segment that arrives changes the folder.
            restorable = archive.stat().st_mtime if archive.exists() else None
        cluster = self.fleet.known(record["resource_id"])
        standbys = [node for node in cluster.describe() if node["role"] == "standby"] if cluster else []
        return description.instance(
            call.scope,
            record,
            protected=bool(standbys) and all(node["synchronous"] for node in standbys),
            address=self.fleet.address(record["resource_id"]) if record["endpoint"] else None,
            in_sync=self.fleet.in_sync(call.scope, record),
            subnet_group=group,
            restorable=restorable,
        )

    def new_manual_snapshot(self, call: Call, record: Record, name: str, tags: list[dict[str, str]]) -> Record:
        """The record of a manual snapshot that is about to be taken. Raises AwsError."""
        name = checks.identifier(name, "DBSnapshotIdentifier", 255)
        if self.records.snapshots.get(call.scope, name) is not None:
            raise AwsError("DBSnapshotAlreadyExistsFault", f"Cannot create the snapshot because {name} already exists.")
        if record["shape"]["CopyTagsToSnapshot"]:
            tags = tag_list([*record["tags"], *tags])
        self.fleet.make_root()
        path = self.fleet.snapshots / f"{record['resource_id']}-{new_resource_id()[3:11].lower()}"
        return description.new_snapshot(record, name, "manual", str(path), tags, time.time())

    async def new_instance(self, call: Call, request: Request, inherited: dict[str, Any]) -> Record:
        """The record of an instance to be made; `inherited` fills what the request leaves out. Raises AwsError."""
        request = {**inherited, **request}
        checks.refuse_others(request)
        identifier = checks.identifier(request["DBInstanceIdentifier"], "DBInstanceIdentifier")
        version = checks.engine_version(request.get("EngineVersion"), self.fleet.binaries().version)
        await self.fleet.catalogue()
        classes.instance_class(request["DBInstanceClass"])
        major = version.split(".")[0]
        if request.get("OptionGroupName", f"default:postgres-{major}") != f"default:postgres-{major}":
            raise AwsError("OptionGroupNotFoundFault", f"OptionGroup {request['OptionGroupName']} not found.")
        if unknown := set(request.get("EnableCloudwatchLogsExports", [])) - _LOG_EXPORTS:
            raise checks.combination(
                f"You cannot use the log types {sorted(unknown)} with engine version postgres {version}."
            )
        group = request.get("DBParameterGroupName", f"default.postgres{major}")
        if not group.startswith("default.") and self.records.parameter_groups.get(call.scope, group.lower()) is None:
            raise AwsError("DBParameterGroupNotFoundFault", f"DBParameterGroup not found: {group}")
        if group.startswith("default.") and group != f"default.postgres{major}":
            raise AwsError("DBParameterGroupNotFoundFault", f"DBParameterGroup not found: {group}")
        zones, subnets = network.zones(call.region), None
        if "DBSubnetGroupName" in request:
            subnets = self.records.subnet_groups.get(call.scope, request["DBSubnetGroupName"].lower())
            if subnets is None:
                raise AwsError(
                    "DBSubnetGroupNotFoundFault", f"DB subnet group {request['DBSubnetGroupName']} does not exist."
                )
            zones = sorted({subnet["SubnetAvailabilityZone"]["Name"] for subnet in subnets["Subnets"]})
        multi_az = request.get("MultiAZ", False)
        if "AvailabilityZone" in request:
            if multi_az:
                raise checks.combination("Requesting a specific availability zone is not valid for Multi-AZ instances.")
            if request["AvailabilityZone"] not in zones:
                raise AwsError(
                    "InvalidVPCNetworkStateFault", f"{request['AvailabilityZone']} is none of {', '.join(zones)}"
                )
        zone = request.get("AvailabilityZone", zones[0])
        security_groups = request.get("VpcSecurityGroupIds", [])
        await network.find_security_groups(self.cloud, call, security_groups, subnets["VpcId"] if subnets else None)
        storage_type = request.get("StorageType", "gp2")
        shape = {
            **_SHAPE_DEFAULTS,
            **(_GP3 if storage_type == "gp3" else {}),
            **{field: request[field] for field in _RECORDED.split() if field in request},
            **{shown: request[field] for field, shown in _RENAMED.items() if field in request},
            "DBInstanceIdentifier": identifier,
            "DBInstanceClass": request["DBInstanceClass"],
            "Engine": checks.ENGINE,
            "EngineVersion": version,
            "AllocatedStorage": request["AllocatedStorage"],
            "StorageType": storage_type,
            "AvailabilityZone": zone,
            "MultiAZ": multi_az,
            "BackupRetentionPeriod": checks.retention(request.get("BackupRetentionPeriod", 1)),
            "PreferredBackupWindow": checks.backup_window(
                request.get("PreferredBackupWindow", checks.DEFAULT_BACKUP_WINDOW)
            ),
            "PreferredMaintenanceWindow": checks.maintenance_window(
                request.get("PreferredMaintenanceWindow", checks.DEFAULT_MAINTENANCE_WINDOW)
            ),
            "CopyTagsToSnapshot": request.get("CopyTagsToSnapshot", False),
            "DeletionProtection": request.get("DeletionProtection", False),
        }
        checks.windows_apart(shape["PreferredBackupWindow"], shape["PreferredMaintenanceWindow"])
        if multi_az:
            shape["SecondaryAvailabilityZone"] = next(other for other in zones if other != zone)
        return {
            "resource_id": new_resource_id(),
            "shape": shape,
            "status": "creating",
            "problem": None,
            "created": time.time(),
            "port": checks.port(request.get("Port", 5432)),
            "endpoint": False,
            "backup_completed": None,
            "parameter_group": group.lower(),
            "parameters": self.fleet.group_values(call.scope, group.lower()),
            "subnet_group": request["DBSubnetGroupName"].lower() if subnets else None,
            "security_groups": security_groups,
            "tags": tag_list(request.get("Tags")),
            "pending": {},
            "job": None,
        }

    def _refuse_twin(self, call: Call, record: Record) -> None:
        if self.records.has_instance(call.scope, record["shape"]["DBInstanceIdentifier"]):
            raise AwsError("DBInstanceAlreadyExistsFault", "DB instance already exists")

    def _created(self, call: Call, record: Record, job: dict[str, Any]) -> Response:
        self.fleet.address(record["resource_id"])
        self.records.instances.put(call.scope, record["resource_id"], record)
        return self._begin(call, record, "creating", job)

    def _begin(self, call: Call, record: Record, status: str, job: dict[str, Any]) -> Response:
        record = self.fleet.begin(call.scope, record["resource_id"], status, job)
        return {"DBInstance": self.describe(call, record)}

    def _in_status(self, call: Call, request: Request, *statuses: str) -> Record:
        record = self.records.instance(call.scope, request["DBInstanceIdentifier"])
        if record["status"] not in statuses:
            raise self._wrong_status(record)
        return record

    @staticmethod
    def _wrong_status(record: Record) -> AwsError:
        why = f": {record['problem']}" if record["problem"] else ""
        return AwsError(
            "InvalidDBInstanceStateFault",
            f"Instance {record['shape']['DBInstanceIdentifier']} is not available, but {record['status']}{why}",
        )
