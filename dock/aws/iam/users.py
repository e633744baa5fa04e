"""Users and groups."""

from __future__ import annotations

import time
from typing import Any

from dock.aws.iam.attachments import boundary_view, check_boundary, with_policies
from dock.aws.iam.base import Base, entity
from dock.aws.iam.records import (
    arn,
    check_name,
    check_path,
    in_use,
    missing,
    page,
    tag_list,
    tags_of,
    taken,
    under,
    unique_id,
)
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record


@with_policies("User", boundary=True, tags=True)
class Users(Base):
    @operation("CreateUser", acts="UserName Path PermissionsBoundary Tags")
    async def create_user(self, call: Call, request: Request) -> Response:
        name, path = check_name("userName", request["UserName"]), check_path(request)
        if self.users.get(call.account, name) is not None:
            raise taken("User", name)
        record = entity(
            {
                "name": name,
                "path": path,
                "arn": arn(call.account, "user", path, name),
                "id": unique_id("AIDA"),
                "created": time.time(),
            },
            boundary=check_boundary(self, call, request),
            tags=tags_of(request),
        )
        self.users.put(call.account, name, record)
        return {"User": user_view(record)}

    @operation("GetUser", acts="UserName")
    async def get_user(self, call: Call, request: Request) -> Response:
        name = request.get("UserName") or self.own_user_name(call)
        return {"User": user_view(self.user(call.account, name), tags=True)}

    @operation("ListUsers", acts="PathPrefix Marker MaxItems")
    async def list_users(self, call: Call, request: Request) -> Response:
        return page(request, "Users", map(user_view, under(request, self.users.list(call.account))))

    @operation("UpdateUser", acts="UserName NewUserName NewPath")
    async def update_user(self, call: Call, request: Request) -> Response:
        record = self.user(call.account, request["UserName"])
        old, new = record["name"], check_name("newUserName", str(request.get("NewUserName", record["name"])))
        if new != old and self.users.get(call.account, new) is not None:
            raise taken("User", new)
        record |= {"name": new, "path": check_path({"Path": request.get("NewPath", record["path"])})}
        record["arn"] = arn(call.account, "user", record["path"], new)
        with self.cloud.store.transaction():
            if new != old:
                self.users.delete(call.account, old)
                self._rename(call.account, old, new)
            self.users.put(call.account, new, record)
        return {}

    def _rename(self, account: str, old: str, new: str) -> None:
        """What belongs to a user follows its name."""
        for shelf, key in ((self.access_keys, "id"), (self.mfa_devices, "serial")):
            for record in shelf.list(account):
                if record.get("user") == old:
                    shelf.put(account, record[key], {**record, "user": new})
        for group in self.groups.list(account):
            if old in group["users"]:
                group["users"][group["users"].index(old)] = new
                self.groups.put(account, group["name"], group)

    @operation("DeleteUser", acts="UserName")
    async def delete_user(self, call: Call, request: Request) -> Response:
        record = self.user(call.account, request["UserName"])
        name = record["name"]
        if record["inline"]:
            raise in_use("must delete policies first")
        if record["attached"]:
            raise in_use("must detach all policies first")
        if any(key["user"] == name for key in self.access_keys.list(call.account)):
            raise in_use("must delete access keys first")
        if any(device.get("user") == name for device in self.mfa_devices.list(call.account)):
            raise in_use("must delete MFA device first")
        if any(name in group["users"] for group in self.groups.list(call.account)):
            raise in_use("must remove users from group first")
        self.users.delete(call.account, name)
        return {}

    def own_user_name(self, call: Call) -> str:
        """The caller's own, for calls that mean themselves when they name nobody."""
        if call.caller is None or call.caller.kind != "user":
            raise AwsError("ValidationError", "Must specify userName when calling with non-User credentials")
        return call.caller.name


@with_policies("Group", boundary=False, tags=False)
class Groups(Users):
    @operation("CreateGroup", acts="GroupName Path")
    async def create_group(self, call: Call, request: Request) -> Response:
        name, path = check_name("groupName", request["GroupName"]), check_path(request)
        if self.groups.get(call.account, name) is not None:
            raise taken("Group", name)
        record = entity(
            {
                "name": name,
                "path": path,
                "arn": arn(call.account, "group", path, name),
                "id": unique_id("AGPA"),
                "created": time.time(),
                "users": [],
            }
        )
        self.groups.put(call.account, name, record)
        return {"Group": group_view(record)}

    @operation("GetGroup", acts="GroupName Marker MaxItems")
    async def get_group(self, call: Call, request: Request) -> Response:
        record = self.group(call.account, request["GroupName"])
        members = (user_view(self.user(call.account, name)) for name in sorted(record["users"]))
        return {"Group": group_view(record), **page(request, "Users", members)}

    @operation("ListGroups", acts="PathPrefix Marker MaxItems")
    async def list_groups(self, call: Call, request: Request) -> Response:
        return page(request, "Groups", map(group_view, under(request, self.groups.list(call.account))))

    @operation("DeleteGroup", acts="GroupName")
    async def delete_group(self, call: Call, request: Request) -> Response:
        record = self.group(call.account, request["GroupName"])
        if record["users"]:
            raise in_use("must remove users from group first")
        if record["inline"]:
            raise in_use("must delete policies first")
        if record["attached"]:
            raise in_use("must detach all policies first")
        self.groups.delete(call.account, record["name"])
        return {}

    @operation("AddUserToGroup", acts="GroupName UserName")
    async def add_user_to_group(self, call: Call, request: Request) -> Response:
        record = self.group(call.account, request["GroupName"])
        name = self.user(call.account, request["UserName"])["name"]
        if name not in record["users"]:
            record["users"].append(name)
            self.groups.put(call.account, record["name"], record)
        return {}

    @operation("RemoveUserFromGroup", acts="GroupName UserName")
    async def remove_user_from_group(self, call: Call, request: Request) -> Response:
        record = self.group(call.account, request["GroupName"])
        name = self.user(call.account, request["UserName"])["name"]
        if name not in record["users"]:
            raise missing("user", name)
        record["users"].remove(name)
        self.groups.put(call.account, record["name"], record)
        return {}

    @operation("ListGroupsForUser", acts="UserName Marker MaxItems")
    async def list_groups_for_user(self, call: Call, request: Request) -> Response:
        name = self.user(call.account, request["UserName"])["name"]
        found = (group_view(group) for group in self.groups.list(call.account) if name in group["users"])
        return page(request, "Groups", found)


def user_view(record: Record, *, tags: bool = False) -> dict[str, Any]:
    return {
        "UserName": record["name"],
        "Path": record["path"],
        "Arn": record["arn"],
        "UserId": record["id"],
        "CreateDate": record["created"],
        "PermissionsBoundary": boundary_view(record),
        "Tags": tag_list(record["tags"]) if tags and record["tags"] else None,
    }


def group_view(record: Record) -> dict[str, Any]:
    return {
        "GroupName": record["name"],
        "Path": record["path"],
        "Arn": record["arn"],
        "GroupId": record["id"],
        "CreateDate": record["created"],
    }
