"""Replication groups: what changes while they run."""

from __future__ import annotations

import time
from typing import Any

from dock.aws.elasticache import auth_token, windows
from dock.aws.elasticache.base import MOST_NODES, NODE_GROUP
from dock.aws.elasticache.creation import check_failover, check_node_group, check_retention, choose_server, spread
from dock.aws.elasticache.group import Group
from dock.aws.elasticache.node_types import check_node_type
from dock.aws.elasticache.replication_groups import ReplicationGroups
from dock.aws.elasticache.shapes import replication_group
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.redis import installed
from dock.store import Record

# Parameters that are simply kept, and what they are called in a record.
_PLAIN = {
    "ReplicationGroupDescription": "description",
    "SecurityGroupIds": "security_groups",
    "NotificationTopicArn": "notification_topic",
    "NotificationTopicStatus": "notification_status",
    "AutoMinorVersionUpgrade": "auto_minor",
}


class Modification(ReplicationGroups):
    """ModifyReplicationGroup, IncreaseReplicaCount, DecreaseReplicaCount, TestFailover."""

    @operation(
        "ModifyReplicationGroup",
        acts=(
            "ReplicationGroupId ReplicationGroupDescription PrimaryClusterId SnapshottingClusterId "
            "AutomaticFailoverEnabled MultiAZEnabled PreferredMaintenanceWindow CacheParameterGroupName "
            "ApplyImmediately Engine EngineVersion SnapshotRetentionLimit SnapshotWindow CacheNodeType AuthToken "
            "AuthTokenUpdateStrategy TransitEncryptionEnabled TransitEncryptionMode ClusterMode IpDiscovery"
        ),
        records="SecurityGroupIds NotificationTopicArn NotificationTopicStatus AutoMinorVersionUpgrade",
    )
    async def modify_replication_group(self, call: Call, request: Request) -> Response:
        group = self.group_in(call.scope, request["ReplicationGroupId"], "available")
        record = group.record
        _refuse_fixed(record, request)
        changes: dict[str, Any] = {name: request[given] for given, name in _PLAIN.items() if given in request}
        changes |= self._failover_changes(record, request)
        changes |= _snapshot_changes(record, request)
        changes |= _token_changes(record, request)
        if "CacheParameterGroupName" in request:
            server = choose_server(installed(), record["engine"], None)
            changes["parameter_group"] = self.parameter_group_for(
                call.scope, server, request["CacheParameterGroupName"]
            )
        if "CacheNodeType" in request:
            node_type = check_node_type(request["CacheNodeType"])
            later = {} if node_type == record["node_type"] else {"node_type": node_type}
            # As on AWS, a new node type waits for the maintenance window unless it is asked for now.
            changes |= {**later, "pending": {}} if request.get("ApplyImmediately") else {"pending": later}
        group.update(**changes, status="modifying")
        self.spawn(group, self.carry_out(group))
        return {"ReplicationGroup": replication_group(group)}

    @operation("IncreaseReplicaCount", acts="ReplicationGroupId NewReplicaCount ReplicaConfiguration ApplyImmediately")
    async def increase_replica_count(self, call: Call, request: Request) -> Response:
        group = self.group_in(call.scope, request["ReplicationGroupId"], "available")
        record = group.record
        members = list(record["members"])
        count, preferred = _new_count(request, members)
        if count <= len(members):
            raise AwsError("InvalidParameterValueException", f"The group has {len(members) - 1} replicas already.")
        if count > MOST_NODES:
            raise AwsError("InvalidParameterValueException", f"A group has at most {MOST_NODES - 1} replicas.")
        zones = self.zones(call.scope, record["subnet_group"])
        assigned = spread([member["zone"] for member in members], count, zones)[len(members) :]
        if preferred:
            if unknown := sorted(set(preferred) - set(zones)):
                raise AwsError(
                    "InvalidParameterValueException", f"{', '.join(unknown)} is not among {', '.join(zones)}."
                )
            assigned = (preferred + assigned)[: len(assigned)]
        for zone in assigned:
            taken = {member["id"] for member in members} | set(record["leaving"])
            number = next(n for n in range(1, 1000) if f"{record['id']}-{n:03d}" not in taken)
            members.append(
                {"id": f"{record['id']}-{number:03d}", "zone": zone, "created": time.time(), "tags": record["tags"]}
            )
        group.reserve([member["id"] for member in members[-len(assigned) :]])
        return self._resize(group, members, [])

    @operation(
        "DecreaseReplicaCount",
        acts="ReplicationGroupId NewReplicaCount ReplicaConfiguration ReplicasToRemove ApplyImmediately",
    )
    async def decrease_replica_count(self, call: Call, request: Request) -> Response:
        group = self.group_in(call.scope, request["ReplicationGroupId"], "available")
        record = group.record
        members = record["members"]
        replicas = [member["id"] for member in members if member["id"] != record["primary"]]
        leaving = [name.lower() for name in request.get("ReplicasToRemove", [])]
        if unknown := [name for name in leaving if name not in replicas]:
            raise AwsError("InvalidParameterValueException", f"{', '.join(unknown)} is not a replica of the group.")
        if not leaving:
            count, _ = _new_count(request, members)
            if count < 1 or count >= len(members):
                raise AwsError("InvalidParameterValueException", f"The group has {len(replicas)} replicas.")
            leaving = replicas[count - 1 :]
        elif not request["ApplyImmediately"]:
            _new_count({**request, "NewReplicaCount": 0}, members)
        remaining = [member for member in members if member["id"] not in leaving]
        check_failover(len(remaining), record["automatic_failover"], record["multi_az"])
        return self._resize(group, remaining, leaving)

    @operation("TestFailover", acts="ReplicationGroupId NodeGroupId")
    async def test_failover(self, call: Call, request: Request) -> Response:
        group = self.group_in(call.scope, request["ReplicationGroupId"], "available")
        check_node_group(request["NodeGroupId"])
        if not group.record["automatic_failover"]:
            raise AwsError(
                "InvalidReplicationGroupStateFault", "Automatic failover of the replication group must be enabled."
            )
        if not group.replication.in_order:
            raise AwsError(
                "InvalidReplicationGroupStateFault", "A node of the replication group is down or not in sync."
            )
        group.update(status="modifying")
        group.happened(None, f"Test Failover API called for node group {NODE_GROUP}")
        self.spawn(group, self.fail_over(group))
        return {"ReplicationGroup": replication_group(group)}

    def _resize(self, group: Group, members: list[dict[str, Any]], leaving: list[str]) -> Response:
        group.update(members=members, leaving=[*group.record["leaving"], *leaving], status="modifying")
        self.spawn(group, self.carry_out(group, f"Replication group {group.identifier} has {len(members)} nodes"))
        return {"ReplicationGroup": replication_group(group)}

    def _failover_changes(self, record: Record, request: Request) -> dict[str, Any]:
        automatic = bool(request.get("AutomaticFailoverEnabled", record["automatic_failover"]))
        multi_az = bool(request.get("MultiAZEnabled", record["multi_az"] and automatic))
        check_failover(len(record["members"]), automatic, multi_az)
        changes: dict[str, Any] = {"automatic_failover": automatic, "multi_az": multi_az}
        if primary := request.get("PrimaryClusterId", "").lower():
            if primary not in {member["id"] for member in record["members"]}:
                raise AwsError("CacheClusterNotFoundFault", f"{primary} is not in the replication group.", 404)
            if automatic and primary != record["primary"]:
                raise AwsError(
                    "InvalidParameterCombinationException",
                    "The primary can't be chosen while automatic failover is enabled: disable it first, or use "
                    "TestFailover.",
                )
            changes["primary"] = primary
        return changes


def _refuse_fixed(record: Record, request: Request) -> None:
    """Refuse changes of what a group keeps for its life."""
    same = {
        "TransitEncryptionEnabled": record["tls"],
        "TransitEncryptionMode": "required" if record["tls"] else None,
        "ClusterMode": "disabled",
        "IpDiscovery": "ipv4",
        "Engine": record["engine"],
    }
    for name, value in same.items():
        if name in request and request[name] != value:
            raise AwsError(
                "InvalidParameterValueException",
                f"The dock can't change {name} of a replication group from {value}: create another group.",
            )
    if "EngineVersion" in request:
        choose_server(installed(), record["engine"], request["EngineVersion"])


def _snapshot_changes(record: Record, request: Request) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if "SnapshotRetentionLimit" in request:
        changes["snapshot_retention"] = check_retention(request["SnapshotRetentionLimit"])
    if "SnapshotWindow" in request:
        changes["snapshot_window"] = windows.check_snapshot_window(request["SnapshotWindow"])
    if "PreferredMaintenanceWindow" in request:
        changes["maintenance_window"] = windows.check_maintenance_window(request["PreferredMaintenanceWindow"])
    if cluster := request.get("SnapshottingClusterId", "").lower():
        if cluster not in {member["id"] for member in record["members"]}:
            raise AwsError("CacheClusterNotFoundFault", f"{cluster} is not in the replication group.", 404)
        changes["snapshotting_cluster"] = cluster
    return changes


def _token_changes(record: Record, request: Request) -> dict[str, Any]:
    strategy, token = request.get("AuthTokenUpdateStrategy"), request.get("AuthToken")
    if strategy is None and token is None:
        return {}
    if not request.get("ApplyImmediately"):
        raise AwsError(
            "InvalidParameterCombinationException", "A change of the AuthToken needs ApplyImmediately to be true."
        )
    changes = auth_token.update(record, token, strategy)
    changing = "ROTATING" if strategy in (None, "ROTATE") else "SETTING"
    return {**changes, "token_changed": time.time(), "token_changing": changing}


def _new_count(request: Request, members: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """How many nodes there shall be, and the zones that are preferred for new ones."""
    if not request["ApplyImmediately"]:
        raise AwsError("InvalidParameterValueException", "ApplyImmediately must be true: AWS has no other way yet.")
    configurations = request.get("ReplicaConfiguration", [])
    if len(configurations) > 1:
        raise AwsError("InvalidParameterValueException", "The dock has one node group in a replication group.")
    for configuration in configurations:
        check_node_group(configuration["NodeGroupId"])
        zones = configuration.get("PreferredAvailabilityZones", [])
        # AWS's list names the zones of all nodes, those that are there first.
        return configuration["NewReplicaCount"] + 1, zones[len(members) :]
    if "NewReplicaCount" not in request:
        raise AwsError("InvalidParameterCombinationException", "NewReplicaCount must be given.")
    return request["NewReplicaCount"] + 1, []
