"""Managed policies of an account, and their versions."""

from __future__ import annotations

import time
from typing import Any

from dock.aws.iam import managed
from dock.aws.iam.records import (
    arn,
    check_name,
    check_path,
    check_policy,
    check_size,
    encoded,
    in_use,
    page,
    tag_list,
    tags_of,
    taken,
    under,
    unique_id,
)
from dock.aws.iam.roles import Roles
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

SIZE = 6144
VERSIONS = 5


class Policies(Roles):
    @operation("CreatePolicy", acts="PolicyName Path PolicyDocument Description Tags")
    async def create_policy(self, call: Call, request: Request) -> Response:
        name, path = check_name("policyName", request["PolicyName"]), check_path(request)
        policy_arn = arn(call.account, "policy", path, name)
        if any(record["name"] == name for record in self.policies.list(call.account)):
            raise taken("A policy called", name)
        now = time.time()
        record = {
            "name": name,
            "path": path,
            "arn": policy_arn,
            "id": unique_id("ANPA"),
            "description": request.get("Description"),
            "default": "v1",
            "next": 2,
            "versions": {"v1": {"document": self._document(request), "created": now}},
            "created": now,
            "updated": now,
            "tags": tags_of(request),
        }
        self.policies.put(call.account, policy_arn, record)
        return {"Policy": self._view(call.account, record)}

    @staticmethod
    def _document(request: Request) -> str:
        text = check_policy(request["PolicyDocument"], "identity")
        check_size(text, SIZE, "a managed policy")
        return text

    def _own(self, call: Call, policy_arn: str) -> Record:
        """A policy that the account may change."""
        if policy_arn.startswith(managed.PREFIX):
            raise AwsError("AccessDenied", f"{policy_arn} is AWS's own: it can't be changed", 403)
        record = self.policies.get(call.account, policy_arn)
        if record is None:
            raise AwsError("NoSuchEntityException", f"Policy {policy_arn} was not found.", 404)
        return record

    @operation("GetPolicy", acts="PolicyArn")
    async def get_policy(self, call: Call, request: Request) -> Response:
        return {"Policy": self._view(call.account, self.policy(call.account, request["PolicyArn"]), tags=True)}

    @operation("ListPolicies", acts="Scope OnlyAttached PathPrefix PolicyUsageFilter Marker MaxItems")
    async def list_policies(self, call: Call, request: Request) -> Response:
        scope = request.get("Scope", "All")
        found = [] if scope == "AWS" else self.policies.list(call.account)
        found += [] if scope == "Local" else list(managed.policies().values())
        shown = [self._view(call.account, record) for record in under(request, found)]
        if request.get("OnlyAttached"):
            shown = [view for view in shown if view["AttachmentCount"]]
        if request.get("PolicyUsageFilter") == "PermissionsBoundary":
            shown = [view for view in shown if view["PermissionsBoundaryUsageCount"]]
        return page(request, "Policies", shown)

    @operation("DeletePolicy", acts="PolicyArn")
    async def delete_policy(self, call: Call, request: Request) -> Response:
        record = self._own(call, request["PolicyArn"])
        if self._attached(call.account, record["arn"]) or self._bounded(call.account, record["arn"]):
            raise in_use("it is attached: detach the policy from all entities first")
        if len(record["versions"]) > 1:
            raise in_use("must delete all non-default versions first")
        self.policies.delete(call.account, record["arn"])
        return {}

    @operation("CreatePolicyVersion", acts="PolicyArn PolicyDocument SetAsDefault")
    async def create_policy_version(self, call: Call, request: Request) -> Response:
        record = self._own(call, request["PolicyArn"])
        document = self._document(request)
        if len(record["versions"]) >= VERSIONS:
            raise AwsError(
                "LimitExceededException",
                f"A managed policy can have up to {VERSIONS} versions. Before you create a new version, you must delete"
                " an existing version.",
                409,
            )
        version = f"v{record['next']}"
        record["next"] += 1
        record["versions"][version] = {"document": document, "created": time.time()}
        if request.get("SetAsDefault"):
            record["default"] = version
        record["updated"] = time.time()
        self.policies.put(call.account, record["arn"], record)
        return {"PolicyVersion": _version_view(record, version, document=False)}

    @operation("GetPolicyVersion", acts="PolicyArn VersionId")
    async def get_policy_version(self, call: Call, request: Request) -> Response:
        record = self.policy(call.account, request["PolicyArn"])
        return {"PolicyVersion": _version_view(record, _version(record, request), document=True)}

    @operation("ListPolicyVersions", acts="PolicyArn Marker MaxItems")
    async def list_policy_versions(self, call: Call, request: Request) -> Response:
        record = self.policy(call.account, request["PolicyArn"])
        newest_first = sorted(record["versions"], key=lambda version: -int(version[1:]))
        return page(request, "Versions", (_version_view(record, version, document=False) for version in newest_first))

    @operation("DeletePolicyVersion", acts="PolicyArn VersionId")
    async def delete_policy_version(self, call: Call, request: Request) -> Response:
        record = self._own(call, request["PolicyArn"])
        version = _version(record, request)
        if version == record["default"]:
            raise in_use("it is the default version of a policy")
        del record["versions"][version]
        self.policies.put(call.account, record["arn"], record)
        return {}

    @operation("SetDefaultPolicyVersion", acts="PolicyArn VersionId")
    async def set_default_policy_version(self, call: Call, request: Request) -> Response:
        record = self._own(call, request["PolicyArn"])
        record |= {"default": _version(record, request), "updated": time.time()}
        self.policies.put(call.account, record["arn"], record)
        return {}

    @operation("TagPolicy", acts="PolicyArn Tags")
    async def tag_policy(self, call: Call, request: Request) -> Response:
        record = self._own(call, request["PolicyArn"])
        record["tags"] |= tags_of(request)
        self.policies.put(call.account, record["arn"], record)
        return {}

    @operation("UntagPolicy", acts="PolicyArn TagKeys")
    async def untag_policy(self, call: Call, request: Request) -> Response:
        record = self._own(call, request["PolicyArn"])
        record["tags"] = {name: value for name, value in record["tags"].items() if name not in request["TagKeys"]}
        self.policies.put(call.account, record["arn"], record)
        return {}

    @operation("ListPolicyTags", acts="PolicyArn Marker MaxItems")
    async def list_policy_tags(self, call: Call, request: Request) -> Response:
        return page(request, "Tags", tag_list(self.policy(call.account, request["PolicyArn"])["tags"]))

    @operation("ListEntitiesForPolicy", acts="PolicyArn EntityFilter PathPrefix PolicyUsageFilter Marker MaxItems")
    async def list_entities_for_policy(self, call: Call, request: Request) -> Response:
        policy_arn = self.policy(call.account, request["PolicyArn"])["arn"]
        usage = request.get("PolicyUsageFilter", "PermissionsPolicy")
        users = self._bounded if usage == "PermissionsBoundary" else self._attached
        found = users(call.account, policy_arn)
        wanted = request.get("EntityFilter")
        answer: Response = {"PolicyUsers": [], "PolicyGroups": [], "PolicyRoles": [], "IsTruncated": False}
        for noun, record in found:
            if wanted in (None, noun) and under(request, [record]):
                answer[f"Policy{noun}s"].append({f"{noun}Name": record["name"], f"{noun}Id": record["id"]})
        return answer

    def _attached(self, account: str, policy_arn: str) -> list[tuple[str, Record]]:
        return [(noun, record) for noun, record in self.entities(account) if policy_arn in record["attached"]]

    def _bounded(self, account: str, policy_arn: str) -> list[tuple[str, Record]]:
        return [(noun, record) for noun, record in self.entities(account) if record["boundary"] == policy_arn]

    def _view(self, account: str, record: Record, *, tags: bool = False) -> dict[str, Any]:
        return {
            "PolicyName": record["name"],
            "PolicyId": record["id"],
            "Arn": record["arn"],
            "Path": record["path"],
            "DefaultVersionId": record["default"],
            "AttachmentCount": len(self._attached(account, record["arn"])),
            "PermissionsBoundaryUsageCount": len(self._bounded(account, record["arn"])),
            "IsAttachable": True,
            "Description": record["description"],
            "CreateDate": record["created"],
            "UpdateDate": record["updated"],
            "Tags": tag_list(record["tags"]) if tags and record["tags"] else None,
        }


def default_document(record: Record) -> str:
    """The text of the version that is in force."""
    return str(record["versions"][record["default"]]["document"])


def _version(record: Record, request: Request) -> str:
    version = str(request["VersionId"])
    if version not in record["versions"]:
        what = f"Policy {record['arn']} version {version} does not exist or is not attachable."
        raise AwsError("NoSuchEntityException", what, 404)
    return version


def _version_view(record: Record, version: str, *, document: bool) -> dict[str, Any]:
    entry = record["versions"][version]
    return {
        "VersionId": version,
        "IsDefaultVersion": version == record["default"],
        "CreateDate": entry["created"],
        "Document": encoded(entry["document"]) if document else None,
    }
