"""Replication groups: create, describe, delete."""

from __future__ import annotations

from dock.aws.elasticache.base import page, tags_of
from dock.aws.elasticache.creation import assign_zones, check_identifier, check_nodes, choose_server, new_record
from dock.aws.elasticache.group import Group
from dock.aws.elasticache.lifecycle import Lifecycle
from dock.aws.elasticache.parameter_groups import ParameterGroups
from dock.aws.elasticache.shapes import replication_group
from dock.aws.elasticache.subnet_groups import SubnetGroups
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.redis import installed


class ReplicationGroups(Lifecycle, ParameterGroups, SubnetGroups):
    """CreateReplicationGroup, DescribeReplicationGroups, DeleteReplicationGroup."""

    @operation(
        "CreateReplicationGroup",
        acts=(
            "ReplicationGroupId ReplicationGroupDescription AutomaticFailoverEnabled MultiAZEnabled NumCacheClusters "
            "PreferredCacheClusterAZs NumNodeGroups ReplicasPerNodeGroup NodeGroupConfiguration CacheNodeType Engine "
            "EngineVersion CacheParameterGroupName CacheSubnetGroupName Tags SnapshotName PreferredMaintenanceWindow "
            "Port SnapshotRetentionLimit SnapshotWindow AuthToken TransitEncryptionEnabled TransitEncryptionMode "
            "ClusterMode NetworkType IpDiscovery DataTieringEnabled"
        ),
        records="SecurityGroupIds NotificationTopicArn AutoMinorVersionUpgrade AtRestEncryptionEnabled KmsKeyId",
    )
    async def create_replication_group(self, call: Call, request: Request) -> Response:
        identifier = check_identifier(request["ReplicationGroupId"])
        if (call.scope, identifier) in self.groups:
            raise AwsError("ReplicationGroupAlreadyExistsFault", f"Replication group {identifier} already exists.")
        _check_kind(request)
        count = check_nodes(request)
        servers = installed()
        if name := request.get("SnapshotName"):
            snapshot = self.snapshot(call.scope, name)
            if snapshot["status"] != "available":
                raise AwsError("InvalidParameterValueException", f"Snapshot {name} is {snapshot['status']}.")
            request = {"CacheNodeType": snapshot["node_type"], "Engine": snapshot["engine"], **request}
        server = choose_server(servers, request.get("Engine"), request.get("EngineVersion"))
        parameter_group = self.parameter_group_for(call.scope, server, request.get("CacheParameterGroupName"))
        zones = self.zones(call.scope, request.get("CacheSubnetGroupName"))
        record = new_record(request, server, assign_zones(request, count, zones), parameter_group, tags_of(request))
        for (scope, other), group in self.groups.items():
            taken = {member["id"] for member in group.record["members"]} if scope == call.scope else set()
            if clash := taken & {member["id"] for member in record["members"]}:
                raise AwsError(
                    "InvalidParameterValueException",
                    f"Cluster {min(clash)} exists already, in replication group {other}.",
                )
        self.group_records.put(call.scope, identifier, record)
        try:
            group = Group(self.cloud, self.events, call.scope, identifier)
            group.reserve([member["id"] for member in record["members"]])
        except (AwsError, RuntimeError) as problem:
            self.group_records.delete(call.scope, identifier)
            raise AwsError("InsufficientCacheClusterCapacityFault", str(problem)) from None
        self.groups[call.scope, identifier] = group
        self.spawn(group, self.bring_up(group))
        return {"ReplicationGroup": replication_group(group)}

    @operation("DescribeReplicationGroups", acts="ReplicationGroupId MaxRecords Marker")
    async def describe_replication_groups(self, call: Call, request: Request) -> Response:
        if identifier := request.get("ReplicationGroupId"):
            return {"ReplicationGroups": [replication_group(self.group(call.scope, identifier))]}
        found = [
            (identifier, replication_group(group))
            for (scope, identifier), group in self.groups.items()
            if scope == call.scope
        ]
        return page(found, request, "ReplicationGroups")

    @operation("DeleteReplicationGroup", acts="ReplicationGroupId RetainPrimaryCluster FinalSnapshotIdentifier")
    async def delete_replication_group(self, call: Call, request: Request) -> Response:
        if request.get("RetainPrimaryCluster"):
            raise AwsError(
                "InvalidParameterValueException",
                "The dock can't retain the primary as a cluster of its own: ask for a FinalSnapshotIdentifier, and "
                "create another group from it.",
            )
        group = self.group_in(call.scope, request["ReplicationGroupId"], "available", "create-failed")
        final = request.get("FinalSnapshotIdentifier")
        if final and group.record["status"] == "create-failed":
            raise AwsError("InvalidParameterCombinationException", "A group that was never created has no data.")
        with self.cloud.store.transaction():
            if final:
                final = self.new_snapshot(group, final, None)["name"]
            group.update(status="deleting", final_snapshot=final)
        response = {"ReplicationGroup": replication_group(group)}
        self.spawn(group, self.take_down(group))
        return response


def _check_kind(request: Request) -> None:
    """Refuse what the dock has no nodes for."""
    if request.get("DataTieringEnabled"):
        raise AwsError("InvalidParameterValueException", "The dock has no data tiering.")
    if request.get("NetworkType", "ipv4") != "ipv4" or request.get("IpDiscovery", "ipv4") != "ipv4":
        raise AwsError("InvalidParameterValueException", "The dock has IPv4 addresses only.")
