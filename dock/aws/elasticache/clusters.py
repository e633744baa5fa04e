"""Cache clusters: each node of a replication group, in ElastiCache's older terms."""

from __future__ import annotations

from dock.aws.elasticache.base import CACHE_NODE, page
from dock.aws.elasticache.lifecycle import Lifecycle
from dock.aws.elasticache.shapes import cache_cluster
from dock.aws.service import AwsError, Call, Request, Response, operation


class Clusters(Lifecycle):
    """DescribeCacheClusters, RebootCacheCluster."""

    @operation(
        "DescribeCacheClusters",
        acts="CacheClusterId MaxRecords Marker ShowCacheNodeInfo ShowCacheClustersNotInReplicationGroups",
    )
    async def describe_cache_clusters(self, call: Call, request: Request) -> Response:
        nodes = request.get("ShowCacheNodeInfo", False)
        if identifier := request.get("CacheClusterId"):
            group, member = self.cluster(call.scope, identifier)
            return {"CacheClusters": [cache_cluster(group, member, nodes=nodes)]}
        if request.get("ShowCacheClustersNotInReplicationGroups"):
            # Every cluster of the dock is in one.
            return {"CacheClusters": []}
        found = [
            (member["id"], cache_cluster(group, member, nodes=nodes))
            for (scope, _), group in self.groups.items()
            if scope == call.scope
            for member in group.record["members"]
        ]
        return page(found, request, "CacheClusters")

    @operation("RebootCacheCluster", acts="CacheClusterId CacheNodeIdsToReboot")
    async def reboot_cache_cluster(self, call: Call, request: Request) -> Response:
        group, member = self.cluster(call.scope, request["CacheClusterId"])
        if request["CacheNodeIdsToReboot"] != [CACHE_NODE]:
            raise AwsError("InvalidParameterValueException", f"A cluster of the dock has the one node {CACHE_NODE}.")
        status = group.member_status(member["id"])
        if group.record["status"] != "available" or status != "available":
            raise AwsError(
                "InvalidCacheClusterStateFault",
                f"Cluster {member['id']} is {status}, its group {group.status}; both must be available.",
            )
        group.update(rebooting=[member["id"]], status="modifying")
        self.spawn(group, self.reboot(group))
        return {"CacheCluster": cache_cluster(group, member, nodes=False)}
