"""What there is to order: engine versions and instance classes."""

from __future__ import annotations

from typing import Any

from dock.aws.rds import checks, classes, network
from dock.aws.rds.part import Part
from dock.aws.rds.records import page
from dock.aws.service import Call, Request, Response, operation


class Offers(Part):
    """DescribeDBEngineVersions and its like."""

    @operation(
        "DescribeDBEngineVersions",
        acts="Engine EngineVersion DBParameterGroupFamily MaxRecords Marker DefaultOnly IncludeAll"
        " ListSupportedCharacterSets ListSupportedTimezones",
    )
    async def describe_db_engine_versions(self, call: Call, request: Request) -> Response:
        installed = self.fleet.binaries()
        family = f"postgres{installed.major}"
        found = (
            request.get("Engine", checks.ENGINE) == checks.ENGINE
            and request.get("EngineVersion", installed.version) in (str(installed.major), installed.version)
            and request.get("DBParameterGroupFamily", family) == family
        )
        version = {
            "Engine": checks.ENGINE,
            "MajorEngineVersion": str(installed.major),
            "EngineVersion": installed.version,
            "DBParameterGroupFamily": family,
            "DBEngineDescription": "PostgreSQL",
            "DBEngineVersionDescription": f"PostgreSQL {installed.version}, as installed on this machine",
            "ValidUpgradeTarget": [],
            "SupportedFeatureNames": [],
            "ExportableLogTypes": [],
            "SupportsLogExportsToCloudwatchLogs": False,
            "SupportsReadReplica": False,
            "Status": "available",
            "SupportedCACertificateIdentifiers": [checks.DEFAULT_CA],
        }
        return {"DBEngineVersions": [version] if found else []}

    @operation(
        "DescribeOrderableDBInstanceOptions",
        acts="Engine EngineVersion DBInstanceClass LicenseModel Vpc MaxRecords Marker",
    )
    async def describe_orderable_db_instance_options(self, call: Call, request: Request) -> Response:
        checks.engine(request["Engine"])
        installed = self.fleet.binaries()
        if request.get("EngineVersion", installed.version) not in (str(installed.major), installed.version):
            return {"OrderableDBInstanceOptions": []}
        if request.get("LicenseModel", checks.LICENSE) != checks.LICENSE:
            return {"OrderableDBInstanceOptions": []}
        options = [
            self._option(call, size.name, installed.version, storage)
            for size in classes.all_classes()
            if request.get("DBInstanceClass", size.name) == size.name
            for storage in ("gp2", "gp3", "io1")
        ]
        shown, more = page(options, request)
        return {"OrderableDBInstanceOptions": shown, **more}

    @operation("DescribePendingMaintenanceActions", acts="ResourceIdentifier Filters Marker MaxRecords")
    async def describe_pending_maintenance_actions(self, call: Call, request: Request) -> Response:
        # The machine's packages are patched by its owner; the dock plans nothing.
        return {"PendingMaintenanceActions": []}

    def _option(self, call: Call, name: str, version: str, storage: str) -> dict[str, Any]:
        return {
            "Engine": checks.ENGINE,
            "EngineVersion": version,
            "DBInstanceClass": name,
            "LicenseModel": checks.LICENSE,
            "AvailabilityZones": [{"Name": zone} for zone in network.zones(call.region)],
            "MultiAZCapable": True,
            "ReadReplicaCapable": False,
            "Vpc": True,
            "StorageType": storage,
            "SupportsStorageEncryption": False,
            "SupportsIops": storage != "gp2",
            "SupportsEnhancedMonitoring": False,
            "SupportsIAMDatabaseAuthentication": False,
            "SupportsPerformanceInsights": False,
            "MinStorageSize": 100 if storage == "io1" else 20,
            "MaxStorageSize": 65536,
            "SupportedNetworkTypes": ["IPV4"],
        }
