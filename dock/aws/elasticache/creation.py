"""What CreateReplicationGroup asks for, checked, as a record."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

from dock.aws.elasticache import auth_token, windows
from dock.aws.elasticache.base import MOST_NODES, NODE_GROUP
from dock.aws.elasticache.node_types import check_node_type
from dock.aws.service import AwsError, Request
from dock.engines.redis import Server, what_is_missing
from dock.store import Record

_IDENTIFIER = re.compile(r"[a-zA-Z](?:-?[a-zA-Z0-9])*")
_LONGEST_IDENTIFIER = 40
DEFAULT_PORT = 6379


def check_identifier(identifier: str) -> str:
    """In lower case. Raises InvalidParameterValue."""
    if not _IDENTIFIER.fullmatch(identifier) or len(identifier) > _LONGEST_IDENTIFIER:
        raise AwsError(
            "InvalidParameterValueException",
            f"Invalid ReplicationGroupId {identifier!r}: 1 to 40 letters, digits and single hyphens, beginning with a "
            "letter and not ending with a hyphen.",
        )
    return identifier.lower()


def choose_server(servers: Sequence[Server], engine: str | None, version: str | None) -> Server:
    """The installed server that is asked for. Raises InvalidParameterValue, saying what is there."""
    if not servers:
        raise AwsError("InsufficientCacheClusterCapacityFault", f"No node can be made: {what_is_missing()}.")
    there = ", ".join(f"{server.engine} {server.release} ({server.version})" for server in servers)
    wanted = (engine or "redis").lower()
    for server in servers:
        if server.engine == wanted and (version is None or _serves(server, version)):
            return server
    raise AwsError(
        "InvalidParameterValueException",
        f"Engine {wanted} {version or ''}".rstrip() + f" is not installed; the dock has {there}.",
    )


def check_nodes(request: Request) -> int:
    """How many nodes are asked for. Raises InvalidParameterCombination, InvalidParameterValue."""
    if request.get("ClusterMode", "disabled") != "disabled" or request.get("NumNodeGroups", 1) != 1:
        raise AwsError(
            "InvalidParameterValueException",
            "The dock has replication groups with cluster mode disabled only: one node group (NumNodeGroups=1).",
        )
    configurations = request.get("NodeGroupConfiguration", [])
    if len(configurations) > 1:
        raise AwsError("InvalidParameterValueException", "The dock has one node group in a replication group.")
    asked = [
        number
        for number in (
            request.get("NumCacheClusters"),
            _one_more(request.get("ReplicasPerNodeGroup")),
            *(_one_more(found.get("ReplicaCount")) for found in configurations),
            len(request["PreferredCacheClusterAZs"]) if request.get("PreferredCacheClusterAZs") else None,
        )
        if number is not None
    ]
    if len(set(asked)) > 1:
        raise AwsError(
            "InvalidParameterCombinationException",
            "NumCacheClusters, ReplicasPerNodeGroup, NodeGroupConfiguration and PreferredCacheClusterAZs ask for "
            f"different numbers of nodes: {', '.join(str(number) for number in asked)}.",
        )
    count = asked[0] if asked else 1
    if not 1 <= count <= MOST_NODES:
        raise AwsError("InvalidParameterValueException", f"A group has 1 to {MOST_NODES} nodes, not {count}.")
    return int(count)


def check_failover(count: int, automatic: bool, multi_az: bool) -> None:
    """Raises InvalidParameterCombination where AWS does."""
    if automatic and count < 2:
        raise AwsError(
            "InvalidParameterCombinationException",
            "Automatic failover needs at least two nodes: a primary and a replica.",
        )
    if multi_az and not automatic:
        raise AwsError("InvalidParameterCombinationException", "Multi-AZ needs automatic failover to be enabled.")


def assign_zones(request: Request, count: int, zones: Sequence[str]) -> list[str]:
    """A zone for each node, the primary's first. Raises InvalidParameterValue for one that is not there."""
    configured = (request.get("NodeGroupConfiguration") or [{}])[0]
    wanted = list(request.get("PreferredCacheClusterAZs", []))
    if not wanted and (primary := configured.get("PrimaryAvailabilityZone")):
        wanted = [primary, *configured.get("ReplicaAvailabilityZones", [])]
    unknown = sorted(set(wanted) - set(zones))
    if unknown:
        raise AwsError(
            "InvalidParameterValueException",
            f"{', '.join(unknown)} is not a zone of the subnet group: it has {', '.join(zones)}.",
        )
    return spread(wanted[:count], count, zones)


def spread(taken: Sequence[str], count: int, zones: Sequence[str]) -> list[str]:
    """The zones of `count` nodes: those taken, then each time the one with fewest nodes."""
    assigned = list(taken)
    while len(assigned) < count:
        assigned.append(min(zones, key=lambda zone: (assigned.count(zone), zone)))
    return assigned


def new_record(
    request: Request, server: Server, assigned: Sequence[str], parameter_group: str, tags: dict[str, str]
) -> Record:
    """The record of a group that is to be created, from a request whose parts were checked."""
    identifier = check_identifier(request["ReplicationGroupId"])
    automatic = request.get("AutomaticFailoverEnabled", False)
    multi_az = request.get("MultiAZEnabled", False)
    check_failover(len(assigned), automatic, multi_az)
    if multi_az and len(set(assigned)) < 2:
        raise AwsError("InvalidParameterCombinationException", "Multi-AZ needs nodes in at least two zones.")
    now = time.time()
    members = [
        {"id": f"{identifier}-{number:03d}", "zone": zone, "created": now, "tags": tags}
        for number, zone in enumerate(assigned, 1)
    ]
    return {
        "id": identifier,
        "description": request["ReplicationGroupDescription"],
        "status": "creating",
        "problem": None,
        "created": now,
        "engine": server.engine,
        "version": server.version,
        "node_type": check_node_type(_needed(request, "CacheNodeType")),
        "port": _port(request.get("Port", DEFAULT_PORT)),
        "members": members,
        "leaving": [],
        "rebooting": [],
        "primary": members[0]["id"],
        "history": None,
        "automatic_failover": automatic,
        "multi_az": multi_az,
        "parameter_group": parameter_group,
        "subnet_group": request.get("CacheSubnetGroupName", "").lower() or None,
        "security_groups": request.get("SecurityGroupIds", []),
        "snapshot_retention": check_retention(request.get("SnapshotRetentionLimit", 0)),
        "snapshot_window": windows.check_snapshot_window(
            request.get("SnapshotWindow", windows.DEFAULT_SNAPSHOT_WINDOW)
        ),
        "snapshotting_cluster": None,
        "maintenance_window": windows.check_maintenance_window(
            request.get("PreferredMaintenanceWindow", windows.DEFAULT_MAINTENANCE_WINDOW)
        ),
        "notification_topic": request.get("NotificationTopicArn"),
        "notification_status": "active",
        "auto_minor": request.get("AutoMinorVersionUpgrade", True),
        "seed": request.get("SnapshotName", "").lower() or None,
        "final_snapshot": None,
        "pending": {},
        "tags": tags,
        **_encryption(request),
    }


def check_retention(days: int) -> int:
    if not 0 <= days <= 35:
        raise AwsError("InvalidParameterValueException", f"SnapshotRetentionLimit is 0 to 35 days, not {days}.")
    return days


def check_node_group(identifier: str) -> None:
    """Raises NodeGroupNotFoundFault for any but the only one."""
    if identifier != NODE_GROUP:
        raise AwsError("NodeGroupNotFoundFault", f"Node group {identifier} not found; there is {NODE_GROUP}.", 404)


def _encryption(request: Request) -> dict[str, Any]:
    tls = request.get("TransitEncryptionEnabled", False)
    mode = request.get("TransitEncryptionMode")
    if mode == "preferred":
        raise AwsError(
            "InvalidParameterValueException",
            "The dock has no TransitEncryptionMode preferred: its Redis serves TLS or plain text, not both on a port.",
        )
    if mode and not tls:
        raise AwsError("InvalidParameterCombinationException", "TransitEncryptionMode needs TransitEncryptionEnabled.")
    at_rest = request.get("AtRestEncryptionEnabled", False)
    if request.get("KmsKeyId") and not at_rest:
        raise AwsError("InvalidParameterCombinationException", "KmsKeyId needs AtRestEncryptionEnabled.")
    tokens = []
    if (token := request.get("AuthToken")) is not None:
        if not tls:
            raise AwsError("InvalidParameterCombinationException", "An AuthToken needs TransitEncryptionEnabled.")
        tokens = [auth_token.check_token(token)]
    return {
        "tls": tls,
        "at_rest": at_rest,
        "kms_key": request.get("KmsKeyId"),
        "tokens": tokens,
        "token_required": bool(tokens),
        "token_changed": time.time() if tokens else None,
        "token_changing": None,
    }


def _serves(server: Server, version: str) -> bool:
    """Whether `version` (7, 7.0 or 7.0.15) is what the server has."""
    wanted = version.removesuffix(".x").split(".")
    return server.version.split(".")[: len(wanted)] == wanted


def _needed(request: Request, name: str) -> str:
    if name not in request:
        raise AwsError("InvalidParameterCombinationException", f"{name} must be given.")
    return str(request[name])


def _port(port: int) -> int:
    if not 1024 <= port <= 65535:
        raise AwsError("InvalidParameterValueException", f"The dock serves ports 1024 to 65535, not {port}.")
    return port


def _one_more(replicas: int | None) -> int | None:
    return None if replicas is None else replicas + 1
