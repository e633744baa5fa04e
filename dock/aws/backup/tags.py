"""Tags of vaults and plans, by ARN."""

from __future__ import annotations

from dock.aws.backup.base import Base
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Table


class Tags(Base):
    @operation("TagResource", acts="ResourceArn Tags")
    async def tag_resource(self, call: Call, request: Request) -> Response:
        table, identifier, record = self._tagged(call, request["ResourceArn"])
        record["tags"] |= request["Tags"]
        table.put(call.scope, identifier, record)
        return {}

    @operation("UntagResource", acts="ResourceArn TagKeyList")
    async def untag_resource(self, call: Call, request: Request) -> Response:
        table, identifier, record = self._tagged(call, request["ResourceArn"])
        record["tags"] = {name: value for name, value in record["tags"].items() if name not in request["TagKeyList"]}
        table.put(call.scope, identifier, record)
        return {}

    @operation("ListTags", acts="ResourceArn")
    async def list_tags(self, call: Call, request: Request) -> Response:
        return {"Tags": self._tagged(call, request["ResourceArn"])[2]["tags"]}

    def _tagged(self, call: Call, arn: str) -> tuple[Table, str, Record]:
        tables = {call.arn("backup-vault:"): self.vaults, call.arn("backup-plan:"): self.plans}
        for prefix, table in tables.items():
            if arn.startswith(prefix):
                identifier = arn.removeprefix(prefix)
                record = table.get(call.scope, identifier)
                if record is not None:
                    return table, identifier, record
        raise AwsError("ResourceNotFoundException", f"{arn} does not exist in {call.region}")
