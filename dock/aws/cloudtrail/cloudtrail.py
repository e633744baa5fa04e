"""Trails: what is to be written where, and whether it is switched on.

A trail of the dock delivers nothing: its records wait for what the front door knows of each call. `LookupEvents` is
refused rather than answered with an empty list, which would say that nobody did anything.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from dock.aws.service import AwsError, Call, Request, Response, Service, operation
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,126}[A-Za-z0-9]")
# CloudTrail's own limit for an account and region.
_TRAILS = 5
_EVERYTHING = {
    "ReadWriteType": "All",
    "IncludeManagementEvents": True,
    "DataResources": [],
    "ExcludeManagementEventSources": [],
}
_RENAMED = {"EnableLogFileValidation": "LogFileValidationEnabled"}
# Parameters of a trail that are kept and shown again.
_RECORDED = (
    "S3BucketName S3KeyPrefix SnsTopicName IncludeGlobalServiceEvents EnableLogFileValidation "
    "CloudWatchLogsLogGroupArn CloudWatchLogsRoleArn KmsKeyId IsOrganizationTrail"
)


class CloudTrail(Service):
    name = "cloudtrail"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._trails = cloud.store.table("cloudtrail/trail")

    @operation("CreateTrail", acts="Name IsMultiRegionTrail TagsList", records=_RECORDED)
    async def create_trail(self, call: Call, request: Request) -> Response:
        name = request["Name"]
        if not _NAME.fullmatch(name):
            raise AwsError("InvalidTrailNameException", f"{name} is no name of a trail: 3 to 128 of A-Z a-z 0-9 . _ -")
        if self._visible(call, name) is not None:
            raise AwsError("TrailAlreadyExistsException", f"Trail {name} already exists")
        if len(self._trails.list(call.scope)) >= _TRAILS:
            raise AwsError("MaximumNumberOfTrailsExceededException", f"{_TRAILS} trails are the most of a region")
        record: Record = {
            "trail": {
                "Name": name,
                "IncludeGlobalServiceEvents": True,
                "IsMultiRegionTrail": False,
                "LogFileValidationEnabled": False,
                "IsOrganizationTrail": False,
                "HomeRegion": call.region,
                "TrailARN": call.arn(f"trail/{name}"),
                "HasInsightSelectors": False,
                **_told(request),
            },
            "selectors": None,
            "logging": False,
            "tags": {tag["Key"]: tag.get("Value", "") for tag in request.get("TagsList", [])},
        }
        _check(record["trail"])
        self._trails.put(call.scope, name, record)
        return _shown(record)

    @operation("UpdateTrail", acts="Name IsMultiRegionTrail", records=_RECORDED)
    async def update_trail(self, call: Call, request: Request) -> Response:
        scope, record = self._own(call, request["Name"])
        record["trail"].update({name: value for name, value in _told(request).items() if name != "Name"})
        # An empty text takes the value away.
        record["trail"] = {name: value for name, value in record["trail"].items() if value != ""}
        _check(record["trail"])
        self._trails.put(scope, record["trail"]["Name"], record)
        return _shown(record)

    @operation("DeleteTrail", acts="Name")
    async def delete_trail(self, call: Call, request: Request) -> Response:
        scope, record = self._own(call, request["Name"])
        self._trails.delete(scope, record["trail"]["Name"])
        return {}

    @operation("GetTrail", acts="Name")
    async def get_trail(self, call: Call, request: Request) -> Response:
        return {"Trail": _shown(self._find(call, request["Name"])[1])}

    @operation("DescribeTrails", acts="trailNameList includeShadowTrails")
    async def describe_trails(self, call: Call, request: Request) -> Response:
        shadows = request.get("includeShadowTrails", True)
        wanted = request.get("trailNameList") or []
        found = [
            record
            for scope, record in self._all(call)
            if (shadows or scope.region == call.region)
            and (not wanted or record["trail"]["Name"] in wanted or record["trail"]["TrailARN"] in wanted)
        ]
        return {"trailList": [_shown(record) for record in found]}

    @operation("ListTrails")
    async def list_trails(self, call: Call, request: Request) -> Response:
        return {
            "Trails": [
                {name: record["trail"][name] for name in ("TrailARN", "Name", "HomeRegion")}
                for _, record in self._all(call)
            ]
        }

    @operation("StartLogging", records="Name")
    async def start_logging(self, call: Call, request: Request) -> Response:
        return self._switch(call, request["Name"], True)

    @operation("StopLogging", records="Name")
    async def stop_logging(self, call: Call, request: Request) -> Response:
        return self._switch(call, request["Name"], False)

    @operation("GetTrailStatus", acts="Name")
    async def get_trail_status(self, call: Call, request: Request) -> Response:
        _, record = self._find(call, request["Name"])
        return {
            "IsLogging": record["logging"],
            "StartLoggingTime": record.get("started"),
            "StopLoggingTime": record.get("stopped"),
            "LatestDeliveryError": "the dock delivers no log files",
        }

    @operation("PutEventSelectors", acts="TrailName", records="EventSelectors AdvancedEventSelectors")
    async def put_event_selectors(self, call: Call, request: Request) -> Response:
        scope, record = self._own(call, request["TrailName"])
        kinds = [name for name in ("EventSelectors", "AdvancedEventSelectors") if request.get(name)]
        if len(kinds) != 1:
            raise AwsError("InvalidEventSelectorsException", "give EventSelectors or AdvancedEventSelectors")
        record["selectors"] = {kinds[0]: request[kinds[0]]}
        self._trails.put(scope, record["trail"]["Name"], record)
        return {"TrailARN": record["trail"]["TrailARN"], **record["selectors"]}

    @operation("GetEventSelectors", acts="TrailName")
    async def get_event_selectors(self, call: Call, request: Request) -> Response:
        _, record = self._find(call, request["TrailName"])
        return {"TrailARN": record["trail"]["TrailARN"], **(record["selectors"] or {"EventSelectors": [_EVERYTHING]})}

    @operation("AddTags", acts="ResourceId TagsList")
    async def add_tags(self, call: Call, request: Request) -> Response:
        scope, record = self._own(call, request["ResourceId"])
        record["tags"].update({tag["Key"]: tag.get("Value", "") for tag in request["TagsList"]})
        self._trails.put(scope, record["trail"]["Name"], record)
        return {}

    @operation("RemoveTags", acts="ResourceId TagsList")
    async def remove_tags(self, call: Call, request: Request) -> Response:
        scope, record = self._own(call, request["ResourceId"])
        for tag in request["TagsList"]:
            record["tags"].pop(tag["Key"], None)
        self._trails.put(scope, record["trail"]["Name"], record)
        return {}

    @operation("ListTags", acts="ResourceIdList")
    async def list_tags(self, call: Call, request: Request) -> Response:
        return {
            "ResourceTagList": [
                {
                    "ResourceId": arn,
                    "TagsList": [
                        {"Key": name, "Value": value} for name, value in self._find(call, arn)[1]["tags"].items()
                    ],
                }
                for arn in request["ResourceIdList"]
            ]
        }

    def _switch(self, call: Call, name: str, on: bool) -> Response:
        scope, record = self._own(call, name)
        record["logging"] = on
        record["started" if on else "stopped"] = time.time()
        self._trails.put(scope, record["trail"]["Name"], record)
        return {}

    def _all(self, call: Call) -> list[tuple[Scope, Record]]:
        """The trails that are seen from the caller's region: its own, and those of all regions."""
        return [
            (scope, record)
            for scope, _, record in self._trails.all()
            if scope.account == call.account and (scope.region == call.region or record["trail"]["IsMultiRegionTrail"])
        ]

    def _visible(self, call: Call, name: str) -> tuple[Scope, Record] | None:
        return next(
            (
                (scope, record)
                for scope, record in self._all(call)
                if name in (record["trail"]["Name"], record["trail"]["TrailARN"])
            ),
            None,
        )

    def _find(self, call: Call, name: str) -> tuple[Scope, Record]:
        found = self._visible(call, name)
        if found is None:
            raise AwsError("TrailNotFoundException", f"Unknown trail: {name} for the user: {call.account}")
        return found

    def _own(self, call: Call, name: str) -> tuple[Scope, Record]:
        """A trail that may be changed from here."""
        scope, record = self._find(call, name)
        if scope.region != call.region:
            raise AwsError(
                "InvalidHomeRegionException", f"Trail {name} can only be changed in its home region, {scope.region}"
            )
        return scope, record


def _told(request: Request) -> dict[str, Any]:
    kept = {*_RECORDED.split(), "Name", "IsMultiRegionTrail"}
    return {_RENAMED.get(name, name): value for name, value in request.items() if name in kept}


def _check(trail: dict[str, Any]) -> None:
    if ("CloudWatchLogsLogGroupArn" in trail) != ("CloudWatchLogsRoleArn" in trail):
        raise AwsError(
            "InvalidCloudWatchLogsLogGroupArnException", "the log group and the role that writes to it come together"
        )


def _shown(record: Record) -> Response:
    return {**record["trail"], "HasCustomEventSelectors": record["selectors"] is not None}
