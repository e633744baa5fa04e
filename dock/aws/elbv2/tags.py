"""Tags of load balancers, target groups, listeners and rules."""

from __future__ import annotations

from dock.aws.elbv2.part import Part
from dock.aws.elbv2.records import TAGS, Change
from dock.aws.service import Call, Request, Response, operation


class Tags(Part):
    """AddTags, RemoveTags, DescribeTags."""

    @operation("AddTags", acts="ResourceArns Tags")
    async def add_tags(self, call: Call, request: Request) -> Response:
        change = Change()
        for resource in request["ResourceArns"]:
            self.find_resource(call.scope, resource)
            kept = self.records.find(call.scope, TAGS, resource) or {"tags": {}}
            self.put_tags(change, resource, kept["tags"], request["Tags"])
        self.records.commit(call.scope, change)
        return {}

    @operation("RemoveTags", acts="ResourceArns TagKeys")
    async def remove_tags(self, call: Call, request: Request) -> Response:
        change = Change()
        for resource in request["ResourceArns"]:
            self.find_resource(call.scope, resource)
            kept = self.records.find(call.scope, TAGS, resource) or {"tags": {}}
            left = {key: value for key, value in kept["tags"].items() if key not in request["TagKeys"]}
            if left:
                change.put(TAGS, resource, {"id": resource, "tags": left})
            else:
                change.delete(TAGS, resource)
        self.records.commit(call.scope, change)
        return {}

    @operation("DescribeTags", acts="ResourceArns")
    async def describe_tags(self, call: Call, request: Request) -> Response:
        descriptions = []
        for resource in request["ResourceArns"]:
            self.find_resource(call.scope, resource)
            kept = self.records.find(call.scope, TAGS, resource) or {"tags": {}}
            tags = [{"Key": key, "Value": value} for key, value in kept["tags"].items()]
            descriptions.append({"ResourceArn": resource, "Tags": tags})
        return {"TagDescriptions": descriptions}
