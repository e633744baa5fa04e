"""Log groups and streams: their life, retention and tags."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from dock.aws.logs.archive import Archive, Group
from dock.aws.logs.filter_records import MetricFilterRecords
from dock.aws.service import AwsError, Call, Request, Response, Service, operation
from dock.store import Scope

# What PutRetentionPolicy takes, in days.
RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
_GROUP_ARN = re.compile(r"arn:aws:logs:([^:]+):(\d{12}):log-group:([^:]+)(:\*)?")


class Groups(Service):
    """Handlers of groups and streams."""

    archive: Archive
    filters: MetricFilterRecords

    @staticmethod
    def now() -> int:
        """Milliseconds since the epoch."""
        return int(time.time() * 1000)

    async def find_group(self, scope: Scope, name: str) -> Group:
        """A group by name or ARN. Raises AwsError ResourceNotFoundException."""
        if match := _GROUP_ARN.fullmatch(name):
            if (match[2], match[1]) != (scope.account, scope.region):
                raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
            name = match[3]
        group = await asyncio.to_thread(self.archive.group, scope, name)
        if group is None:
            raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
        return group

    async def group_of(self, call: Call, request: Request) -> Group:
        """The group that a request names by `logGroupName` or `logGroupIdentifier`."""
        names = [request[key] for key in ("logGroupName", "logGroupIdentifier") if key in request]
        if len(names) != 1:
            raise AwsError("InvalidParameterException", "Exactly one of logGroupName and logGroupIdentifier is needed.")
        return await self.find_group(call.scope, names[0])

    @operation("CreateLogGroup", acts="logGroupName tags logGroupClass deletionProtectionEnabled", records="kmsKeyId")
    async def create_log_group(self, call: Call, request: Request) -> Response:
        kind = request.get("logGroupClass", "STANDARD")
        if kind != "STANDARD":
            raise AwsError("InvalidParameterException", "The dock has log groups of class STANDARD alone.")
        created = await asyncio.to_thread(
            self.archive.create_group,
            call.scope,
            request["logGroupName"],
            self.now(),
            request.get("kmsKeyId"),
            kind,
            request.get("deletionProtectionEnabled", False),
            request.get("tags", {}),
        )
        if not created:
            raise AwsError("ResourceAlreadyExistsException", "The specified log group already exists")
        return {}

    @operation("DeleteLogGroup", acts="logGroupName")
    async def delete_log_group(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, request)
        if group.protected:
            raise AwsError("ValidationException", "The log group is protected from deletion.")
        await asyncio.to_thread(self.archive.delete_group, group)
        self.filters.forget_group(group.scope, group.name)
        return {}

    @operation("PutLogGroupDeletionProtection", acts="logGroupIdentifier deletionProtectionEnabled")
    async def put_deletion_protection(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, request)
        await asyncio.to_thread(self.archive.update_group, group, protected=request["deletionProtectionEnabled"])
        return {}

    @operation(
        "DescribeLogGroups",
        acts="logGroupNamePrefix logGroupNamePattern logGroupIdentifiers logGroupClass nextToken limit",
    )
    async def describe_log_groups(self, call: Call, request: Request) -> Response:
        groups = await asyncio.to_thread(self.archive.groups, call.scope, request.get("logGroupNamePrefix", ""))
        if pattern := request.get("logGroupNamePattern"):
            groups = [group for group in groups if pattern.lower() in group.name.lower()]
        if identifiers := request.get("logGroupIdentifiers"):
            wanted = {match[3] if (match := _GROUP_ARN.fullmatch(name)) else name for name in identifiers}
            groups = [group for group in groups if group.name in wanted]
        if request.get("logGroupClass", "STANDARD") != "STANDARD":
            groups = []
        page, token = _page([group for group in groups if group.name > request.get("nextToken", "")], request)
        sizes = [await asyncio.to_thread(self.archive.stored_bytes, group) for group in page]
        shown = [
            _group_view(call, group, size, len(self.filters.of(call.scope, group.name)))
            for group, size in zip(page, sizes, strict=True)
        ]
        return {"logGroups": shown, "nextToken": token}

    @operation("PutRetentionPolicy", acts="logGroupName retentionInDays")
    async def put_retention_policy(self, call: Call, request: Request) -> Response:
        if request["retentionInDays"] not in RETENTIONS:
            raise AwsError(
                "InvalidParameterException",
                f"retentionInDays is {request['retentionInDays']}, expected one of {', '.join(map(str, RETENTIONS))}",
            )
        group = await self.group_of(call, request)
        await asyncio.to_thread(self.archive.update_group, group, retention=request["retentionInDays"])
        return {}

    @operation("DeleteRetentionPolicy", acts="logGroupName")
    async def delete_retention_policy(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, request)
        await asyncio.to_thread(self.archive.update_group, group, retention=None)
        return {}

    @operation("AssociateKmsKey", acts="logGroupName", records="kmsKeyId")
    async def associate_kms_key(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, request)
        await asyncio.to_thread(self.archive.update_group, group, kms_key=request["kmsKeyId"])
        return {}

    @operation("DisassociateKmsKey", acts="logGroupName")
    async def disassociate_kms_key(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, request)
        await asyncio.to_thread(self.archive.update_group, group, kms_key=None)
        return {}

    @operation("TagResource", acts="resourceArn tags")
    async def tag_resource(self, call: Call, request: Request) -> Response:
        group = await self._tagged(call, request["resourceArn"])
        tags = {**group.tags, **request["tags"]}
        if len(tags) > 50:
            raise AwsError("TooManyTagsException", "A resource can have 50 tags.")
        await asyncio.to_thread(self.archive.update_group, group, tags=tags)
        return {}

    @operation("UntagResource", acts="resourceArn tagKeys")
    async def untag_resource(self, call: Call, request: Request) -> Response:
        group = await self._tagged(call, request["resourceArn"])
        tags = {key: value for key, value in group.tags.items() if key not in request["tagKeys"]}
        await asyncio.to_thread(self.archive.update_group, group, tags=tags)
        return {}

    @operation("ListTagsForResource", acts="resourceArn")
    async def list_tags_for_resource(self, call: Call, request: Request) -> Response:
        return {"tags": (await self._tagged(call, request["resourceArn"])).tags}

    @operation("TagLogGroup", acts="logGroupName tags")
    async def tag_log_group(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, request)
        return await self.tag_resource(call, {"resourceArn": call.arn(f"log-group:{group.name}"), **request})

    @operation("UntagLogGroup", acts="logGroupName tags")
    async def untag_log_group(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, request)
        arn = call.arn(f"log-group:{group.name}")
        return await self.untag_resource(call, {"resourceArn": arn, "tagKeys": request["tags"]})

    @operation("ListTagsLogGroup", acts="logGroupName")
    async def list_tags_log_group(self, call: Call, request: Request) -> Response:
        return {"tags": (await self.group_of(call, request)).tags}

    async def _tagged(self, call: Call, arn: str) -> Group:
        if not _GROUP_ARN.fullmatch(arn):
            raise AwsError("InvalidParameterException", f"{arn!r} is not the ARN of a log group.")
        return await self.find_group(call.scope, arn)

    @operation("CreateLogStream", acts="logGroupName logStreamName")
    async def create_log_stream(self, call: Call, request: Request) -> Response:
        name = request["logStreamName"]
        if ":" in name or "*" in name:
            raise AwsError("InvalidParameterException", f"The log stream name {name!r} must not contain ':' or '*'.")
        group = await self.group_of(call, request)
        if not await asyncio.to_thread(self.archive.create_stream, group, name, self.now()):
            raise AwsError("ResourceAlreadyExistsException", "The specified log stream already exists")
        return {}

    @operation("DeleteLogStream", acts="logGroupName logStreamName")
    async def delete_log_stream(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, request)
        stream = await asyncio.to_thread(self.archive.stream, group, request["logStreamName"])
        if stream is None:
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        await asyncio.to_thread(self.archive.delete_stream, stream)
        return {}

    @operation(
        "DescribeLogStreams",
        acts="logGroupName logGroupIdentifier logStreamNamePrefix orderBy descending nextToken limit",
    )
    async def describe_log_streams(self, call: Call, request: Request) -> Response:
        group = await self.group_of(call, request)
        by_time = request.get("orderBy") == "LastEventTime"
        if by_time and "logStreamNamePrefix" in request:
            raise AwsError("InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.")
        streams = await asyncio.to_thread(self.archive.streams, group, request.get("logStreamNamePrefix", ""))
        if by_time:
            streams.sort(key=lambda stream: (stream.last or 0, stream.name))
        if request.get("descending"):
            streams.reverse()
        names = [stream.name for stream in streams]
        if (token := request.get("nextToken")) is not None:
            if token not in names:
                raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
            streams = streams[names.index(token) + 1 :]
        page, token = _page(streams, request)
        arn = call.arn(f"log-group:{group.name}:log-stream:")
        shown = [
            {
                "logStreamName": stream.name,
                "creationTime": stream.created,
                "firstEventTimestamp": stream.first,
                "lastEventTimestamp": stream.last,
                "lastIngestionTime": stream.ingested,
                "uploadSequenceToken": str(stream.id),
                "arn": arn + stream.name,
                "storedBytes": 0,
            }
            for stream in page
        ]
        return {"logStreams": shown, "nextToken": token}


def _page(items: list[Any], request: Request) -> tuple[list[Any], str | None]:
    limit = request.get("limit", 50)
    page = items[:limit]
    return page, page[-1].name if len(items) > limit else None


def _group_view(call: Call, group: Group, size: int, filters: int) -> dict[str, Any]:
    arn = call.arn(f"log-group:{group.name}")
    return {
        "logGroupName": group.name,
        "creationTime": group.created,
        "retentionInDays": group.retention,
        "metricFilterCount": filters,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "storedBytes": size,
        "kmsKeyId": group.kms_key,
        "logGroupClass": group.kind,
        "deletionProtectionEnabled": group.protected,
    }
