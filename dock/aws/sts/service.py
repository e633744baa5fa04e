"""STS, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dock.access import keys
from dock.access.principals import Principal
from dock.access.principals import root as root_of
from dock.aws.denial import denial
from dock.aws.iam.service import Iam
from dock.aws.service import AwsError, Call, Request, Response, Service, operation
from dock.aws.sts import assume, web_identity
from dock.aws.sts.sessions import Issued, Sessions

if TYPE_CHECKING:
    from dock.cloud import Cloud

SESSION_SECONDS = 12 * 3600


class Sts(Service):
    """No SAML and no federation tokens."""

    name = "sts"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.iam = Iam.of(cloud)
        self.sessions = Sessions(self.iam.vault)
        self.issuers = web_identity.Issuers()

    @operation("GetCallerIdentity")
    async def get_caller_identity(self, call: Call, request: Request) -> Response:
        caller = _caller(call)
        return {"UserId": caller.unique_id, "Account": caller.account, "Arn": caller.arn}

    @operation("GetAccessKeyInfo", acts="AccessKeyId")
    async def get_access_key_info(self, call: Call, request: Request) -> Response:
        key: str = request["AccessKeyId"]
        account = key if len(key) == 12 and key.isdigit() else keys.account_of(key)
        if account is None:
            raise AwsError("ValidationError", "Invalid type for parameter AccessKeyId")
        return {"Account": account}

    @operation(
        "AssumeRole",
        acts="RoleArn RoleSessionName PolicyArns Policy DurationSeconds Tags TransitiveTagKeys ExternalId SerialNumber"
        " TokenCode SourceIdentity",
    )
    async def assume_role(self, call: Call, request: Request) -> Response:
        caller = self._authenticated(_caller(call), request, "sts:AssumeRole", request["RoleArn"])
        issued = assume.assume(self.iam, self.sessions, request, caller, "sts:AssumeRole", {})
        return assume.assumed(issued)

    def _authenticated(self, caller: Principal, request: Request, action: str, resource: str) -> Principal:
        """The caller, with MFA where the request proves it. Raises AwsError for a code that is wrong."""
        serial, code = request.get("SerialNumber"), request.get("TokenCode")
        if serial is None and code is None:
            return caller
        if serial is None or code is None:
            raise AwsError("ValidationError", "SerialNumber and TokenCode come together")
        if caller.kind != "user" or not self.iam.check_mfa(caller.account, caller.name, serial, code):
            refused = denial(caller, action, resource)
            raise AwsError(
                refused.code, "MultiFactorAuthentication failed with invalid MFA one time pass code. ", refused.status
            )
        return assume.with_mfa(caller)

    @operation(
        "AssumeRoleWithWebIdentity",
        acts="RoleArn RoleSessionName WebIdentityToken PolicyArns Policy DurationSeconds",
    )
    async def assume_role_with_web_identity(self, call: Call, request: Request) -> Response:
        _, claims, _, _ = web_identity.claims_of(request["WebIdentityToken"])
        name = web_identity.provider_name(claims)
        account = request["RoleArn"].split(":")[4] if request["RoleArn"].count(":") >= 5 else ""
        provider = self.iam.oidc_providers.get(account, f"arn:aws:iam::{account}:oidc-provider/{name}")
        if provider is None:
            raise AwsError(
                "InvalidIdentityTokenException",
                f"No OpenIDConnect provider found in your account for {claims.get('iss')}",
            )
        claims = await self.issuers.verify(request["WebIdentityToken"], provider)
        caller = Principal("federated", account, f"arn:aws:sts::{account}:federated-user/{name}", name=provider["arn"])
        issued = assume.assume(
            self.iam,
            self.sessions,
            request,
            caller,
            "sts:AssumeRoleWithWebIdentity",
            web_identity.context_keys(name, claims) | {"aws:federatedprovider": (provider["arn"],)},
        )
        audience = claims["aud"]
        return {
            **assume.assumed(issued),
            "SubjectFromWebIdentityToken": claims["sub"],
            "Provider": provider["arn"],
            "Audience": audience if isinstance(audience, str) else audience[0],
        }

    @operation("GetSessionToken", acts="DurationSeconds SerialNumber TokenCode")
    async def get_session_token(self, call: Call, request: Request) -> Response:
        caller = _caller(call)
        if caller.kind == "session" or caller.issued_at is not None:
            raise AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
        if caller.kind != "user":
            raise AwsError(
                "AccessDenied", "the dock hands out session tokens to IAM users, not to the account's root", 403
            )
        caller = self._authenticated(caller, request, "sts:GetSessionToken", "*")
        issued = self.sessions.issue(
            caller.account,
            request.get("DurationSeconds", SESSION_SECONDS),
            user=caller.name,
            unique_id=caller.unique_id,
            tags=caller.tags,
            mfa_at=caller.mfa_at,
        )
        return {"Credentials": issued.view()}

    # for the dock's own services

    def for_service(self, role_arn: str, service: str, source_arn: str, name: str) -> Issued:
        """Credentials of a role that a service of AWS takes on for a resource of the account, an ECS task for
        example. Raises AwsError when the role does not trust it."""
        return assume.assume_as_service(self.iam, self.sessions, role_arn, service, source_arn, name)


def _caller(call: Call) -> Principal:
    return call.caller or root_of(call.account)
