"""Inline policies, attached ones, tags and boundaries: the same calls for users, groups and roles."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from dock.aws.iam.base import Base
from dock.aws.iam.records import (
    Shelf,
    check_name,
    check_policy,
    check_size,
    encoded,
    missing,
    page,
    tag_list,
    tags_of,
    under,
)
from dock.aws.service import AwsError, Call, Handler, Request, Response, operation
from dock.store import Record

Noun = Literal["User", "Group", "Role"]
# A user's, group's or role's inline policies together (IAM quotas).
INLINE_SIZE = {"User": 2048, "Group": 5120, "Role": 10240}
ATTACHED = 10
_SNAKE = re.compile(r"(?<=[a-z])(?=[A-Z])")
T = TypeVar("T", bound=type[Base])


def with_policies(noun: Noun, *, boundary: bool, tags: bool) -> Callable[[T], T]:
    """Give a class IAM's calls on a noun's policies, and on its boundary and tags where it has them."""

    def decorate(kind: T) -> T:
        handlers = _policies(noun)
        if boundary:
            handlers += _boundary(noun)
        if tags:
            handlers += _tags(noun)
        for handler in handlers:
            declared: Any = getattr(handler, "__drydock_operation__")  # noqa: B009  (mypy knows no such attribute)
            setattr(kind, _SNAKE.sub("_", declared.name).lower(), handler)
        return kind

    return decorate


def _shelf(iam: Base, noun: Noun) -> Shelf:
    return {"User": iam.users, "Group": iam.groups, "Role": iam.roles}[noun]


def _record(iam: Base, noun: Noun, call: Call, request: Request) -> Record:
    find = {"User": iam.user, "Group": iam.group, "Role": iam.role}[noun]
    return find(call.account, request[f"{noun}Name"])


def _policies(noun: Noun) -> list[Handler]:
    key = f"{noun}Name"

    def save(iam: Base, call: Call, record: Record) -> None:
        _shelf(iam, noun).put(call.account, record["name"], record)

    @operation(f"Put{noun}Policy", acts=f"{key} PolicyName PolicyDocument")
    async def put(iam: Base, call: Call, request: Request) -> Response:
        record = _record(iam, noun, call, request)
        name = check_name("policyName", request["PolicyName"])
        record["inline"][name] = check_policy(request["PolicyDocument"], "identity")
        check_size("".join(record["inline"].values()), INLINE_SIZE[noun], f"{noun.lower()} {record['name']}")
        save(iam, call, record)
        return {}

    @operation(f"Get{noun}Policy", acts=f"{key} PolicyName")
    async def get(iam: Base, call: Call, request: Request) -> Response:
        record, name = _record(iam, noun, call, request), request["PolicyName"]
        if name not in record["inline"]:
            raise missing(f"{noun.lower()} policy", name)
        return {key: record["name"], "PolicyName": name, "PolicyDocument": encoded(record["inline"][name])}

    @operation(f"Delete{noun}Policy", acts=f"{key} PolicyName")
    async def delete(iam: Base, call: Call, request: Request) -> Response:
        record, name = _record(iam, noun, call, request), request["PolicyName"]
        if record["inline"].pop(name, None) is None:
            raise missing(f"{noun.lower()} policy", name)
        save(iam, call, record)
        return {}

    @operation(f"List{noun}Policies", acts=f"{key} Marker MaxItems")
    async def list_inline(iam: Base, call: Call, request: Request) -> Response:
        return page(request, "PolicyNames", sorted(_record(iam, noun, call, request)["inline"]))

    @operation(f"Attach{noun}Policy", acts=f"{key} PolicyArn")
    async def attach(iam: Base, call: Call, request: Request) -> Response:
        record, arn = _record(iam, noun, call, request), request["PolicyArn"]
        iam.policy(call.account, arn)
        if arn not in record["attached"]:
            if len(record["attached"]) >= ATTACHED:
                what = f"Cannot exceed quota for PoliciesPer{noun}: {ATTACHED}"
                raise AwsError("LimitExceededException", what, 409)
            record["attached"].append(arn)
            save(iam, call, record)
        return {}

    @operation(f"Detach{noun}Policy", acts=f"{key} PolicyArn")
    async def detach(iam: Base, call: Call, request: Request) -> Response:
        record, arn = _record(iam, noun, call, request), request["PolicyArn"]
        if arn not in record["attached"]:
            raise AwsError("NoSuchEntityException", f"Policy {arn} was not found.", 404)
        record["attached"].remove(arn)
        save(iam, call, record)
        return {}

    @operation(f"ListAttached{noun}Policies", acts=f"{key} PathPrefix Marker MaxItems")
    async def list_attached(iam: Base, call: Call, request: Request) -> Response:
        known = [iam.policy(call.account, arn) for arn in sorted(_record(iam, noun, call, request)["attached"])]
        shown = [{"PolicyName": policy["name"], "PolicyArn": policy["arn"]} for policy in under(request, known)]
        return page(request, "AttachedPolicies", shown)

    return [put, get, delete, list_inline, attach, detach, list_attached]


def _boundary(noun: Noun) -> list[Handler]:
    key = f"{noun}Name"

    @operation(f"Put{noun}PermissionsBoundary", acts=f"{key} PermissionsBoundary")
    async def put(iam: Base, call: Call, request: Request) -> Response:
        record = _record(iam, noun, call, request)
        record["boundary"] = check_boundary(iam, call, request)
        _shelf(iam, noun).put(call.account, record["name"], record)
        return {}

    @operation(f"Delete{noun}PermissionsBoundary", acts=key)
    async def delete(iam: Base, call: Call, request: Request) -> Response:
        record = _record(iam, noun, call, request)
        if record["boundary"] is None:
            raise AwsError(
                "NoSuchEntityException", f"{noun} {record['name']} does not have a permissions boundary.", 404
            )
        record["boundary"] = None
        _shelf(iam, noun).put(call.account, record["name"], record)
        return {}

    return [put, delete]


def check_boundary(iam: Base, call: Call, request: Request) -> str | None:
    """The ARN of the boundary that a request names; it must be a policy that exists."""
    arn: str | None = request.get("PermissionsBoundary")
    if arn is not None:
        try:
            iam.policy(call.account, arn)
        except AwsError:
            raise AwsError(
                "NoSuchEntityException", f"Scope ARN: {arn} does not exist or is not attachable.", 404
            ) from None
    return arn


def boundary_view(record: Record) -> dict[str, str] | None:
    arn = record["boundary"]
    return None if arn is None else {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}


def _tags(noun: Noun) -> list[Handler]:
    key = f"{noun}Name"

    @operation(f"Tag{noun}", acts=f"{key} Tags")
    async def tag(iam: Base, call: Call, request: Request) -> Response:
        record = _record(iam, noun, call, request)
        record["tags"] |= tags_of(request)
        _shelf(iam, noun).put(call.account, record["name"], record)
        return {}

    @operation(f"Untag{noun}", acts=f"{key} TagKeys")
    async def untag(iam: Base, call: Call, request: Request) -> Response:
        record = _record(iam, noun, call, request)
        record["tags"] = {name: value for name, value in record["tags"].items() if name not in request["TagKeys"]}
        _shelf(iam, noun).put(call.account, record["name"], record)
        return {}

    @operation(f"List{noun}Tags", acts=f"{key} Marker MaxItems")
    async def tags(iam: Base, call: Call, request: Request) -> Response:
        return page(request, "Tags", tag_list(_record(iam, noun, call, request)["tags"]))

    return [tag, untag, tags]
