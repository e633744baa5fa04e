"""Records in AWS's shapes."""

from __future__ import annotations

import datetime as dt
from typing import Any

from dock.aws.elasticache.base import CACHE_NODE, NODE_GROUP, arn
from dock.aws.elasticache.group import Group
from dock.store import Record


def moment(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)


def replication_group(group: Group) -> dict[str, Any]:
    """ReplicationGroup."""
    record, status = group.record, group.status
    born = status not in {"creating", "create-failed"}
    return {
        "ReplicationGroupId": record["id"],
        "Description": record["description"],
        "GlobalReplicationGroupInfo": {},
        "Status": status,
        "PendingModifiedValues": _pending(record),
        "MemberClusters": [member["id"] for member in record["members"]],
        "NodeGroups": [_node_group(group, record, status)] if born else [],
        "AutomaticFailover": _enabled(record["automatic_failover"]),
        "MultiAZ": _enabled(record["multi_az"]),
        "SnapshotRetentionLimit": record["snapshot_retention"],
        "SnapshotWindow": record["snapshot_window"],
        "SnapshottingClusterId": record["snapshotting_cluster"],
        "ClusterEnabled": False,
        "ClusterMode": "disabled",
        "CacheNodeType": record["node_type"],
        "ARN": arn(group.scope, "replicationgroup", record["id"]),
        "LogDeliveryConfigurations": [],
        "ReplicationGroupCreateTime": moment(record["created"]),
        "DataTiering": "disabled",
        "Engine": record["engine"],
        "KmsKeyId": record["kms_key"],
        **_common(record),
    }


def cache_cluster(group: Group, member: Record, *, nodes: bool) -> dict[str, Any]:
    """CacheCluster: one node of a group."""
    record = group.record
    identifier = member["id"]
    status = group.member_status(identifier)
    node = group.replication.nodes.get(identifier)
    reboot = node is not None and node.needs_restart
    shape = {
        "CacheClusterId": identifier,
        "ReplicationGroupId": record["id"],
        "CacheNodeType": record["node_type"],
        "Engine": record["engine"],
        "EngineVersion": node.server.version if node is not None else record["version"],
        "CacheClusterStatus": status,
        "NumCacheNodes": 1,
        "PreferredAvailabilityZone": member["zone"],
        "CacheClusterCreateTime": moment(member["created"]),
        "PreferredMaintenanceWindow": record["maintenance_window"],
        "PendingModifiedValues": {"CacheNodeType": record["pending"].get("node_type")},
        "CacheSecurityGroups": [],
        "CacheParameterGroup": {
            "CacheParameterGroupName": record["parameter_group"],
            "ParameterApplyStatus": "pending-reboot" if reboot else "in-sync",
            "CacheNodeIdsToReboot": [CACHE_NODE] if reboot else [],
        },
        "CacheSubnetGroupName": record["subnet_group"],
        "SecurityGroups": [{"SecurityGroupId": found, "Status": "active"} for found in record["security_groups"]],
        "SnapshotRetentionLimit": record["snapshot_retention"],
        "SnapshotWindow": record["snapshot_window"],
        "ARN": arn(group.scope, "cluster", identifier),
        "ReplicationGroupLogDeliveryEnabled": False,
        "LogDeliveryConfigurations": [],
        **_common(record),
    }
    if record["notification_topic"]:
        shape["NotificationConfiguration"] = {
            "TopicArn": record["notification_topic"],
            "TopicStatus": record["notification_status"],
        }
    if nodes and status not in {"creating", "incompatible-network"}:
        shape["CacheNodes"] = [
            {
                "CacheNodeId": CACHE_NODE,
                "CacheNodeStatus": "rebooting" if status.startswith("rebooting") else status,
                "CacheNodeCreateTime": moment(member["created"]),
                "Endpoint": {"Address": group.node_address(identifier), "Port": record["port"]},
                "ParameterGroupStatus": "pending-reboot" if reboot else "in-sync",
                "CustomerAvailabilityZone": member["zone"],
            }
        ]
    return shape


def _node_group(group: Group, record: Record, status: str) -> dict[str, Any]:
    return {
        "NodeGroupId": NODE_GROUP,
        "Status": status,
        "PrimaryEndpoint": {"Address": group.primary_address, "Port": record["port"]},
        "ReaderEndpoint": {"Address": group.reader_address, "Port": record["port"]},
        "NodeGroupMembers": [
            {
                "CacheClusterId": member["id"],
                "CacheNodeId": CACHE_NODE,
                "ReadEndpoint": {"Address": group.node_address(member["id"]), "Port": record["port"]},
                "PreferredAvailabilityZone": member["zone"],
                "CurrentRole": "primary" if member["id"] == record["primary"] else "replica",
            }
            for member in record["members"]
        ],
    }


def _common(record: Record) -> dict[str, Any]:
    return {
        "AuthTokenEnabled": bool(record["tokens"]),
        "AuthTokenLastModifiedDate": moment(record["token_changed"]),
        "TransitEncryptionEnabled": record["tls"],
        "TransitEncryptionMode": "required" if record["tls"] else None,
        "AtRestEncryptionEnabled": record["at_rest"],
        "AutoMinorVersionUpgrade": record["auto_minor"],
        "NetworkType": "ipv4",
        "IpDiscovery": "ipv4",
    }


def _pending(record: Record) -> dict[str, Any]:
    working = record["status"] == "modifying" and record["token_changing"]
    return {"AuthTokenStatus": record["token_changing"]} if working else {}


def _enabled(value: bool) -> str:
    return "enabled" if value else "disabled"
