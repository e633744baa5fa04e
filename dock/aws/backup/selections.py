"""Which resources a backup plan is for."""

from __future__ import annotations

import uuid

from dock.aws.backup.base import Base
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record


class Selections(Base):
    @operation("CreateBackupSelection", acts="BackupPlanId CreatorRequestId", records="BackupSelection")
    async def create_backup_selection(self, call: Call, request: Request) -> Response:
        plan = self.plan(call, request["BackupPlanId"])
        selection = request["BackupSelection"]
        token = request.get("CreatorRequestId")
        for known in self._of(call, plan["BackupPlanId"]):
            if token is not None and token == known.get("CreatorRequestId"):
                return _made(known)
            if known["BackupSelection"]["SelectionName"] == selection["SelectionName"]:
                raise AwsError("AlreadyExistsException", f"selection {selection['SelectionName']} already exists")
        if not any(selection.get(name) for name in ("Resources", "ListOfTags", "Conditions")):
            raise AwsError("InvalidParameterValueException", "a selection names resources, tags or conditions")
        role = selection["IamRoleArn"]
        if not role.startswith(f"arn:aws:iam::{call.account}:role/"):
            raise AwsError("InvalidParameterValueException", f"{role} is no role of account {call.account}")
        record: Record = {
            "SelectionId": str(uuid.uuid4()),
            "BackupPlanId": plan["BackupPlanId"],
            "CreationDate": self.now(),
            "CreatorRequestId": token,
            "BackupSelection": selection,
        }
        self.selections.put(call.scope, record["SelectionId"], record)
        return _made(record)

    @operation("GetBackupSelection", acts="BackupPlanId SelectionId")
    async def get_backup_selection(self, call: Call, request: Request) -> Response:
        return self._selection(call, request)

    @operation("DeleteBackupSelection", acts="BackupPlanId SelectionId")
    async def delete_backup_selection(self, call: Call, request: Request) -> Response:
        self.selections.delete(call.scope, self._selection(call, request)["SelectionId"])
        return {}

    @operation("ListBackupSelections", acts="BackupPlanId")
    async def list_backup_selections(self, call: Call, request: Request) -> Response:
        plan = self.plan(call, request["BackupPlanId"])
        return {
            "BackupSelectionsList": [
                {
                    **_made(record),
                    "SelectionName": record["BackupSelection"]["SelectionName"],
                    "IamRoleArn": record["BackupSelection"]["IamRoleArn"],
                }
                for record in self._of(call, plan["BackupPlanId"])
            ]
        }

    def _of(self, call: Call, plan: str) -> list[Record]:
        return [record for record in self.selections.list(call.scope) if record["BackupPlanId"] == plan]

    def _selection(self, call: Call, request: Request) -> Record:
        found = self.selections.get(call.scope, request["SelectionId"])
        if found is None or found["BackupPlanId"] != request["BackupPlanId"]:
            raise AwsError(
                "ResourceNotFoundException",
                f"plan {request['BackupPlanId']} has no selection {request['SelectionId']} in {call.region}",
            )
        return found


def _made(record: Record) -> Response:
    return {name: record[name] for name in ("SelectionId", "BackupPlanId", "CreationDate")}
