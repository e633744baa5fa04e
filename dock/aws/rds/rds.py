"""The service: all of RDS's operations, and the clusters behind them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from dock.aws.rds.annals import Annals
from dock.aws.rds.offers import Offers
from dock.aws.rds.parameter_groups import ParameterGroups
from dock.aws.rds.snapshots import Snapshots
from dock.aws.rds.subnet_groups import SubnetGroups
from dock.aws.rds.upkeep import Upkeep
from dock.aws.service import AwsError
from dock.faults.engines import Engine, Part

log = logging.getLogger(__name__)


class Rds(Snapshots, ParameterGroups, SubnetGroups, Offers, Annals):
    """RDS for PostgreSQL. An instance that can't be started doesn't keep the others from it: its status says why."""

    async def start(self) -> None:
        if instances := self.records.instances.all():
            try:
                await self.fleet.catalogue()
            except AwsError as problem:
                log.error("RDS has no engine: %s", problem)
            await asyncio.gather(*(self.fleet.resume(scope, record) for scope, _, record in instances))
        self.cloud.spawn(Upkeep(self.cloud, self.fleet, self.records).run(), "rds upkeep")

    async def stop(self) -> None:
        await self.fleet.stop()

    def engines(self) -> list[Engine]:
        found = []
        for scope, resource, record in self.records.instances.all():
            shape, cluster = record["shape"], self.fleet.known(resource)
            if not record["endpoint"] or cluster is None:
                continue
            first, second = cluster.primary.name, cluster.standby.name
            zones = record.get("zones", {})
            parts = [Part(f"rds/{resource}/{first}", "primary", zones.get(first, shape["AvailabilityZone"]))]
            if shape["MultiAZ"]:
                zone = zones.get(second, shape.get("SecondaryAvailabilityZone"))
                parts.append(Part(f"rds/{resource}/{second}", "standby", zone))
            found.append(
                Engine(
                    "database",
                    shape["DBInstanceIdentifier"],
                    scope,
                    parts,
                    endpoints=(f"rds/{resource}",),
                    aliases=(resource,),
                    volume=str(cluster.site.folder),
                )
            )
        return found

    def status(self) -> list[dict[str, Any]]:
        """One entry for each instance, with its `nodes` (role, address, pid, synchronous)."""
        entries = []
        for scope, resource, record in self.records.instances.all():
            cluster = self.fleet.known(resource)
            entries.append(
                {
                    "kind": "db-instance",
                    "name": record["shape"]["DBInstanceIdentifier"],
                    "account": scope.account,
                    "region": scope.region,
                    "state": record["status"],
                    "problem": record["problem"],
                    "endpoint": f"{self.fleet.address(resource)}:{record['port']}" if record["endpoint"] else None,
                    "nodes": cluster.describe() if cluster and record["endpoint"] else [],
                }
            )
        return entries
