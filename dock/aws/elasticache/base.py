"""What every part of the ElastiCache service stands on: its records, its running groups, its background work."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from dock.aws.elasticache.events import EventLog
from dock.aws.elasticache.group import Group
from dock.aws.service import AwsError, Request, Response, Service
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0
# What can go wrong with nodes (NodeError), endpoints (HAProxyError), addresses and files.
PROBLEMS = (RuntimeError, RedisError, OSError)
NODE_GROUP = "0001"
CACHE_NODE = "0001"
MOST_NODES = 6


class Base(Service):
    """Records are `elasticache/…` tables; `groups` are those that run or should."""

    name = "elasticache"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.group_records = cloud.store.table("elasticache/group")
        self.parameter_groups = cloud.store.table("elasticache/parameter-group")
        self.subnet_groups = cloud.store.table("elasticache/subnet-group")
        self.snapshots = cloud.store.table("elasticache/snapshot")
        self.events = EventLog(cloud.store)
        # Known from the first: whoever asks while the dock starts must not hear that a group is gone.
        self.groups = {
            (scope, identifier): Group(cloud, self.events, scope, identifier)
            for scope, identifier, _ in self.group_records.all()
        }
        self._work: set[asyncio.Task[None]] = set()
        self._closing = False

    def group(self, scope: Scope, identifier: str) -> Group:
        """A replication group, whatever its status. Raises ReplicationGroupNotFoundFault."""
        found = self.groups.get((scope, identifier.lower()))
        if found is None:
            raise AwsError("ReplicationGroupNotFoundFault", f"ReplicationGroup {identifier} not found.", 404)
        return found

    def group_in(self, scope: Scope, identifier: str, *statuses: str) -> Group:
        """A replication group in one of these statuses. Raises InvalidReplicationGroupStateFault otherwise."""
        group = self.group(scope, identifier)
        status = group.record["status"]
        if status not in statuses:
            raise AwsError(
                "InvalidReplicationGroupStateFault",
                f"Replication group {identifier} is {status}; it must be {' or '.join(statuses)}.",
            )
        return group

    def cluster(self, scope: Scope, identifier: str) -> tuple[Group, Record]:
        """The group and the member of a cache cluster. Raises CacheClusterNotFoundFault."""
        for (where, _), group in self.groups.items():
            if where == scope:
                for member in group.record["members"]:
                    if member["id"] == identifier.lower():
                        return group, member
        raise AwsError("CacheClusterNotFoundFault", f"CacheCluster {identifier} not found.", 404)

    def spawn(self, group: Group, work: Coroutine[Any, Any, None]) -> None:
        """Work on a group in the background; it ends with the service, the next daemon carries it on."""
        if self._closing:
            work.close()
            return
        task = self.cloud.spawn(work, group.owner)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def conclude(self, group: Group, **changes: Any) -> None:
        """Keep how work on a group ended; while the disk is full, it is tried again."""
        while True:
            try:
                group.update(**changes)
                return
            except sqlite3.OperationalError as problem:
                log.error("%s: its record could not be kept: %s", group.owner, problem)
                await asyncio.sleep(_RETRY_SECONDS)

    async def end_work(self) -> None:
        """Cut background work off, and begin none; records say what is left to do."""
        self._closing = True
        tasks = list(self._work)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def arn(scope: Scope, kind: str, identifier: str) -> str:
    """For example `arn(scope, "replicationgroup", "sessions")`."""
    return f"arn:aws:elasticache:{scope.region}:{scope.account}:{kind}:{identifier}"


def page(items: Iterable[tuple[str, dict[str, Any]]], request: Request, member: str) -> Response:
    """One page of a listing: items with the key that orders them, `MaxRecords` (20 to 100) at a time."""
    size = request.get("MaxRecords", 100)
    if not 20 <= size <= 100:
        raise AwsError("InvalidParameterValueException", "MaxRecords must be between 20 and 100.")
    after = request.get("Marker")
    left = sorted((item for item in items if after is None or item[0] > after), key=lambda item: item[0])
    response: Response = {member: [shape for _, shape in left[:size]]}
    if len(left) > size:
        response["Marker"] = left[size - 1][0]
    return response


def tags_of(request: Request) -> dict[str, str]:
    """The request's tags by key. Raises InvalidParameterValue for what AWS doesn't take."""
    tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])}
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise AwsError("InvalidParameterValueException", f"Invalid tag {key!r}.")
    if len(tags) > 50:
        raise AwsError("TagQuotaPerResourceExceeded", "A resource has at most 50 tags.")
    return tags
