"""Signature version 4, from the server's side: whether a request was signed with a secret."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote

ALGORITHM = "AWS4-HMAC-SHA256"
CLOCK_SECONDS = 300
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<credential>[^,\s]+),\s*SignedHeaders=(?P<headers>[^,\s]+),\s*"
    r"Signature=(?P<signature>[0-9a-f]+)"
)
_DATE = re.compile(r"\d{8}T\d{6}Z")
_BLANKS = re.compile(r" +")
UNSIGNED = "UNSIGNED-PAYLOAD"


class SignatureError(ValueError):
    """The request isn't signed as it should be; the message says how it fails."""


class TooOldError(SignatureError):
    """It was signed too long ago, or for another time."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request says of its signature."""

    date: str
    day: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str
    expires: int | None
    """For a presigned URL, how many seconds it is good for."""


def read(target: str, headers: Mapping[str, str]) -> Signed:
    """Raises SignatureError when there is no whole signature."""
    query = dict(parse_qsl(target.partition("?")[2], keep_blank_values=True))
    if query.get("X-Amz-Algorithm") == ALGORITHM:
        try:
            _, day, region, service, _ = query["X-Amz-Credential"].rsplit("/", 4)
            return Signed(
                query["X-Amz-Date"],
                day,
                region,
                service,
                tuple(query["X-Amz-SignedHeaders"].split(";")),
                query["X-Amz-Signature"],
                int(query["X-Amz-Expires"]),
            )
        except (KeyError, ValueError):
            raise SignatureError("the presigned URL is not complete") from None
    match = _AUTHORIZATION.fullmatch(headers.get("Authorization", "").strip())
    if match is None:
        raise SignatureError("the Authorization header has no signature of version 4")
    try:
        _, day, region, service, _ = match["credential"].rsplit("/", 4)
    except ValueError:
        raise SignatureError("the credential has no scope") from None
    date = headers.get("X-Amz-Date", "")
    return Signed(date, day, region, service, tuple(match["headers"].split(";")), match["signature"], None)


def verify(method: str, target: str, headers: Mapping[str, str], body: bytes, secret: str, now: float) -> None:
    """Raises SignatureError unless the request carries this secret's signature, now."""
    signed = read(target, headers)
    _check_time(signed, now)
    if "host" not in signed.headers:
        raise SignatureError("the host is not signed")
    unsigned = sorted(
        name.lower() for name in headers if name.lower().startswith("x-amz-") and name.lower() not in signed.headers
    )
    if unsigned:
        raise SignatureError(f"the header {unsigned[0]} is not signed")
    scope = f"{signed.day}/{signed.region}/{signed.service}/aws4_request"
    canonical = _canonical(method, target, headers, body, signed)
    to_sign = "\n".join((ALGORITHM, signed.date, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = _key(secret, signed.day, signed.region, signed.service)
    expected = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signed.signature):
        raise SignatureError(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret"
            " Access Key and signing method. Consult the service documentation for details."
        )


def _check_time(signed: Signed, now: float) -> None:
    try:
        moment = dt.datetime.fromisoformat(signed.date).timestamp() if _DATE.fullmatch(signed.date) else None
    except ValueError:
        moment = None
    if moment is None:
        raise SignatureError("the request has no valid date")
    if not signed.date.startswith(signed.day):
        raise SignatureError("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date")
    if signed.expires is not None:
        if now > moment + signed.expires:
            raise TooOldError("Request has expired")
        if moment > now + CLOCK_SECONDS:
            raise TooOldError("Request is not valid yet")
    elif abs(now - moment) > CLOCK_SECONDS:
        word = "expired" if moment < now else "not yet current"
        raise TooOldError(
            f"Signature {word}: {signed.date} is more than {CLOCK_SECONDS // 60} minutes from the dock's clock"
        )


def _canonical(method: str, target: str, headers: Mapping[str, str], body: bytes, signed: Signed) -> str:
    path, _, query = target.partition("?")
    # What is on the wire is encoded once; every service but S3 wants it encoded again.
    path = path if signed.service == "s3" else quote(path, safe="/-_.~")
    folded = {name.lower(): value for name, value in headers.items()}
    lines = []
    for name in signed.headers:
        if name not in folded:
            raise SignatureError(f"the signed header {name} is missing")
        lines.append(f"{name}:{_BLANKS.sub(' ', folded[name].strip())}\n")
    return "\n".join(
        (
            method,
            path or "/",
            _canonical_query(query),
            "".join(lines),
            ";".join(signed.headers),
            _payload(folded, body, signed),
        )
    )


def _canonical_query(query: str) -> str:
    pairs = []
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name != "X-Amz-Signature":
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(unquote(text.replace("+", " ")), safe="-_.~")


def _payload(headers: Mapping[str, str], body: bytes, signed: Signed) -> str:
    claimed = headers.get("x-amz-content-sha256")
    if signed.expires is not None and claimed is None:
        return UNSIGNED if signed.service == "s3" else hashlib.sha256(body).hexdigest()
    if claimed is None:
        return hashlib.sha256(body).hexdigest()
    if signed.service == "s3" and (claimed == UNSIGNED or claimed.startswith("STREAMING-")):
        return claimed
    if not hmac.compare_digest(claimed, hashlib.sha256(body).hexdigest()):
        raise SignatureError("The provided 'x-amz-content-sha256' header does not match what was computed.")
    return claimed


@lru_cache(maxsize=1024)
def _key(secret: str, day: str, region: str, service: str) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
