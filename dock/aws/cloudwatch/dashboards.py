"""Dashboards: kept, checked, listed. Nobody draws them here."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from dock.aws.cloudwatch import dashboard_body
from dock.aws.cloudwatch.base import Base
from dock.aws.cloudwatch.periods import moment
from dock.aws.cloudwatch.problems import invalid, place, token
from dock.aws.cloudwatch.tag_rules import merged
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_PAGE = 100


class Dashboards(Base):
    """PutDashboard, GetDashboard, ListDashboards, DeleteDashboards. Dashboards belong to an account, not a region."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._dashboards = cloud.store.table("cloudwatch/dashboard")

    def dashboard(self, account: str, name: str) -> Record | None:
        return self._dashboards.get(Scope(account, ""), name)

    def write_dashboard(self, account: str, record: Record) -> None:
        self._dashboards.put(Scope(account, ""), record["DashboardName"], record)

    @operation("PutDashboard", acts="DashboardName DashboardBody Tags")
    async def put_dashboard(self, call: Call, request: Request) -> Response:
        name, body = request["DashboardName"], request["DashboardBody"]
        if not _NAME.fullmatch(name):
            raise AwsError(
                "DashboardInvalidInputError",
                f"The value {name} for field DashboardName contains invalid characters. It can only contain"
                " alphanumerics, dash (-) and underscore (_), at most 255.",
            )
        errors, warnings = dashboard_body.check(body)
        if errors:
            raise AwsError(
                "DashboardInvalidInputError",
                f"The dashboard body is invalid, there are {len(errors)} validation errors:"
                f" {json.dumps([one._asdict() for one in errors])}",
            )
        known = self.dashboard(call.account, name)
        record = {
            "DashboardName": name,
            "DashboardArn": f"arn:aws:cloudwatch::{call.account}:dashboard/{name}",
            "DashboardBody": body,
            "LastModified": self.now(),
            "tags": merged(request.get("Tags", [])) if known is None else known["tags"],
        }
        self.write_dashboard(call.account, record)
        return {"DashboardValidationMessages": [{"DataPath": one.dataPath, "Message": one.message} for one in warnings]}

    @operation("GetDashboard", acts="DashboardName")
    async def get_dashboard(self, call: Call, request: Request) -> Response:
        return self._found(call, request["DashboardName"])

    @operation("ListDashboards", acts="DashboardNamePrefix NextToken")
    async def list_dashboards(self, call: Call, request: Request) -> Response:
        prefix = request.get("DashboardNamePrefix", "")
        found = [
            record
            for record in self._dashboards.list(Scope(call.account, ""))
            if record["DashboardName"].startswith(prefix)
        ]
        if "NextToken" in request:
            after = place(request["NextToken"], "InvalidParameterValue")
            if not isinstance(after, str):
                raise invalid("The specified NextToken is invalid.")
            found = [record for record in found if record["DashboardName"] > after]
        entries = [
            {
                "DashboardName": record["DashboardName"],
                "DashboardArn": record["DashboardArn"],
                "LastModified": moment(record["LastModified"]),
                "Size": len(record["DashboardBody"].encode()),
            }
            for record in found[:_PAGE]
        ]
        more = token(found[_PAGE - 1]["DashboardName"]) if len(found) > _PAGE else None
        return {"DashboardEntries": entries, "NextToken": more}

    @operation("DeleteDashboards", acts="DashboardNames")
    async def delete_dashboards(self, call: Call, request: Request) -> Response:
        for name in request["DashboardNames"]:
            self._found(call, name)
        with self.cloud.store.transaction():
            for name in request["DashboardNames"]:
                self._dashboards.delete(Scope(call.account, ""), name)
        return {}

    def _found(self, call: Call, name: str) -> Record:
        record = self.dashboard(call.account, name)
        if record is None:
            raise AwsError("DashboardNotFoundError", f"Dashboard {name} does not exist")
        return record
