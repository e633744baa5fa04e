"""The decision about each request at the front door."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from dock.access import context
from dock.access.context import Values
from dock.access.decision import Decision, Question, decide
from dock.access.principals import Authorized, Principal
from dock.access.principals import root as root_of
from dock.authorization import reference as references
from dock.authorization import request_keys, targets
from dock.authorization.callers import Callers, is_root
from dock.authorization.lookups import Lookups
from dock.authorization.reference import ServiceReference
from dock.aws import denial
from dock.aws.iam.service import Iam
from dock.aws.request import Identified, Protocol
from dock.aws.service import AwsError
from dock.aws.sts.service import Sts

if TYPE_CHECKING:
    from dock.cloud import Cloud

# STS decides about these itself, with the role's trust policy; the others need no permission, as on AWS.
_DECIDED_BY_STS = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity", "GetSessionToken"})
_UNSIGNED = frozenset({"AssumeRoleWithWebIdentity"})
_SECRETS_READ = frozenset({"GetSecretValue"})
_SECRETS_WRITTEN = frozenset({"CreateSecret", "PutSecretValue", "UpdateSecret"})
_PARAMETERS_READ = frozenset({"GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory"})
LOCAL = "127.0.0.1"


class Authorizer:
    """Everything but the account's root needs a policy that allows it; what can't be told is denied."""

    def __init__(self, cloud: Cloud, accounts: tuple[str, ...]) -> None:
        self._cloud = cloud
        self._accounts = accounts
        self._iam = cloud.service(Iam)
        self._callers = Callers(self._iam, cloud.service(Sts))
        self._lookups = Lookups(cloud, accounts)

    async def authorize(self, identified: Identified) -> Authorized:
        """Raises AwsError, in the words of the service, when the caller may not."""
        key = identified.access_key
        if key is not None and is_root(key):
            return Authorized(root_of(key), key)
        principal = self._callers.caller(identified)
        operation = identified.operation
        if identified.service == "sts" and operation in _DECIDED_BY_STS:
            if principal.kind == "anonymous" and operation not in _UNSIGNED:
                raise _no_token()
            return Authorized(principal, principal.account or self._accounts[0])
        if principal.kind == "anonymous" and identified.service != "s3":
            raise _no_token()
        _check_session_kind(identified, principal)
        reference = references.of(identified.service)
        actions = reference.actions_of(operation) if reference is not None and operation is not None else ()
        if reference is None or not actions:
            raise AwsError(
                _code(identified),
                f"User: {principal.arn} is not authorized to perform: {identified.signing_name}:{identified.asked}: the"
                " dock does not know which permission this takes, and denies it to everybody but the account's root",
                denial.STATUS,
            )
        request = _Request(identified, principal, reference)
        owner = principal.account
        for action in actions:
            arns = await self._resources(request, action.name)
            for arn in arns:
                owner = await self._require(request, f"{reference.prefix}:{action.name}", arn)
            await self._require_tagging(request, arns[0])
        await self._require_source(request)
        await self._require_passing(request)
        await self._require_keys(request)
        return Authorized(principal, owner)

    def acted(self, identified: Identified) -> None:
        """Call after each operation: what was looked up before may be stale."""
        reference = references.of(identified.service)
        if reference is not None and identified.operation is not None:
            self._lookups.forget(reference, identified.operation)

    async def check(self, principal: Principal, region: str, action: str, resource: str) -> None:
        """For the dock's own services, which act with a role of somebody's in a region. Raises AwsError."""
        now = time.time()
        known = context.of_principal(principal, now) | context.of_moment(now) | request_keys.of_place(region, LOCAL)
        made, _ = await self._decide(principal, action, resource, known)
        if not made.allowed:
            raise AwsError("AccessDeniedException", denial.sentence(principal, action, resource, made), denial.STATUS)

    async def _require(self, request: _Request, action: str, arn: str, extra: Values | None = None) -> str:
        """The resource's account, when its owner and the caller's policies allow the action. Raises AwsError."""
        principal = request.principal
        keys = request.keys | (extra or {})
        made, owner = await self._decide(principal, action, arn, keys)
        if not made.allowed:
            identified = request.identified
            raise denial.refusal(identified.service, identified.protocol, principal, action, arn, made)
        return owner

    async def _decide(self, principal: Principal, action: str, arn: str, keys: Values) -> tuple[Decision, str]:
        prefix = action.partition(":")[0]
        owner = principal.account
        policy = None
        if arn != targets.EVERYTHING:
            owner = await self._lookups.owner(prefix, arn, principal.account or self._accounts[0])
            policy = await self._lookups.policy(prefix, arn)
        question = Question(
            principal=principal,
            action=action,
            resource=arn,
            context={"aws:resourceaccount": (owner,), **keys},
            owner=owner,
            resource_policy=policy,
            resource_decides=prefix == "kms" and ":key/" in arn,
        )
        return decide(question, self._iam.grants(principal)), owner

    # what a request is about

    async def _resources(self, request: _Request, action: str) -> list[str]:
        reference, parameters = request.reference, request.parameters
        account, region = request.principal.account or self._accounts[0], request.region
        match reference.prefix:
            case "kms":
                return await self._kms_resources(request, action)
            case "secretsmanager":
                found = [await self._secret(account, region, name) for name in _names(parameters, "SecretId")]
                if found:
                    return found
            case "sqs" if "QueueUrl" in parameters:
                *_, owner, name = str(parameters["QueueUrl"]).rstrip("/").split("/")
                return [f"arn:aws:sqs:{region}:{owner if owner.isdigit() else account}:{name}"]
            case "iam":
                parameters = self._with_paths(request)
        return targets.resources(reference, reference.actions[action], parameters, region, account)

    async def _kms_resources(self, request: _Request, action: str) -> list[str]:
        account, region, parameters = request.principal.account, request.region, request.parameters
        wanted = {"ReEncryptFrom": ("SourceKeyId",), "ReEncryptTo": ("DestinationKeyId",)}.get(
            action, ("KeyId", "TargetKeyId")
        )
        keys = [key for name in wanted for key in _names(parameters, name)]
        if not keys and action in ("Decrypt", "ReEncryptFrom"):
            # The ciphertext says which key it was; the caller must be allowed all that this may be.
            return [f"arn:aws:kms:{region}:{account}:key/*"]
        found = [await self._lookups.key_arn(account, region, key) for key in keys]
        if "AliasName" in parameters:
            found.append(f"arn:aws:kms:{region}:{account}:{parameters['AliasName']}")
        return found or [targets.EVERYTHING]

    async def _secret(self, account: str, region: str, name: str) -> str:
        found = await self._lookups.secret_arn(account, region, name)
        if found is not None:
            return found
        return name if name.startswith("arn:") else f"arn:aws:secretsmanager:{region}:{account}:secret:{name}"

    def _with_paths(self, request: _Request) -> dict[str, Any]:
        """IAM's parameters with the ARNs that names stand for, paths and all; nobody named is the caller."""
        account, parameters = request.principal.account, dict(request.parameters)
        shelves = {
            "RoleName": self._iam.roles,
            "UserName": self._iam.users,
            "GroupName": self._iam.groups,
            "InstanceProfileName": self._iam.instance_profiles,
        }
        if "UserName" not in parameters and request.principal.kind == "user":
            parameters["UserName"] = request.principal.name
        for name, shelf in shelves.items():
            record = shelf.get(account, str(parameters.get(name)))
            if record is not None:
                parameters[name] = record["arn"]
        return parameters

    # what a request hands over or opens besides

    async def _require_tagging(self, request: _Request, arn: str) -> None:
        """A creation with tags is a tagging too."""
        prefix, operation = request.reference.prefix, request.identified.operation or ""
        action = request.reference.tagging_of(operation)
        if action is not None and "aws:requesttag" in {key.partition("/")[0] for key in request.keys}:
            await self._require(request, f"{prefix}:{action}", arn, {f"{prefix}:createaction": (operation,)})

    async def _require_source(self, request: _Request) -> None:
        """What is copied in S3 must be readable."""
        source = request.parameters.get("CopySource")
        if request.reference.prefix == "s3" and isinstance(source, str):
            path, _, version = unquote(source).lstrip("/").partition("?versionId=")
            action = "s3:GetObjectVersion" if version else "s3:GetObject"
            await self._require(request, action, f"arn:aws:s3:::{path}")

    async def _require_passing(self, request: _Request) -> None:
        passing = request.reference.passes.get(request.identified.operation or "")
        if passing is None:
            return
        account = request.principal.account
        roles = [arn for path in passing.roles for arn in targets.at(request.parameters, path)]
        roles += [
            record["arn"]
            for path in passing.names
            for name in targets.at(request.parameters, path)
            if (record := self._iam.roles.get(account, name)) is not None
        ]
        if passing.definition is not None:
            for given in targets.at(request.parameters, passing.definition):
                roles += self._roles_of_definition(account, request.region, given)
        for arn in dict.fromkeys(roles):
            whole = arn if arn.startswith("arn:") else f"arn:aws:iam::{account}:role/{arn}"
            await self._require(request, "iam:PassRole", whole, {"iam:passedtoservice": (passing.to,)})

    def _roles_of_definition(self, account: str, region: str, given: str) -> list[str]:
        ecs = self._cloud.services.get("ecs")
        roles = getattr(ecs, "roles_of_definition", None)
        return list(roles(account, region, given)) if roles is not None else []

    async def _require_keys(self, request: _Request) -> None:
        """What Secrets Manager and Parameter Store encrypt with a key of the account, they do with the caller's
        permission for that key."""
        prefix, operation = request.reference.prefix, request.identified.operation or ""
        account, region, parameters = request.principal.account, request.region, request.parameters
        if prefix == "secretsmanager" and operation in _SECRETS_READ | _SECRETS_WRITTEN:
            key = parameters.get("KmsKeyId")
            for name in _names(parameters, "SecretId"):
                key = key or await self._lookups.secret_key(await self._secret(account, region, name))
            actions = ("kms:Decrypt",) if operation in _SECRETS_READ else ("kms:GenerateDataKey", "kms:Decrypt")
            if key is not None and not key.startswith("alias/aws/"):
                await self._require_key(request, key, actions)
        elif prefix == "ssm" and operation in _PARAMETERS_READ and parameters.get("WithDecryption"):
            for name in (*_names(parameters, "Name"), *_names(parameters, "Names")):
                key = await self._lookups.parameter_key(account, region, name)
                if key is not None:
                    await self._require_key(request, key, ("kms:Decrypt",))
        elif prefix == "ssm" and operation == "PutParameter" and parameters.get("KeyId"):
            await self._require_key(request, str(parameters["KeyId"]), ("kms:Encrypt",))

    async def _require_key(self, request: _Request, key: str, actions: tuple[str, ...]) -> None:
        arn = await self._lookups.key_arn(request.principal.account, request.region, key)
        via = f"{request.reference.prefix}.{request.region}.amazonaws.com"
        forwarded = replace(request, principal=replace(request.principal, via=via))
        extra: Values = {"kms:viaservice": (via,), "kms:calleraccount": (request.principal.account,)}
        for action in actions:
            await self._require(forwarded, action, arn, extra)


@dataclass(frozen=True)
class _Request:
    """What the parts of one decision share."""

    identified: Identified
    principal: Principal
    reference: ServiceReference

    @property
    def parameters(self) -> dict[str, Any]:
        return self.identified.parameters

    @property
    def region(self) -> str:
        return self.identified.region

    @functools.cached_property
    def keys(self) -> Values:
        now = time.time()
        known = context.of_principal(self.principal, now) | context.of_moment(now)
        if self.reference.prefix == "kms":
            known["kms:calleraccount"] = (self.principal.account,)
        return known | request_keys.of_request(
            self.reference, self.region, self.parameters, self.identified.headers, LOCAL, self.principal.account
        )


def _names(parameters: Mapping[str, Any], name: str) -> Iterator[str]:
    return targets.at(parameters, name)


def _code(identified: Identified) -> str:
    documents = (Protocol.QUERY, Protocol.REST_XML, Protocol.EC2)
    return "AccessDenied" if identified.protocol in documents else "AccessDeniedException"


def _no_token() -> AwsError:
    return AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)


def _check_session_kind(identified: Identified, principal: Principal) -> None:
    """A user's session without MFA can't call IAM, and no session can make another but by a role."""
    without_mfa = principal.kind == "user" and principal.issued_at is not None and principal.mfa_at is None
    if without_mfa and identified.service == "iam":
        raise AwsError("InvalidClientTokenId", "The security token included in the request is invalid", 403)
    if identified.service == "sts" and identified.operation == "GetFederationToken":
        raise AwsError("AccessDenied", "the dock hands out no federation tokens: assume a role", denial.STATUS)
