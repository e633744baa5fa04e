"""Whose request it is: from an access key, its signature and its session token to a principal."""

from __future__ import annotations

import time

from dock.access.keys import account_of
from dock.access.principals import ANONYMOUS, Principal
from dock.access.principals import root as root_of
from dock.authorization import signature
from dock.aws.iam.service import Iam
from dock.aws.request import Identified, Protocol
from dock.aws.service import AwsError
from dock.aws.sts.service import Sts
from dock.aws.sts.sessions import InvalidTokenError
from dock.store import Scope

# How often a key's last use is written down; on AWS it is coarse as well.
USE_SECONDS = 300
_INVALID = "The security token included in the request is invalid."
_EXPIRED = "The security token included in the request is expired"


def is_root(access_key: str) -> bool:
    """A 12-digit account number is that account's root: for this machine's convenience, without a signature."""
    return len(access_key) == 12 and access_key.isdigit()


def account_of_key(access_key: str | None) -> str | None:
    """The account that a key belongs to, checked or not."""
    if access_key is None:
        return None
    return access_key if is_root(access_key) else account_of(access_key)


class Callers:
    def __init__(self, iam: Iam, sts: Sts) -> None:
        self._iam = iam
        self._sts = sts

    def caller(self, identified: Identified) -> Principal:
        """Who signed the request. Raises AwsError for a key, a token or a signature that is wrong."""
        key = identified.access_key
        if key is None:
            return ANONYMOUS
        if is_root(key):
            return root_of(key)
        token = identified.session_token
        secret, principal = self._session(identified, key, token) if token else self._key(identified, key)
        try:
            signature.verify(
                identified.method, identified.target, identified.headers, identified.body, secret, time.time()
            )
        except signature.TooOldError as problem:
            raise _too_old(identified, str(problem)) from None
        except signature.SignatureError as problem:
            raise _mismatch(identified, str(problem)) from None
        return principal

    def _key(self, identified: Identified, key: str) -> tuple[str, Principal]:
        account = account_of(key) or ""
        record = self._iam.access_keys.get(account, key)
        user = self._iam.users.get(account, record["user"]) if record is not None else None
        if record is None or user is None or record["status"] != "Active":
            raise _invalid(identified)
        self._used(account, key, identified)
        principal = Principal(
            "user",
            account,
            user["arn"],
            unique_id=user["id"],
            name=user["name"],
            tags=tuple(user["tags"].items()),
            access_key=key,
        )
        return self._iam.secret_of(record), principal

    def _session(self, identified: Identified, key: str, token: str) -> tuple[str, Principal]:
        try:
            session = self._sts.sessions.open(token, key)
        except InvalidTokenError:
            raise _invalid(identified) from None
        if session.expires <= time.time():
            raise _expired(identified)
        if session.user is not None:
            user = self._iam.users.get(session.account, session.user)
            if user is None or user["id"] != session.unique_id:
                raise _invalid(identified)
            return session.secret, session.principal(user["arn"])
        role = self._iam.roles.get(session.account, session.role or "")
        if role is None or role["id"] != session.unique_id.partition(":")[0]:
            raise _invalid(identified)
        return session.secret, session.principal()

    def _used(self, account: str, key: str, identified: Identified) -> None:
        scope, now = Scope(account, ""), time.time()
        last = self._iam.uses.get(scope, key)
        if last is None or now - last["at"] > USE_SECONDS:
            self._iam.uses.put(scope, key, {"at": now, "region": identified.region, "service": identified.service})


def _code(identified: Identified, s3: str, ec2: str, json: str, other: str) -> str:
    if identified.service == "s3":
        return s3
    if identified.service == "ec2":
        return ec2
    return json if identified.protocol in (Protocol.JSON, Protocol.REST_JSON, Protocol.CBOR) else other


def _invalid(identified: Identified) -> AwsError:
    code = _code(identified, "InvalidAccessKeyId", "AuthFailure", "UnrecognizedClientException", "InvalidClientTokenId")
    return AwsError(code, _INVALID, 403)


def _expired(identified: Identified) -> AwsError:
    return AwsError(
        _code(identified, "ExpiredToken", "RequestExpired", "ExpiredTokenException", "ExpiredToken"), _EXPIRED, 403
    )


def _mismatch(identified: Identified, why: str) -> AwsError:
    code = _code(
        identified,
        "SignatureDoesNotMatch",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
    )
    return AwsError(code, why, 403)


def _too_old(identified: Identified, why: str) -> AwsError:
    if identified.service == "s3":
        code = "AccessDenied" if "X-Amz-Expires" in identified.target else "RequestTimeTooSkewed"
        return AwsError(code, why, 403)
    return _mismatch(identified, why)
