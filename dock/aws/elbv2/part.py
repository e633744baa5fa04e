"""What the parts of the service share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dock.aws.elbv2.fleet import Fleet
from dock.aws.elbv2.records import LISTENER, LOAD_BALANCER, RULE, TAGS, TARGET_GROUP, Change, Records
from dock.aws.service import AwsError, Service
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

MAX_TAGS = 50


class Part(Service):
    """A group of handlers: records and engines are shared by all of them."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.records = Records(cloud.store)
        self.fleet = Fleet(cloud, self.records)

    def tag_change(self, change: Change, resource: str, tags: list[dict[str, str]]) -> None:
        """Add a new resource's tags to the change that makes it. Raises AwsError."""
        self.put_tags(change, resource, {}, tags)

    def put_tags(self, change: Change, resource: str, kept: dict[str, str], tags: list[dict[str, str]]) -> None:
        """Add tags to those that a resource has. Raises AwsError."""
        keys = [tag["Key"] for tag in tags]
        if len(set(keys)) != len(keys):
            raise AwsError("DuplicateTagKeysException", "A tag key was specified more than once")
        merged = {**kept, **{tag["Key"]: tag.get("Value", "") for tag in tags}}
        if len(merged) > MAX_TAGS:
            raise AwsError("TooManyTagsException", f"A resource can have {MAX_TAGS} tags")
        if merged:
            change.put(TAGS, resource, {"id": resource, "tags": merged})

    def find_resource(self, scope: Scope, resource: str) -> Record:
        """What a tag may be on. Raises AWS's error for its kind."""
        for kind in (LOAD_BALANCER, TARGET_GROUP, LISTENER, RULE):
            if (record := self.records.find(scope, kind, resource)) is not None:
                return record
        kinds = {"loadbalancer": LOAD_BALANCER, "targetgroup": TARGET_GROUP, "listener": LISTENER}
        prefix = resource.rpartition(":")[2].partition("/")[0]
        return self.records.get(scope, kinds.get(prefix, RULE), resource)
