"""Tokens of OpenID Connect providers: whose they are, whether they are true, and what they say."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from dock.aws.service import AwsError
from dock.store import Record

FETCH_SECONDS = 5
KEYS_SECONDS = 300
CLOCK_SECONDS = 60
MAX_BYTES = 1 << 20
_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES: dict[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}

Claims = dict[str, Any]


def claims_of(token: str) -> tuple[dict[str, Any], Claims, bytes, bytes]:
    """Header, claims, what is signed, and the signature; nothing of it is checked yet. Raises AwsError."""
    try:
        head, body, signature = token.split(".")
        header, claims = (json.loads(_decode(part)) for part in (head, body))
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise ValueError("it holds no objects")
        return header, claims, f"{head}.{body}".encode(), _decode(signature)
    except ValueError as problem:
        raise _invalid(f"The ID Token provided is not a valid JWT. ({problem})") from None


class Issuers:
    """The keys of identity providers, fetched where their discovery document says, kept for five minutes."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[float, dict[str, Mapping[str, Any]]]] = {}

    async def verify(self, token: str, provider: Record) -> Claims:
        """The claims of a token that this provider signed, for one of its client ids, now. Raises AwsError."""
        header, claims, signed, signature = claims_of(token)
        audience = claims.get("aud", "")
        audiences = {audience} if isinstance(audience, str) else set(audience)
        if not audiences & set(provider["client_ids"]):
            raise _invalid("Incorrect token audience")
        await self._check_signature(provider, header, signed, signature)
        now = time.time()
        if float(claims.get("exp") or 0) <= now - CLOCK_SECONDS:
            raise AwsError(
                "ExpiredTokenException", "Token expired: current date/time must be before the expiration", 400
            )
        if float(claims.get("nbf") or claims.get("iat") or 0) > now + CLOCK_SECONDS:
            raise _invalid("The token is not valid yet")
        if not claims.get("sub"):
            raise _invalid("The token has no subject")
        return claims

    async def _check_signature(
        self, provider: Record, header: Mapping[str, Any], signed: bytes, signature: bytes
    ) -> None:
        issuer = f"{provider['scheme']}://{provider['url']}"
        key = (await self._known(issuer)).get(str(header.get("kid")))
        if key is None:
            # The issuer may have a new key.
            self._keys.pop(issuer, None)
            key = (await self._known(issuer)).get(str(header.get("kid")))
        if key is None:
            raise _invalid("Couldn't retrieve verification key from your identity provider: no key of this id")
        try:
            _verify(str(header.get("alg")), key, signed, signature)
        except (InvalidSignature, ValueError, KeyError, TypeError):
            raise _invalid("Failed to verify the signature of the ID token") from None

    async def _known(self, issuer: str) -> dict[str, Mapping[str, Any]]:
        fetched, keys = self._keys.get(issuer, (0.0, {}))
        if time.time() - fetched > KEYS_SECONDS:
            keys = await _fetch(issuer)
            self._keys[issuer] = time.time(), keys
        return keys


async def _fetch(issuer: str) -> dict[str, Mapping[str, Any]]:
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS)) as session:
            discovery = await _json(session, f"{issuer}/.well-known/openid-configuration")
            if discovery.get("issuer") != issuer:
                raise ValueError("its discovery document names another issuer")
            document = await _json(session, str(discovery["jwks_uri"]))
            return {str(key.get("kid")): key for key in document["keys"]}
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise _invalid(
            "Couldn't retrieve verification key from your identity provider, please reference"
            f" AssumeRoleWithWebIdentity documentation for requirements ({issuer}: {type(problem).__name__})"
        ) from None


async def _json(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url, allow_redirects=False) as answer:
        answer.raise_for_status()
        found = json.loads(await answer.content.read(MAX_BYTES))
        if not isinstance(found, dict):
            raise ValueError("it is not an object")
        return found


def _verify(algorithm: str, key: Mapping[str, Any], signed: bytes, signature: bytes) -> None:
    """RS256 to RS512 and ES256 to ES512. Raises InvalidSignature, ValueError, KeyError."""
    digest = _HASHES[algorithm[2:]]
    match algorithm[:2], key["kty"]:
        case "RS", "RSA":
            public = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
            public.verify(signature, signed, padding.PKCS1v15(), digest)
        case "ES", "EC":
            curve = _CURVES[key["crv"]]()
            point = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), curve).public_key()
            half = len(signature) // 2
            r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
            point.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(digest))
        case _:
            raise ValueError(f"{algorithm} with a key of type {key['kty']}")


def context_keys(provider_url: str, claims: Claims) -> dict[str, tuple[str, ...]]:
    """The claims that a trust policy may look at, as `<provider>:<claim>`: every claim that is a text, a number, a
    boolean or a list of texts (AWS since January 2026; before, `aud`, `sub` and `amr` alone)."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in claims.items():
        key = f"{provider_url}:{name}".lower()
        if isinstance(value, bool):
            found[key] = ("true" if value else "false",)
        elif isinstance(value, (str, int, float)):
            found[key] = (str(value),)
        elif isinstance(value, list) and all(isinstance(each, str) for each in value):
            found[key] = tuple(value)
    return found


def provider_name(claims: Claims) -> str:
    """The issuer without its scheme, as an OIDC provider's ARN has it."""
    return str(claims.get("iss", "")).partition("://")[2].rstrip("/")


def _number(text: str) -> int:
    return int.from_bytes(_decode(text), "big")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidIdentityTokenException", message, 400)
