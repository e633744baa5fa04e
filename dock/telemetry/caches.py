"""AWS/ElastiCache: what each node answered to INFO last, and the CPU of its process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dock.aws.cloudwatch import Datum
from dock.aws.elasticache import ElastiCache
from dock.aws.elasticache.base import CACHE_NODE
from dock.aws.elasticache.node_types import cpus
from dock.engines.redis import Node
from dock.store import Scope
from dock.telemetry.measurement import Growth, Measurement, Moment

if TYPE_CHECKING:
    from dock.cloud import Cloud

# What grew since the last round.
_COUNTED = {
    "CacheHits": "keyspace_hits",
    "CacheMisses": "keyspace_misses",
    "Evictions": "evicted_keys",
    "Reclaimed": "expired_keys",
    "NewConnections": "total_connections_received",
}


class Caches:
    def __init__(self, cloud: Cloud) -> None:
        self._elasticache = cloud.service(ElastiCache)
        self._growth = Growth()

    async def collect(self, moment: Moment) -> list[Measurement]:
        found: list[Measurement] = []
        for (scope, _), group in self._elasticache.groups.items():
            node_type = group.record["node_type"]
            nodes = dict(group.replication.nodes)
            for member, node in nodes.items():
                if node.process is not None and node.information:
                    values = self._node(node, cpus(node_type), moment)
                    values |= _replication(node, nodes)
                    found += _measurements(scope, member, values)
        return found

    def _node(self, node: Node, processors: int, moment: Moment) -> dict[str, tuple[float, str]]:
        said = node.information
        place = node.place.name, said.get("process_id")
        values = {
            # The dock's own connections are there too, as ElastiCache's are on AWS.
            "CurrConnections": (float(said["connected_clients"]), "Count"),
            "BytesUsedForCache": (float(said["used_memory"]), "Bytes"),
            "CurrItems": (float(_items(said)), "Count"),
            "MemoryFragmentationRatio": (float(said["mem_fragmentation_ratio"]), "None"),
            "IsMaster": (1.0 if said["role"] == "master" else 0.0, "Count"),
        }
        if said.get("maxmemory"):
            values["DatabaseMemoryUsagePercentage"] = (100 * said["used_memory"] / said["maxmemory"], "Percent")
        process = node.process
        used = self._growth.rate((*place, "cpu"), moment.cpu(process.pid), moment.at) if process is not None else None
        if used is not None:
            values["CPUUtilization"] = (100 * used / processors, "Percent")
        engine = float(said.get("used_cpu_sys_main_thread", 0)) + float(said.get("used_cpu_user_main_thread", 0))
        used = self._growth.rate((*place, "engine"), engine, moment.at)
        if used is not None:
            values["EngineCPUUtilization"] = (100 * used, "Percent")
        grown: dict[str, float] = {}
        for name, key in _COUNTED.items():
            found = self._growth.since((*place, name), float(said[key]), moment.at)
            if found is not None:
                grown[name] = found[0]
        values |= {name: (count, "Count") for name, count in grown.items()}
        asked = grown.get("CacheHits", 0.0) + grown.get("CacheMisses", 0.0)
        if asked:
            values["CacheHitRate"] = (100 * grown["CacheHits"] / asked, "Percent")
        return values


def _items(said: Mapping[str, Any]) -> int:
    return sum(int(part["keys"]) for key, part in said.items() if key.startswith("db") and isinstance(part, dict))


def _replication(node: Node, nodes: Mapping[str, Node]) -> dict[str, tuple[float, str]]:
    """Seconds since a replica behind its primary was last heard of by it, 0 when it has everything."""
    said = node.information
    if said["role"] == "master":
        return {}
    address, port = node.target
    for other in nodes.values():
        primary = other.information
        if primary.get("role") == "master":
            for key, replica in primary.items():
                known = key.startswith("slave") and isinstance(replica, dict)
                if known and (replica["ip"], int(replica["port"])) == (address, port):
                    behind = int(primary["master_repl_offset"]) > int(replica["offset"])
                    return {"ReplicationLag": (float(replica["lag"]) if behind else 0.0, "Seconds")}
    return {}


def _measurements(scope: Scope, member: str, values: Mapping[str, tuple[float, str]]) -> list[Measurement]:
    """Under both sets of dimensions that AWS has."""
    cluster = {"CacheClusterId": member}
    return [
        Measurement(scope, "AWS/ElastiCache", Datum(name, dimensions, value, unit))
        for dimensions in (cluster, {**cluster, "CacheNodeId": CACHE_NODE})
        for name, (value, unit) in values.items()
    ]
