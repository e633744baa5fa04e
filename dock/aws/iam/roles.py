"""Roles and instance profiles."""

from __future__ import annotations

import time
from typing import Any

from dock.access.documents import parse
from dock.aws.iam.attachments import boundary_view, check_boundary, with_policies
from dock.aws.iam.records import (
    arn,
    as_json,
    check_name,
    check_path,
    check_policy,
    check_size,
    encoded,
    in_use,
    missing,
    page,
    tag_list,
    tags_of,
    taken,
    under,
    unique_id,
)
from dock.aws.iam.users import Groups
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Scope

TRUST_SIZE = 2048
DEFAULT_SESSION_SECONDS = 3600
_LINKED = "/aws-service-role/"


@with_policies("Role", boundary=True, tags=True)
class Roles(Groups):
    @operation(
        "CreateRole",
        acts="RoleName Path AssumeRolePolicyDocument Description MaxSessionDuration PermissionsBoundary Tags",
    )
    async def create_role(self, call: Call, request: Request) -> Response:
        name, path = check_name("roleName", request["RoleName"]), check_path(request)
        if path.startswith(_LINKED):
            raise AwsError("InvalidInputException", f"Path {_LINKED} is for service-linked roles.")
        if self.roles.get(call.account, name) is not None:
            raise taken("Role", name)
        record = {
            "inline": {},
            "attached": [],
            "name": name,
            "path": path,
            "arn": arn(call.account, "role", path, name),
            "id": unique_id("AROA"),
            "created": time.time(),
            "trust": self.check_trust(call.account, request["AssumeRolePolicyDocument"]),
            "description": request.get("Description"),
            "seconds": request.get("MaxSessionDuration", DEFAULT_SESSION_SECONDS),
            "boundary": check_boundary(self, call, request),
            "tags": tags_of(request),
        }
        self.roles.put(call.account, name, record)
        return {"Role": role_view(record)}

    def check_trust(self, account: str, document: str) -> str:
        """A trust policy whose principals exist, as IAM wants them. Raises AwsError."""
        check_policy(document, "trust")
        check_size(document, TRUST_SIZE, "the trust policy")
        for statement in parse(document, "trust"):
            for kind, value in statement.principals or ():
                if kind == "AWS" and value.startswith("arn:") and not self._exists(value):
                    raise AwsError("MalformedPolicyDocumentException", f'Invalid principal in policy: "AWS":"{value}"')
                if any(not action.lower().startswith("sts:") for action in statement.actions):
                    raise AwsError(
                        "MalformedPolicyDocumentException", "AssumeRole policy may only specify STS AssumeRole actions."
                    )
        return document

    def _exists(self, principal: str) -> bool:
        _, _, service, _, owner, resource = principal.split(":", 5)
        kind, _, rest = resource.partition("/")
        name = rest.rpartition("/")[2]
        match service, kind:
            case "iam", "root":
                return True
            case "iam", "user":
                found = self.users.get(owner, name)
            case "iam", "role":
                found = self.roles.get(owner, name)
            case "sts", "assumed-role":
                return self.roles.get(owner, rest.partition("/")[0]) is not None
            case _:
                return False
        return found is not None and found["arn"] == principal

    @operation("GetRole", acts="RoleName")
    async def get_role(self, call: Call, request: Request) -> Response:
        record = self.role(call.account, request["RoleName"])
        used = self.uses.get(Scope(call.account, ""), record["id"])
        last = {"LastUsedDate": used["at"], "Region": used["region"]} if used is not None else {}
        return {"Role": {**role_view(record, tags=True), "RoleLastUsed": last}}

    @operation("ListRoles", acts="PathPrefix Marker MaxItems")
    async def list_roles(self, call: Call, request: Request) -> Response:
        return page(request, "Roles", map(role_view, under(request, self.roles.list(call.account))))

    @operation("UpdateRole", acts="RoleName Description MaxSessionDuration")
    async def update_role(self, call: Call, request: Request) -> Response:
        record = self.role(call.account, request["RoleName"])
        record |= {
            "description": request.get("Description", record["description"]),
            "seconds": request.get("MaxSessionDuration", record["seconds"]),
        }
        self.roles.put(call.account, record["name"], record)
        return {}

    @operation("UpdateRoleDescription", acts="RoleName Description")
    async def update_role_description(self, call: Call, request: Request) -> Response:
        record = {**self.role(call.account, request["RoleName"]), "description": request["Description"]}
        self.roles.put(call.account, record["name"], record)
        return {"Role": role_view(record)}

    @operation("UpdateAssumeRolePolicy", acts="RoleName PolicyDocument")
    async def update_assume_role_policy(self, call: Call, request: Request) -> Response:
        record = self.role(call.account, request["RoleName"])
        record["trust"] = self.check_trust(call.account, request["PolicyDocument"])
        self.roles.put(call.account, record["name"], record)
        return {}

    @operation("DeleteRole", acts="RoleName")
    async def delete_role(self, call: Call, request: Request) -> Response:
        record = self.role(call.account, request["RoleName"])
        if record["path"].startswith(_LINKED):
            raise AwsError(
                "UnmodifiableEntityException",
                "Cannot perform the operation on the protected role: delete it as a service-linked role",
            )
        if record["inline"]:
            raise in_use("must delete policies first")
        if record["attached"]:
            raise in_use("must detach all policies first")
        if any(record["name"] in profile["roles"] for profile in self.instance_profiles.list(call.account)):
            raise in_use("must remove roles from instance profile first")
        self.roles.delete(call.account, record["name"])
        return {}

    # service-linked

    @operation("CreateServiceLinkedRole", acts="AWSServiceName Description CustomSuffix")
    async def create_service_linked_role(self, call: Call, request: Request) -> Response:
        service = request["AWSServiceName"]
        words = "".join(
            word.capitalize() for word in service.removesuffix(".amazonaws.com").replace("-", ".").split(".")
        )
        suffix = f"_{request['CustomSuffix']}" if request.get("CustomSuffix") else ""
        name = f"AWSServiceRoleFor{words}{suffix}"
        if self.roles.get(call.account, name) is not None:
            raise AwsError("InvalidInputException", f"Service role name {name} has been taken in this account")
        path = f"{_LINKED}{service}/"
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        record: Record = {
            "inline": {},
            "attached": [],
            "name": name,
            "path": path,
            "arn": arn(call.account, "role", path, name),
            "id": unique_id("AROA"),
            "created": time.time(),
            "trust": as_json({"Version": "2012-10-17", "Statement": [trust]}),
            "description": request.get("Description"),
            "seconds": DEFAULT_SESSION_SECONDS,
            "boundary": None,
            "tags": {},
        }
        self.roles.put(call.account, name, record)
        return {"Role": role_view(record)}

    @operation("DeleteServiceLinkedRole", acts="RoleName")
    async def delete_service_linked_role(self, call: Call, request: Request) -> Response:
        record = self.role(call.account, request["RoleName"])
        if not record["path"].startswith(_LINKED):
            raise missing("service-linked role", record["name"])
        self.roles.delete(call.account, record["name"])
        return {"DeletionTaskId": f"task{record['path']}{record['name']}/{record['id']}"}

    @operation("GetServiceLinkedRoleDeletionStatus", acts="DeletionTaskId")
    async def get_service_linked_role_deletion_status(self, call: Call, request: Request) -> Response:
        name = request["DeletionTaskId"].split("/")[-2]
        gone = self.roles.get(call.account, name) is None
        return {"Status": "SUCCEEDED" if gone else "NOT_STARTED"}

    # instance profiles

    @operation("CreateInstanceProfile", acts="InstanceProfileName Path Tags")
    async def create_instance_profile(self, call: Call, request: Request) -> Response:
        name, path = check_name("instanceProfileName", request["InstanceProfileName"]), check_path(request)
        if self.instance_profiles.get(call.account, name) is not None:
            raise taken("Instance Profile", name)
        record = {
            "name": name,
            "path": path,
            "arn": arn(call.account, "instance-profile", path, name),
            "id": unique_id("AIPA"),
            "created": time.time(),
            "roles": [],
            "tags": tags_of(request),
        }
        self.instance_profiles.put(call.account, name, record)
        return {"InstanceProfile": self._profile_view(call.account, record)}

    @operation("GetInstanceProfile", acts="InstanceProfileName")
    async def get_instance_profile(self, call: Call, request: Request) -> Response:
        return {"InstanceProfile": self._profile_view(call.account, self._profile(call, request))}

    @operation("ListInstanceProfiles", acts="PathPrefix Marker MaxItems")
    async def list_instance_profiles(self, call: Call, request: Request) -> Response:
        found = under(request, self.instance_profiles.list(call.account))
        return page(request, "InstanceProfiles", (self._profile_view(call.account, record) for record in found))

    @operation("ListInstanceProfilesForRole", acts="RoleName Marker MaxItems")
    async def list_instance_profiles_for_role(self, call: Call, request: Request) -> Response:
        name = self.role(call.account, request["RoleName"])["name"]
        found = [record for record in self.instance_profiles.list(call.account) if name in record["roles"]]
        return page(request, "InstanceProfiles", (self._profile_view(call.account, record) for record in found))

    @operation("AddRoleToInstanceProfile", acts="InstanceProfileName RoleName")
    async def add_role_to_instance_profile(self, call: Call, request: Request) -> Response:
        record = self._profile(call, request)
        if record["roles"]:
            raise AwsError(
                "LimitExceededException", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", 409
            )
        record["roles"].append(self.role(call.account, request["RoleName"])["name"])
        self.instance_profiles.put(call.account, record["name"], record)
        return {}

    @operation("RemoveRoleFromInstanceProfile", acts="InstanceProfileName RoleName")
    async def remove_role_from_instance_profile(self, call: Call, request: Request) -> Response:
        record = self._profile(call, request)
        if request["RoleName"] not in record["roles"]:
            raise missing("role", request["RoleName"])
        record["roles"].remove(request["RoleName"])
        self.instance_profiles.put(call.account, record["name"], record)
        return {}

    @operation("DeleteInstanceProfile", acts="InstanceProfileName")
    async def delete_instance_profile(self, call: Call, request: Request) -> Response:
        record = self._profile(call, request)
        if record["roles"]:
            raise in_use("must remove roles from instance profile first")
        self.instance_profiles.delete(call.account, record["name"])
        return {}

    def _profile(self, call: Call, request: Request) -> Record:
        return self._found(self.instance_profiles, "instance profile", call.account, request["InstanceProfileName"])

    def _profile_view(self, account: str, record: Record) -> dict[str, Any]:
        return {
            "InstanceProfileName": record["name"],
            "Path": record["path"],
            "Arn": record["arn"],
            "InstanceProfileId": record["id"],
            "CreateDate": record["created"],
            "Roles": [role_view(self.role(account, name)) for name in record["roles"]],
            "Tags": tag_list(record["tags"]) or None,
        }

    def used(self, principal_id: str, account: str, region: str) -> None:
        """Remember that a role's or a key's permissions were used."""
        self.uses.put(Scope(account, ""), principal_id, {"at": time.time(), "region": region})


def role_view(record: Record, *, tags: bool = False) -> dict[str, Any]:
    return {
        "RoleName": record["name"],
        "Path": record["path"],
        "Arn": record["arn"],
        "RoleId": record["id"],
        "CreateDate": record["created"],
        "AssumeRolePolicyDocument": encoded(record["trust"]),
        "Description": record["description"],
        "MaxSessionDuration": record["seconds"],
        "PermissionsBoundary": boundary_view(record),
        "Tags": tag_list(record["tags"]) if tags and record["tags"] else None,
    }
