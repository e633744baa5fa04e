"""API tokens: who may do what with which zone."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any

from dock.certificates import write_private
from dock.cloudflare.errors import ApiError
from dock.home import Home
from dock.store import EVERYWHERE, Record, Store

READ, WRITE = "Read", "Write"
# A group for each of the two, for example "DNS Read". The first are of zones, the others of accounts and of the user.
OF_ZONES = ("Zone", "DNS", "Zone Settings", "Zone WAF", "Firewall Services", "Cache Purge")
OF_ACCOUNTS = ("Account Filter Lists", "Account Firewall Access Rules", "Account Settings")
OF_THE_USER = ("API Tokens",)
ROOT = "root"
_ZONE, _ACCOUNT = "com.cloudflare.api.account.zone.", "com.cloudflare.api.account."
_FORM = re.compile(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True, slots=True)
class Token:
    """`policies` as the API has them; None may do everything (the dock's own)."""

    id: str
    policies: tuple[dict[str, Any], ...] | None

    def may(self, permission: str, level: str, zone: str | None, account: str | None) -> bool:
        """A write permission includes reading. What one policy denies, no other allows."""
        if self.policies is None:
            return True
        wanted = {group_id(f"{permission} {WRITE}")} | ({group_id(f"{permission} {READ}")} if level == READ else set())
        fitting = [
            policy["effect"]
            for policy in self.policies
            if wanted & {group["id"] for group in policy["permission_groups"]}
            and _covers(policy["resources"], zone, account)
        ]
        return "allow" in fitting and "deny" not in fitting


class Tokens:
    """All tokens of a dock. Only digests are kept, but for the dock's own, which is a file in its keys folder."""

    def __init__(self, store: Store, home: Home) -> None:
        self._table = store.table("cloudflare/token")
        self._file = home.keys / "cloudflare-token"
        if not self._file.exists():
            write_private(self._file, secrets.token_urlsafe(30).encode())
        self._root = self._file.read_text().strip()

    @property
    def root(self) -> str:
        """The value of the dock's own token, which may do everything: in this dock."""
        return self._root

    def find(self, authorization: str | None) -> Token:
        """Raises ApiError with Cloudflare's codes."""
        if authorization is None:
            raise ApiError(9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "bearer" or not _FORM.fullmatch(value):
            raise ApiError(6003, "Invalid request headers: Invalid format for Authorization header")
        if hmac.compare_digest(value, self._root):
            return Token(ROOT, None)
        digest = _digest(value)
        for _, _, record in self._table.all():
            if hmac.compare_digest(record["digest"], digest):
                if record["status"] != "active" or _expired(record):
                    break
                return Token(record["id"], tuple(record["policies"]))
        raise ApiError(10000, "Authentication error", 403)

    def create(self, name: str, policies: list[dict[str, Any]], expires_on: str | None) -> tuple[Record, str]:
        """The record and the value, which nobody can read again."""
        value = secrets.token_urlsafe(30)
        record: Record = {
            "id": uuid.uuid4().hex,
            "name": name,
            "status": "active",
            "policies": policies,
            "expires_on": expires_on,
            "issued_on": now(),
            "modified_on": now(),
            "digest": _digest(value),
        }
        self._table.put(EVERYWHERE, record["id"], record)
        return record, value

    def roll(self, record: Record) -> str:
        value = secrets.token_urlsafe(30)
        self._table.put(EVERYWHERE, record["id"], {**record, "digest": _digest(value), "modified_on": now()})
        return value

    def all(self) -> list[Record]:
        return self._table.list(EVERYWHERE)

    def get(self, identifier: str) -> Record:
        record = self._table.get(EVERYWHERE, identifier)
        if record is None:
            raise ApiError(1001, "API token not found", 404)
        return record

    def put(self, record: Record) -> None:
        self._table.put(EVERYWHERE, record["id"], {**record, "modified_on": now()})

    def delete(self, identifier: str) -> None:
        self._table.delete(EVERYWHERE, identifier)


def group_id(name: str) -> str:
    """The dock's own ids: clients look groups up by name, as Cloudflare recommends."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def groups() -> list[dict[str, Any]]:
    """All permission groups, as the API lists them."""
    kinds = ((OF_ZONES, _ZONE[:-1]), (OF_ACCOUNTS, _ACCOUNT[:-1]), (OF_THE_USER, "com.cloudflare.api.user"))
    return [
        {"id": group_id(f"{name} {level}"), "name": f"{name} {level}", "scopes": [scope]}
        for names, scope in kinds
        for name in names
        for level in (READ, WRITE)
    ]


def checked(policies: Any) -> list[dict[str, Any]]:
    """A token's policies, as they may be kept. Raises ApiError."""
    known = {group["id"]: group["name"] for group in groups()}
    if not isinstance(policies, list) or not policies:
        raise ApiError(1004, "policies: at least one is needed")
    for policy in policies:
        if not isinstance(policy, dict) or policy.get("effect") not in ("allow", "deny"):
            raise ApiError(1004, "policies: effect is allow or deny")
        if not isinstance(policy.get("resources"), dict) or not policy["resources"]:
            raise ApiError(1004, "policies: resources are missing")
        chosen = policy.get("permission_groups") or []
        if not chosen or any(not isinstance(group, dict) or group.get("id") not in known for group in chosen):
            raise ApiError(1004, "policies: permission_groups must be among GET /user/tokens/permission_groups")
    return [
        {
            "id": policy.get("id") or uuid.uuid4().hex,
            "effect": policy["effect"],
            "resources": policy["resources"],
            "permission_groups": [{"id": g["id"], "name": known[g["id"]]} for g in policy["permission_groups"]],
        }
        for policy in policies
    ]


def now() -> str:
    """The time as Cloudflare writes it."""
    moment = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1_000_000):06d}Z"


def _covers(resources: dict[str, Any], zone: str | None, account: str | None) -> bool:
    for name, inner in resources.items():
        if isinstance(inner, dict):
            if account is not None and name == f"{_ACCOUNT}{account}" and _covers(inner, zone, account):
                return True
        elif zone is not None:
            if name in (f"{_ZONE}*", f"{_ZONE}{zone}"):
                return True
        elif account is not None:
            if name in (f"{_ACCOUNT}*", f"{_ACCOUNT}{account}"):
                return True
        elif name.startswith("com.cloudflare.api.user."):
            return True
    return False


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _expired(record: Record) -> bool:
    return bool(record["expires_on"]) and str(record["expires_on"]) < now()
