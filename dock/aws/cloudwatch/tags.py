"""Tags of alarms and dashboards."""

from __future__ import annotations

from collections.abc import Callable

from dock.aws.cloudwatch.alarms import Alarms
from dock.aws.cloudwatch.dashboards import Dashboards
from dock.aws.cloudwatch.problems import invalid
from dock.aws.cloudwatch.tag_rules import merged
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record


class Tags(Alarms, Dashboards):
    """TagResource, UntagResource, ListTagsForResource."""

    @operation("TagResource", acts="ResourceARN Tags")
    async def tag_resource(self, call: Call, request: Request) -> Response:
        record, write = self._tagged(call, request["ResourceARN"])
        write({**record, "tags": merged(request["Tags"], record["tags"])})
        return {}

    @operation("UntagResource", acts="ResourceARN TagKeys")
    async def untag_resource(self, call: Call, request: Request) -> Response:
        record, write = self._tagged(call, request["ResourceARN"])
        left = {key: value for key, value in record["tags"].items() if key not in request["TagKeys"]}
        write({**record, "tags": left})
        return {}

    @operation("ListTagsForResource", acts="ResourceARN")
    async def list_tags_for_resource(self, call: Call, request: Request) -> Response:
        record, _ = self._tagged(call, request["ResourceARN"])
        return {"Tags": [{"Key": key, "Value": value} for key, value in record["tags"].items()]}

    def _tagged(self, call: Call, arn: str) -> tuple[Record, Callable[[Record], None]]:
        """What an ARN names, and how it is written back. Raises AwsError."""
        found: Record | None
        if arn.startswith("arn:aws:cloudwatch::"):
            found = self.dashboard(call.account, arn.partition(":dashboard/")[2])
            own = found is not None and found["DashboardArn"] == arn
            if found is not None and own:
                return found, lambda record: self.write_dashboard(call.account, record)
        elif arn.startswith("arn:aws:cloudwatch:"):
            name = self.book.named(call.scope, arn)
            found = self.book.get(call.scope, name) if name is not None else None
            if found is not None:
                return found, lambda record: self.book.update(call.scope, record)
        else:
            raise invalid(f"{arn} is not the ARN of an alarm or a dashboard.")
        raise AwsError("ResourceNotFoundException", f"{arn} does not exist.")
