"""The simulator: the same evaluation as the one that is enforced, on requests that nobody makes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from dock.access import context, decision
from dock.access.decision import Decision, Grants, Question, Source
from dock.access.documents import Document, PolicyError, parse
from dock.access.principals import Principal
from dock.aws.iam.account import Account
from dock.aws.iam.policies import default_document
from dock.aws.iam.records import page
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

_TYPES = {
    Source.IDENTITY: "IAM Policy",
    Source.RESOURCE: "Resource Policy",
    Source.BOUNDARY: "IAM Permissions Boundary Policy",
    Source.SESSION: "IAM Policy",
}
_CUSTOM = "PolicyInputList"
_COMMON = (
    " PermissionsBoundaryPolicyInputList ActionNames ResourceArns ResourcePolicy ResourceOwner CallerArn ContextEntries"
    " Marker MaxItems"
)


class Simulation(Account):
    """`grants`, which says what a principal's policies are, comes from the class that puts IAM together."""

    def grants(self, principal: Principal) -> Grants:
        raise NotImplementedError

    @operation("SimulatePrincipalPolicy", acts="PolicySourceArn PolicyInputList" + _COMMON)
    async def simulate_principal_policy(self, call: Call, request: Request) -> Response:
        source = self._source(call, request["PolicySourceArn"])
        principal = self._caller(call, request) or source
        own = self._group_grants(call, request["PolicySourceArn"]) or self.grants(source)
        grants = Grants(
            identity=(*own.identity, *_given(request.get(_CUSTOM, []), _CUSTOM)),
            boundary=self._boundary_given(request) or own.boundary,
        )
        return self._simulate(request, principal, grants)

    @operation("SimulateCustomPolicy", acts=_CUSTOM + _COMMON)
    async def simulate_custom_policy(self, call: Call, request: Request) -> Response:
        principal = self._caller(call, request) or Principal(
            "user", call.account, f"arn:aws:iam::{call.account}:user/simulated", "AIDASIMULATED", "simulated"
        )
        grants = Grants(identity=tuple(_given(request[_CUSTOM], _CUSTOM)), boundary=self._boundary_given(request))
        return self._simulate(request, principal, grants)

    @operation("GetContextKeysForPrincipalPolicy", acts="PolicySourceArn PolicyInputList")
    async def get_context_keys_for_principal_policy(self, call: Call, request: Request) -> Response:
        source = self._source(call, request["PolicySourceArn"])
        own = self._group_grants(call, request["PolicySourceArn"]) or self.grants(source)
        return {"ContextKeyNames": _keys([*own.identity, *_given(request.get(_CUSTOM, []), _CUSTOM)])}

    @operation("GetContextKeysForCustomPolicy", acts=_CUSTOM)
    async def get_context_keys_for_custom_policy(self, call: Call, request: Request) -> Response:
        return {"ContextKeyNames": _keys(_given(request[_CUSTOM], _CUSTOM))}

    def _simulate(self, request: Request, principal: Principal, grants: Grants) -> Response:
        now = time.time()
        known = context.of_principal(principal, now) | context.of_moment(now)
        for entry in request.get("ContextEntries", []):
            known[entry["ContextKeyName"].lower()] = tuple(entry.get("ContextKeyValues", []))
        resource_policy = next(_given_resource(request), None)
        results = []
        for action in request["ActionNames"]:
            for resource in request.get("ResourceArns", ["*"]):
                question = Question(
                    principal=principal,
                    action=action,
                    resource=resource,
                    context=known,
                    owner=_owner(request, resource, principal.account),
                    resource_policy=resource_policy,
                    resource_decides=resource_policy is not None and action.lower().startswith("kms:"),
                )
                results.append(_result(question, grants, decision.decide(question, grants)))
        return page(request, "EvaluationResults", results)

    def _source(self, call: Call, arn: str) -> Principal:
        """The user, group or role whose policies are meant."""
        kind, record = self._by_arn(call, arn)
        tags = tuple(record["tags"].items())
        if kind == "role":
            return Principal(
                "session", call.account, arn, f"{record['id']}:simulated", record["name"], role_arn=arn, tags=tags
            )
        return Principal("user", call.account, arn, record["id"], record["name"], tags=tags)

    def _group_grants(self, call: Call, arn: str) -> Grants | None:
        kind, record = self._by_arn(call, arn)
        if kind != "group":
            return None
        texts = list(record["inline"].items())
        for policy in (self.policy(call.account, attached) for attached in record["attached"]):
            texts.append((policy["name"], default_document(policy)))
        return Grants(identity=tuple(parse(text, "identity", name) for name, text in texts))

    def _by_arn(self, call: Call, arn: str) -> tuple[str, Record]:
        resource = arn.rpartition(":")[2]
        kind, name = resource.partition("/")[0], resource.rpartition("/")[2]
        shelf = {"user": self.users, "group": self.groups, "role": self.roles}.get(kind)
        record = shelf.get(call.account, name) if shelf is not None else None
        if record is None or record["arn"] != arn:
            raise AwsError("NoSuchEntityException", f"The entity {arn} cannot be found.", 404)
        return kind, record

    def _caller(self, call: Call, request: Request) -> Principal | None:
        arn = request.get("CallerArn")
        if arn is None:
            return None
        if ":user/" not in arn:
            raise AwsError(
                "InvalidInputException", f"Invalid Entity Arn: {arn} does not clearly define entity type and name."
            )
        return self._source(call, arn)

    def _boundary_given(self, request: Request) -> Document | None:
        name = "PermissionsBoundaryPolicyInputList"
        return next(iter(_given(request.get(name, []), name)), None)


def _given(texts: list[str], name: str) -> list[Document]:
    try:
        return [parse(text, "identity", f"{name}.{number}") for number, text in enumerate(texts, 1)]
    except PolicyError as problem:
        raise AwsError("InvalidInputException", f"Invalid Input: {problem}") from None


def _given_resource(request: Request) -> Iterator[Document]:
    text = request.get("ResourcePolicy")
    if text is not None:
        try:
            yield parse(text, "resource", "ResourcePolicy")
        except PolicyError as problem:
            raise AwsError("InvalidInputException", f"Invalid Input: {problem}") from None


def _owner(request: Request, resource: str, account: str) -> str:
    fields = resource.split(":")
    if owner := request.get("ResourceOwner"):
        named: str = owner.split(":")[4] if owner.startswith("arn:") else owner
        return named
    return fields[4] if len(fields) > 5 and fields[4].isdigit() else account


def _keys(documents: Iterable[Document]) -> list[str]:
    return sorted({key for document in documents for statement in document for key in statement.context_keys()})


def _result(question: Question, grants: Grants, made: Decision) -> dict[str, Any]:
    verdict = "allowed" if made.allowed else "explicitDeny" if made.explicit else "implicitDeny"
    matched = [{"SourcePolicyId": match.policy, "SourcePolicyType": _TYPES[match.source]} for match in made.matched]
    common: dict[str, Any] = {"MatchedStatements": matched, "MissingContextValues": sorted(made.missing)}
    if grants.boundary is not None:
        allows = made.allowed or made.source is not Source.BOUNDARY
        common["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": allows}
    return {
        "EvalActionName": question.action,
        "EvalResourceName": question.resource,
        "EvalDecision": verdict,
        **common,
        "ResourceSpecificResults": [{"EvalResourceName": question.resource, "EvalResourceDecision": verdict, **common}],
    }
