"""Tags of hosted zones and health checks."""

from __future__ import annotations

from typing import Any

from dock.aws.route53 import names
from dock.aws.route53.part import Part
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Scope

MAX_TAGS = 50
MAX_ADDED = 10


class Tags(Part):
    """ChangeTagsForResource, ListTagsForResource, ListTagsForResources."""

    @operation("ChangeTagsForResource", acts="ResourceType ResourceId AddTags RemoveTagKeys")
    async def change_tags_for_resource(self, call: Call, request: Request) -> Response:
        scope, added = self.scope(call), request.get("AddTags", [])
        resource = self._resource(scope, request["ResourceType"], request["ResourceId"])
        if len(added) > MAX_ADDED or len(request.get("RemoveTagKeys", [])) > MAX_ADDED:
            raise AwsError("InvalidInput", f"Invalid request: up to {MAX_ADDED} tags are added or removed at once")
        if len({tag.get("Key") for tag in added}) != len(added):
            raise AwsError("InvalidInput", "Invalid request: a tag key was given twice")
        tags = {name: value for name, value in self._tags(scope, resource).items() if name not in request.get("RemoveTagKeys", [])}  # noqa: E501  # fmt: skip
        tags |= {tag["Key"]: tag.get("Value", "") for tag in added}
        if len(tags) > MAX_TAGS:
            raise AwsError("InvalidInput", f"Invalid request: a resource can have {MAX_TAGS} tags")
        self.records.tags.put(scope, resource, {"tags": tags})
        return {}

    @operation("ListTagsForResource", acts="ResourceType ResourceId")
    async def list_tags_for_resource(self, call: Call, request: Request) -> Response:
        return {"ResourceTagSet": self._set(self.scope(call), request["ResourceType"], request["ResourceId"])}

    @operation("ListTagsForResources", acts="ResourceType ResourceIds")
    async def list_tags_for_resources(self, call: Call, request: Request) -> Response:
        scope, kind = self.scope(call), request["ResourceType"]
        return {"ResourceTagSets": [self._set(scope, kind, resource) for resource in request["ResourceIds"]]}

    def _set(self, scope: Scope, kind: str, identifier: str) -> dict[str, Any]:
        tags = self._tags(scope, self._resource(scope, kind, identifier))
        pairs = [{"Key": name, "Value": value} for name, value in sorted(tags.items())]
        return {"ResourceType": kind, "ResourceId": names.bare(identifier), "Tags": pairs}

    def _resource(self, scope: Scope, kind: str, identifier: str) -> str:
        if kind == "hostedzone":
            return f"{kind} {self.records.zone(scope, identifier)['id']}"
        return f"{kind} {self.records.check(scope, identifier)['id']}"

    def _tags(self, scope: Scope, resource: str) -> dict[str, str]:
        kept = self.records.tags.get(scope, resource)
        return dict(kept["tags"]) if kept else {}
