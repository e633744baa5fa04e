"""AWS/RDS: what a server says of itself, and what its processes and its folder use."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from dock.aws.cloudwatch import Datum
from dock.aws.rds import Rds
from dock.aws.rds.classes import instance_class
from dock.engines.postgres.access import ADMIN
from dock.engines.postgres.cluster import Cluster
from dock.engines.postgres.configuration import slot
from dock.engines.postgres.node import Node
from dock.engines.postgres.state import NODES
from dock.engines.process_table import members, proportional_memory
from dock.store import Record, Scope
from dock.telemetry.measurement import Growth, Measurement, Moment

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

_GIB = 1024**3
ANSWER_SECONDS = 3.0
# Walking through a data folder and weighing shared memory cost more than a question.
_WEIGH_SECONDS = 15.0
_QUESTION = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> %(admin)s)
         AS connections,
       (SELECT sum(blks_read) FROM pg_stat_database) AS blocks_read,
       (SELECT buffers_checkpoint + buffers_clean + buffers_backend FROM pg_stat_bgwriter)
         + (SELECT wal_write FROM pg_stat_wal) AS blocks_written,
       (SELECT max(age(datfrozenxid)) FROM pg_database) AS transaction_ids,
       (SELECT sum(size) FROM pg_ls_waldir()) AS log_bytes,
       (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FROM pg_replication_slots
         WHERE slot_name <> ALL(%(own)s)) AS slot_lag
"""


class Databases:
    def __init__(self, cloud: Cloud) -> None:
        self._rds = cloud.service(Rds)
        self._growth = Growth()
        self._weights: dict[str, tuple[float, int, int]] = {}

    async def collect(self, moment: Moment) -> list[Measurement]:
        asked = []
        for scope, resource, record in self._rds.records.instances.all():
            cluster = self._rds.fleet.known(resource)
            if cluster is not None and cluster.primary.process is not None:
                asked.append(self._instance(scope, record, cluster, moment))
        return [measurement for found in await asyncio.gather(*asked) for measurement in found]

    async def _instance(self, scope: Scope, record: Record, cluster: Cluster, moment: Moment) -> list[Measurement]:
        node = cluster.primary
        process = node.process
        if process is None:
            return []
        resource, shape = record["resource_id"], record["shape"]
        size = instance_class(shape["DBInstanceClass"])
        values: dict[str, tuple[float, str]] = {}
        rate = self._growth.rate((resource, process.pid), moment.cpu(process.pid), moment.at)
        if rate is not None:
            values["CPUUtilization"] = (100 * rate / size.cpus, "Percent")
        stored, memory = await self._weigh(resource, node, process.pid, moment)
        values["FreeStorageSpace"] = (max(0, shape["AllocatedStorage"] * _GIB - stored), "Bytes")
        values["FreeableMemory"] = (max(0, size.memory - memory), "Bytes")
        values |= await self._answers(resource, node, moment)
        return _measurements(scope, shape["DBInstanceIdentifier"], values)

    async def _answers(self, resource: str, node: Node, moment: Moment) -> dict[str, tuple[float, str]]:
        """What the server itself says; nothing when it doesn't answer."""
        try:
            async with node.connect("postgres", ANSWER_SECONDS) as connection:
                cursor = connection.cursor(row_factory=dict_row)
                # The standby's slot is the dock's own, as Multi-AZ is RDS's own: neither is the user's to watch.
                await cursor.execute(_QUESTION, {"admin": ADMIN, "own": [slot(name) for name in NODES]})
                row: dict[str, Any] = await cursor.fetchone() or {}
        except (psycopg.Error, TimeoutError, OSError):
            return {}
        values = {
            "DatabaseConnections": (float(row["connections"]), "Count"),
            "MaximumUsedTransactionIDs": (float(row["transaction_ids"]), "Count"),
            "TransactionLogsDiskUsage": (float(row["log_bytes"] or 0), "Bytes"),
        }
        if row["slot_lag"] is not None:
            values["OldestReplicationSlotLag"] = (float(row["slot_lag"]), "Bytes")
        for name, total in (("ReadIOPS", "blocks_read"), ("WriteIOPS", "blocks_written")):
            rate = self._growth.rate((resource, name), float(row[total] or 0), moment.at)
            if rate is not None:
                values[name] = (rate, "Count/Second")
        return values

    async def _weigh(self, resource: str, node: Node, pid: int, moment: Moment) -> tuple[int, int]:
        """Bytes on disk and bytes of memory, measured every few rounds."""
        measured = self._weights.get(resource)
        if measured is None or moment.at - measured[0] >= _WEIGH_SECONDS:
            pids = members(pid, moment.processes)
            stored, memory = await asyncio.gather(
                asyncio.to_thread(stored_bytes, node.folder), asyncio.to_thread(proportional_memory, pids)
            )
            measured = self._weights[resource] = (time.time(), stored, memory)
        return measured[1], measured[2]


def stored_bytes(folder: Path) -> int:
    """What the files below a folder take on the disk. Blocks."""
    total = 0
    folders = [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            # Files come and go while the server works.
            continue
    return total


def _measurements(scope: Scope, identifier: str, values: dict[str, tuple[float, str]]) -> list[Measurement]:
    dimensions = {"DBInstanceIdentifier": identifier}
    return [
        Measurement(scope, "AWS/RDS", Datum(name, dimensions, value, unit)) for name, (value, unit) in values.items()
    ]
