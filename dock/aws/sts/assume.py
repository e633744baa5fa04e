"""Taking on a role: what the trust policy, the caller's own policies and the request must say."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

from dock.access import context
from dock.access.context import Values
from dock.access.decision import Grants, Question, decide
from dock.access.documents import PolicyError, parse
from dock.access.principals import Principal
from dock.aws.denial import denial
from dock.aws.iam.policies import default_document
from dock.aws.iam.records import tags_of
from dock.aws.iam.service import Iam
from dock.aws.service import AwsError, Request
from dock.aws.sts.sessions import Issued, Sessions
from dock.store import Record

DEFAULT_SECONDS = 3600
CHAINED_SECONDS = 3600
POLICY_SIZE = 2048
SESSION_TAGS = 50
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")


def assume(iam: Iam, sessions: Sessions, request: Request, caller: Principal, action: str, known: Values) -> Issued:
    """A session of the role that `request` names. `known` are context keys of this very request (an identity
    provider's claims, MFA). Raises AwsError."""
    role_arn: str = request["RoleArn"]
    name: str = request["RoleSessionName"]
    if not _SESSION_NAME.fullmatch(name):
        raise AwsError("ValidationError", f"The session name {name!r} does not satisfy [\\w+=,.@-]{{2,64}}")
    found = iam.role_by_arn(role_arn)
    if caller.kind == "root":
        raise AwsError("AccessDenied", "Roles may not be assumed by root accounts.", 403)
    if found is None:
        raise denial(caller, action, role_arn)
    account, role = found
    tags = _session_tags(request, caller)
    keys = {**_keys(request, caller, tags), **known}
    actions = [action]
    actions += ["sts:TagSession"] if request.get("Tags") else []
    actions += ["sts:SetSourceIdentity"] if request.get("SourceIdentity") else []
    grants = iam.grants(caller)
    trust = parse(role["trust"], "trust", "trust policy")
    for wanted in actions:
        question = Question(caller, wanted, role_arn, keys, account, resource_policy=trust, resource_decides=True)
        made = decide(question, grants if caller.in_account else Grants())
        if not made.allowed:
            raise denial(caller, wanted, role_arn, made)
    issued = sessions.issue(
        account,
        _seconds(request, role, caller),
        role=role["name"],
        role_arn=role_arn,
        unique_id=f"{role['id']}:{name}",
        name=name,
        policies=_session_policies(iam, account, request),
        tags=tuple({**role["tags"], **tags}.items()),
        transitive=tuple({*request.get("TransitiveTagKeys", []), *caller.transitive_tags}),
        source_identity=request.get("SourceIdentity") or caller.source_identity,
        provider=caller.name if caller.kind == "federated" else None,
    )
    iam.used(role["id"], account, "us-east-1")
    return issued


def assume_as_service(
    iam: Iam,
    sessions: Sessions,
    role_arn: str,
    service: str,
    source_arn: str,
    name: str,
    seconds: int = DEFAULT_SECONDS,
) -> Issued:
    """A session for an AWS service that acts in an account, for example `ecs-tasks.amazonaws.com` for a task."""
    caller = Principal("service", "", service, name=service)
    keys: Values = {
        "aws:sourcearn": (source_arn,),
        "aws:sourceaccount": (source_arn.split(":")[4],),
    }
    request = {"RoleArn": role_arn, "RoleSessionName": name, "DurationSeconds": seconds}
    return assume(iam, sessions, request, caller, "sts:AssumeRole", keys)


def _seconds(request: Request, role: Record, caller: Principal) -> int:
    seconds = int(request.get("DurationSeconds", min(DEFAULT_SECONDS, role["seconds"])))
    if seconds > role["seconds"]:
        raise AwsError(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    if caller.kind == "session" and seconds > CHAINED_SECONDS:
        raise AwsError(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        )
    return seconds


def _session_tags(request: Request, caller: Principal) -> dict[str, str]:
    """The session's tags: those given, and those that follow a chain of roles, which nobody may change."""
    given = tags_of(request)
    if len(given) > SESSION_TAGS:
        raise AwsError("ValidationError", f"A session has at most {SESSION_TAGS} tags")
    inherited = {key: value for key, value in caller.tags if key in caller.transitive_tags}
    for key in given:
        if key in inherited:
            raise AwsError(
                "InvalidParameterValue",
                f"One of the specified transitive tag keys can't be set because it conflicts with"
                f" a transitive tag key from the calling session: {key}",
            )
    return {**given, **inherited}


def _keys(request: Request, caller: Principal, tags: dict[str, str]) -> Values:
    now = time.time()
    keys: dict[str, tuple[str, ...]] = context.of_principal(caller, now) | context.of_moment(now)
    keys["sts:rolesessionname"] = (request["RoleSessionName"],)
    keys["aws:securetransport"] = ("true",)
    if external := request.get("ExternalId"):
        keys["sts:externalid"] = (external,)
    if identity := request.get("SourceIdentity"):
        keys["sts:sourceidentity"] = (identity,)
    if transitive := request.get("TransitiveTagKeys"):
        keys["sts:transitivetagkeys"] = tuple(transitive)
    if tags:
        keys["aws:tagkeys"] = tuple(tags)
        keys |= {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    return keys


def _session_policies(iam: Iam, account: str, request: Request) -> tuple[str, ...]:
    """The texts that limit the session; together at most 2048 characters."""
    texts: list[str] = [request["Policy"]] if request.get("Policy") else []
    for entry in request.get("PolicyArns", []):
        texts.append(default_document(iam.policy(account, entry["arn"])))
    for text in texts:
        try:
            parse(text, "identity")
        except PolicyError as problem:
            raise AwsError("MalformedPolicyDocument", str(problem)) from None
    if sum(map(len, texts)) > POLICY_SIZE:
        raise AwsError("PackedPolicyTooLarge", f"The session policies are larger than {POLICY_SIZE} characters")
    return tuple(texts)


def packed(issued: Issued) -> int | None:
    """How much of the room for policies and tags a session takes, in percent; None when it takes none."""
    size = sum(map(len, issued.session.policies)) + sum(len(key) + len(value) for key, value in issued.session.tags)
    return max(1, 100 * size // POLICY_SIZE) if size else None


def with_mfa(caller: Principal) -> Principal:
    """The caller, who has just proved to have the device."""
    return replace(caller, mfa_at=time.time(), issued_at=caller.issued_at or time.time())


def assumed(issued: Issued) -> dict[str, Any]:
    """The part of an answer that all ways to a role have in common."""
    session = issued.session
    return {
        "Credentials": issued.view(),
        "AssumedRoleUser": {"AssumedRoleId": session.unique_id, "Arn": session.arn},
        "PackedPolicySize": packed(issued),
        "SourceIdentity": session.source_identity,
    }
