"""Events and tags."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dock.aws.rds import checks, description
from dock.aws.rds.part import Part
from dock.aws.rds.records import page, tag_list
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Table

_MOST_TAGS = 50
_LONGEST_MINUTES = 14 * 1440


class Annals(Part):
    """DescribeEvents, AddTagsToResource and their like."""

    @operation(
        "DescribeEvents",
        acts="SourceIdentifier SourceType StartTime EndTime Duration EventCategories MaxRecords Marker",
    )
    async def describe_events(self, call: Call, request: Request) -> Response:
        if "SourceIdentifier" in request and "SourceType" not in request:
            raise checks.combination("Cannot specify source identifier without source type")
        duration = request.get("Duration", 60)
        if not 1 <= duration <= _LONGEST_MINUTES:
            raise checks.invalid(f"Duration is 1 to {_LONGEST_MINUTES} minutes, not {duration}")
        end = request["EndTime"].timestamp() if "EndTime" in request else time.time()
        begin = request["StartTime"].timestamp() if "StartTime" in request else end - duration * 60
        if begin > end:
            raise checks.combination("StartTime is after EndTime")
        categories = set(request.get("EventCategories", []))
        found = [
            {**{key: value for key, value in event.items() if key != "id"}, "Date": description.moment(event["Date"])}
            for event in self.records.events(call.scope)
            if begin <= event["Date"] <= end
            and request.get("SourceType", event["SourceType"]) == event["SourceType"]
            and request.get("SourceIdentifier", event["SourceIdentifier"]) == event["SourceIdentifier"]
            and (not categories or categories & set(event["EventCategories"]))
        ]
        shown, more = page(found, request)
        return {"Events": shown, **more}

    @operation("ListTagsForResource", acts="ResourceName Filters")
    async def list_tags_for_resource(self, call: Call, request: Request) -> Response:
        _, _, record = self._tagged(call, request["ResourceName"])
        return {"TagList": record["tags"]}

    @operation("AddTagsToResource", acts="ResourceName Tags")
    async def add_tags_to_resource(self, call: Call, request: Request) -> Response:
        for tag in request["Tags"]:
            if not tag.get("Key") or len(tag["Key"]) > 128 or len(tag.get("Value", "")) > 256:
                raise checks.invalid("A tag's key has 1 to 128 characters, its value at most 256.")
            if tag["Key"].lower().startswith("aws:"):
                raise checks.invalid("Tag keys that begin with aws: are reserved.")
        return self._change_tags(call, request, lambda tags: tag_list([*tags, *request["Tags"]]))

    @operation("RemoveTagsFromResource", acts="ResourceName TagKeys")
    async def remove_tags_from_resource(self, call: Call, request: Request) -> Response:
        return self._change_tags(
            call, request, lambda tags: [tag for tag in tags if tag["Key"] not in request["TagKeys"]]
        )

    def _change_tags(
        self, call: Call, request: Request, change: Callable[[list[dict[str, str]]], list[dict[str, str]]]
    ) -> Response:
        table, key, record = self._tagged(call, request["ResourceName"])
        record["tags"] = change(record["tags"])
        if len(record["tags"]) > _MOST_TAGS:
            raise checks.invalid(f"A resource has at most {_MOST_TAGS} tags.")
        table.put(call.scope, key, record)
        return {}

    def _tagged(self, call: Call, arn: str) -> tuple[Table, str, Record]:
        """Table, key and record of what an ARN names. Raises AwsError."""
        parts: list[Any] = arn.split(":", 6)
        if len(parts) != 7 or parts[:3] != ["arn", "aws", "rds"]:
            raise checks.invalid(f"Invalid resource name: {arn}")
        if (parts[3], parts[4]) != (call.region, call.account):
            raise checks.invalid(f"{arn} is not in the account {call.account} and the region {call.region}")
        kind, name = parts[5], parts[6]
        if kind == "db":
            record = self.records.instance(call.scope, name)
            return self.records.instances, record["resource_id"], record
        tables = {
            "snapshot": (self.records.snapshots, "DBSnapshotNotFoundFault"),
            "pg": (self.records.parameter_groups, "DBParameterGroupNotFoundFault"),
            "subgrp": (self.records.subnet_groups, "DBSubnetGroupNotFoundFault"),
        }
        if kind not in tables:
            raise checks.invalid(f"Invalid resource type: {kind}")
        table, code = tables[kind]
        found = table.get(call.scope, name)
        if found is None:
            raise AwsError(code, f"{arn} does not exist.")
        return table, name, found
