"""Engine versions, events, and tags."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from dock.aws.elasticache.base import Base, page, tags_of
from dock.aws.elasticache.parameters import family
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.redis import installed
from dock.store import Record, Table

_DEFAULT_MINUTES = 60
_LONGEST_MINUTES = 14 * 24 * 60


class Information(Base):
    """DescribeCacheEngineVersions, DescribeEvents, and the operations on tags."""

    @operation(
        "DescribeCacheEngineVersions",
        acts="Engine EngineVersion CacheParameterGroupFamily MaxRecords Marker DefaultOnly",
    )
    async def describe_cache_engine_versions(self, call: Call, request: Request) -> Response:
        found = [
            (
                server.engine,
                {
                    "Engine": server.engine,
                    "EngineVersion": server.release,
                    "CacheParameterGroupFamily": family(server),
                    "CacheEngineDescription": {"redis": "Redis", "valkey": "Valkey"}[server.engine],
                    "CacheEngineVersionDescription": f"{server.engine} version {server.version}",
                },
            )
            for server in installed()
            if request.get("Engine") in (None, server.engine)
            and request.get("EngineVersion") in (None, server.release, server.version)
            and request.get("CacheParameterGroupFamily") in (None, family(server))
        ]
        return page(found, request, "CacheEngineVersions")

    @operation("DescribeEvents", acts="SourceIdentifier SourceType StartTime EndTime Duration MaxRecords Marker")
    async def describe_events(self, call: Call, request: Request) -> Response:
        source, source_type = request.get("SourceIdentifier"), request.get("SourceType")
        if source and not source_type:
            raise AwsError("InvalidParameterCombinationException", "A SourceIdentifier needs a SourceType.")
        minutes = request.get("Duration", _DEFAULT_MINUTES)
        if not 0 < minutes <= _LONGEST_MINUTES:
            raise AwsError("InvalidParameterValueException", f"Duration is 1 to {_LONGEST_MINUTES} minutes.")
        end = _seconds(request.get("EndTime")) or time.time()
        begin = _seconds(request.get("StartTime")) or end - minutes * 60
        found = self.events.find(call.scope, source=source, source_type=source_type, begin=begin, end=end)
        return page(found, request, "Events")

    @operation("ListTagsForResource", acts="ResourceName")
    async def list_tags_for_resource(self, call: Call, request: Request) -> Response:
        _, record, member = self._tagged(call, request["ResourceName"])
        return _tag_list((member or record)["tags"])

    @operation("AddTagsToResource", acts="ResourceName Tags")
    async def add_tags_to_resource(self, call: Call, request: Request) -> Response:
        added = tags_of(request)
        return self._change_tags(call, request["ResourceName"], lambda tags: {**tags, **added})

    @operation("RemoveTagsFromResource", acts="ResourceName TagKeys")
    async def remove_tags_from_resource(self, call: Call, request: Request) -> Response:
        gone = set(request["TagKeys"])
        return self._change_tags(
            call, request["ResourceName"], lambda tags: {key: tags[key] for key in tags if key not in gone}
        )

    def _change_tags(self, call: Call, name: str, change: Any) -> Response:
        table, record, member = self._tagged(call, name)
        holder = member or record
        holder["tags"] = change(holder["tags"])
        if len(holder["tags"]) > 50:
            raise AwsError("TagQuotaPerResourceExceeded", "A resource has at most 50 tags.")
        if member is None:
            # As on AWS, a replication group's tags go on to its nodes.
            for node in record.get("members", []):
                node["tags"] = change(node["tags"])
        table.put(call.scope, record.get("id") or record["name"], record)
        return _tag_list(holder["tags"])

    def _tagged(self, call: Call, name: str) -> tuple[Table, Record, Record | None]:
        """The table and the record that an ARN names, and the member of the record when it names a node."""
        parts = name.split(":")
        if len(parts) != 7 or parts[:3] != ["arn", "aws", "elasticache"]:
            raise AwsError("InvalidARNFault", f"{name} is not the ARN of an ElastiCache resource.")
        kind, identifier = parts[5], parts[6]
        if (parts[4], parts[3]) != (call.account, call.region):
            raise AwsError("InvalidARNFault", f"{name} is not in {call.account}, {call.region}.")
        if kind == "cluster":
            group, _ = self.cluster(call.scope, identifier)
            record = group.record
            member = next(found for found in record["members"] if found["id"] == identifier.lower())
            return self.group_records, record, member
        tables = {
            "replicationgroup": (self.group_records, "ReplicationGroupNotFoundFault"),
            "parametergroup": (self.parameter_groups, "CacheParameterGroupNotFoundFault"),
            "subnetgroup": (self.subnet_groups, "CacheSubnetGroupNotFoundFault"),
            "snapshot": (self.snapshots, "SnapshotNotFoundFault"),
        }
        if kind not in tables:
            raise AwsError("InvalidARNFault", f"The dock has no resources of the kind {kind}.")
        table, missing = tables[kind]
        found = table.get(call.scope, identifier.lower())
        if found is None:
            raise AwsError(missing, f"{name} not found.", 404)
        return table, found, None


def _tag_list(tags: dict[str, str]) -> Response:
    return {"TagList": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}


def _seconds(moment: dt.datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
