"""ModifyDBInstance: what acts now, what waits for the maintenance window."""

from __future__ import annotations

from typing import Any

from dock.aws.rds import checks, classes, network
from dock.aws.rds.fleet import Fleet
from dock.aws.rds.records import Records
from dock.aws.service import AwsError, Call, Request
from dock.cloud import Cloud
from dock.engines.postgres import scram_verifier
from dock.store import Record

MODIFY_ACTS = (
    "DBInstanceIdentifier ApplyImmediately DBInstanceClass MasterUserPassword DBParameterGroupName"
    " BackupRetentionPeriod PreferredBackupWindow PreferredMaintenanceWindow MultiAZ EngineVersion"
    " AllowMajorVersionUpgrade OptionGroupName NewDBInstanceIdentifier CopyTagsToSnapshot DBPortNumber"
    " DeletionProtection ManageMasterUserPassword"
)
_SHAPE = (
    "AllocatedStorage AutoMinorVersionUpgrade LicenseModel Iops StorageThroughput StorageType CACertificateIdentifier"
    " MonitoringInterval MonitoringRoleArn PubliclyAccessible DatabaseInsightsMode PerformanceInsightsKMSKeyId"
    " PerformanceInsightsRetentionPeriod MaxAllocatedStorage NetworkType DedicatedLogVolume EngineLifecycleSupport"
)
_RENAMED = {
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
}
MODIFY_RECORDS = (
    f"{_SHAPE} {' '.join(_RENAMED)} VpcSecurityGroupIds CloudwatchLogsExportConfiguration CertificateRotationRestart"
)
_DIRECT = (
    *_SHAPE.split(),
    "DBInstanceClass",
    "MultiAZ",
    "BackupRetentionPeriod",
    "CopyTagsToSnapshot",
    "DeletionProtection",
)
# What waits for the maintenance window unless ApplyImmediately is set.
_DEFERRED = frozenset(
    {
        "AllocatedStorage",
        "DBInstanceClass",
        "MultiAZ",
        "DBInstanceIdentifier",
        "Iops",
        "StorageThroughput",
        "StorageType",
    }
)


class Modification:
    """One ModifyDBInstance, or the maintenance window's share of those before."""

    def __init__(self, cloud: Cloud, fleet: Fleet, records: Records, call: Call) -> None:
        self._cloud = cloud
        self._fleet = fleet
        self._records = records
        self._call = call

    async def apply(self, request: Request) -> Record:
        """Check everything, then change the record and begin what has to be done. Raises AwsError."""
        scope = self._call.scope
        groups = request.get("VpcSecurityGroupIds")
        if groups is not None:
            record = self._records.instance(scope, request["DBInstanceIdentifier"])
            subnets = self._records.subnet_groups.get(scope, record["subnet_group"]) if record["subnet_group"] else None
            await network.find_security_groups(self._cloud, self._call, groups, subnets["VpcId"] if subnets else None)
        # From here on nothing waits: what was checked is still so when the record changes.
        record = self._records.instance(scope, request["DBInstanceIdentifier"])
        if record["status"] not in ("available", "storage-full", "incompatible-parameters"):
            raise AwsError(
                "InvalidDBInstanceStateFault",
                f"Database instance is not in available state: {record['status']}",
            )
        wanted = self._wanted(record, request)
        if "MasterUserPassword" in request:
            self._fleet.keep_verifier(record["resource_id"], scram_verifier(request["MasterUserPassword"]))
        now = {name: value for name, value in wanted.items() if not self._waits(record, name, value)}
        pending = {**record["pending"], **{name: value for name, value in wanted.items() if name not in now}}
        if request.get("ApplyImmediately", False):
            now, pending = {**pending, **now}, {}
        others: dict[str, Any] = {"security_groups": groups} if groups is not None else {}
        if "DBParameterGroupName" in request:
            others["parameter_group"] = request["DBParameterGroupName"].lower()
        if "DBPortNumber" in request:
            others["port"] = request["DBPortNumber"]
        return self.carry_out(record, now, pending, others, new_password="MasterUserPassword" in request)

    def carry_out(
        self,
        record: Record,
        now: dict[str, Any],
        pending: dict[str, Any],
        others: dict[str, Any],
        *,
        new_password: bool = False,
    ) -> Record:
        """Change the record; begin a job where the cluster has to change with it."""
        scope, resource, shape = self._call.scope, record["resource_id"], record["shape"]
        changed = {name: value for name, value in now.items() if shape.get(name) != value}
        pending = {name: value for name, value in pending.items() if shape.get(name) != value}
        others = {name: value for name, value in others.items() if record[name] != value}
        had = {"MultiAZ": shape["MultiAZ"], "BackupRetentionPeriod": shape["BackupRetentionPeriod"]}
        if "MultiAZ" in changed:
            changed["SecondaryAvailabilityZone"] = self._second_zone(record) if changed["MultiAZ"] else None
        toggles_backup = bool(changed.get("BackupRetentionPeriod", had["BackupRetentionPeriod"])) != bool(
            had["BackupRetentionPeriod"]
        )
        changes = {"shape": changed, "pending": pending, **others}
        acts = new_password or toggles_backup or "port" in others or changed.keys() & {"DBInstanceClass", "MultiAZ"}
        if not acts:
            return self._records.update(scope, resource, **changes)
        status = "resetting-master-credentials" if new_password and not changed else "modifying"
        job = {"kind": "modify", "restart": "DBInstanceClass" in changed, "had": had}
        return self._fleet.begin(scope, resource, status, job, **changes)

    def _wanted(self, record: Record, request: Request) -> dict[str, Any]:
        """The members of the instance's shape that the request asks for. Raises AwsError."""
        shape = record["shape"]
        checks.refuse_others(request)
        if "DBInstanceClass" in request:
            classes.instance_class(request["DBInstanceClass"])
        if "EngineVersion" in request:
            checks.engine_version(request["EngineVersion"], shape["EngineVersion"])
        if "MasterUserPassword" in request:
            checks.password(request["MasterUserPassword"])
        if "BackupRetentionPeriod" in request:
            checks.retention(request["BackupRetentionPeriod"])
        if "DBPortNumber" in request:
            checks.port(request["DBPortNumber"])
        if {"AllocatedStorage", "StorageType", "MaxAllocatedStorage"} & request.keys():
            checks.storage(request, request.get("StorageType", shape["StorageType"]), shape["AllocatedStorage"])
        major = shape["EngineVersion"].split(".")[0]
        if request.get("OptionGroupName", f"default:postgres-{major}") != f"default:postgres-{major}":
            raise AwsError("OptionGroupNotFoundFault", f"OptionGroup {request['OptionGroupName']} not found.")
        group = request.get("DBParameterGroupName", f"default.postgres{major}").lower()
        if group != f"default.postgres{major}" and self._records.parameter_groups.get(self._call.scope, group) is None:
            raise AwsError("DBParameterGroupNotFoundFault", f"DBParameterGroup not found: {group}")
        wanted = {name: request[name] for name in _DIRECT if name in request}
        wanted |= {shown: request[name] for name, shown in _RENAMED.items() if name in request}
        if "PreferredBackupWindow" in request:
            wanted["PreferredBackupWindow"] = checks.backup_window(request["PreferredBackupWindow"])
        if "PreferredMaintenanceWindow" in request:
            wanted["PreferredMaintenanceWindow"] = checks.maintenance_window(request["PreferredMaintenanceWindow"])
        checks.windows_apart(
            wanted.get("PreferredBackupWindow", shape["PreferredBackupWindow"]),
            wanted.get("PreferredMaintenanceWindow", shape["PreferredMaintenanceWindow"]),
        )
        if "NewDBInstanceIdentifier" in request:
            name = checks.identifier(request["NewDBInstanceIdentifier"], "NewDBInstanceIdentifier")
            if name != shape["DBInstanceIdentifier"] and self._records.has_instance(self._call.scope, name):
                raise AwsError("DBInstanceAlreadyExistsFault", "DB instance already exists")
            wanted["DBInstanceIdentifier"] = name
        if logs := request.get("CloudwatchLogsExportConfiguration"):
            exported = set(shape.get("EnabledCloudwatchLogsExports", [])) | set(logs.get("EnableLogTypes", []))
            wanted["EnabledCloudwatchLogsExports"] = sorted(exported - set(logs.get("DisableLogTypes", [])))
        return wanted

    def _waits(self, record: Record, name: str, value: Any) -> bool:
        before = record["shape"].get("BackupRetentionPeriod")
        return name in _DEFERRED or (name == "BackupRetentionPeriod" and bool(value) != bool(before))

    def _second_zone(self, record: Record) -> str:
        zones = network.zones(self._call.region)
        if record["subnet_group"]:
            group = self._records.subnet_groups.get(self._call.scope, record["subnet_group"])
            if group is not None:
                zones = sorted({subnet["SubnetAvailabilityZone"]["Name"] for subnet in group["Subnets"]})
        return next(zone for zone in zones if zone != record["shape"]["AvailabilityZone"])
