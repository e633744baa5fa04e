"""Temporary credentials. A session's token holds all that there is to know of it, sealed: nothing is stored, so every
session survives a restart, and an old one can still be told from one that never was."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from dock.access.keys import key_id
from dock.access.principals import Principal
from dock.aws.iam.vault import Vault

_PURPOSE = "session"


class InvalidTokenError(ValueError):
    """The token is none of this dock's, or not the key's."""


@dataclass(frozen=True, slots=True)
class Session:
    """`role` is a role's name and `user` a user's: one of them. Times are seconds since the epoch."""

    key: str
    secret: str = field(repr=False)
    account: str
    issued: float
    expires: float
    user: str | None = None
    role: str | None = None
    role_arn: str | None = None
    unique_id: str = ""
    name: str = ""
    mfa_at: float | None = None
    policies: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    source_identity: str | None = None
    provider: str | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:sts::{self.account}:assumed-role/{self.role}/{self.name}"

    def principal(self, user_arn: str | None = None) -> Principal:
        """`user_arn` for a user's own session, which acts as that user."""
        common: dict[str, Any] = {
            "account": self.account,
            "unique_id": self.unique_id,
            "tags": self.tags,
            "mfa_at": self.mfa_at,
            "issued_at": self.issued,
            "access_key": self.key,
        }
        if self.user is not None:
            return Principal("user", arn=user_arn or "", name=self.user, **common)
        return Principal(
            "session",
            arn=self.arn,
            name=self.role or "",
            role_arn=self.role_arn,
            session_policies=self.policies,
            source_identity=self.source_identity,
            session_name=self.name,
            federated_provider=self.provider,
            transitive_tags=self.transitive,
            **common,
        )


@dataclass(frozen=True, slots=True)
class Issued:
    """What its holder gets."""

    session: Session
    token: str = field(repr=False)

    def view(self) -> dict[str, Any]:
        return {
            "AccessKeyId": self.session.key,
            "SecretAccessKey": self.session.secret,
            "SessionToken": self.token,
            "Expiration": self.session.expires,
        }


class Sessions:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._opened = lru_cache(maxsize=2048)(self._open)

    def issue(self, account: str, seconds: int, **facts: Any) -> Issued:
        """Credentials for so many seconds; `facts` as in `Session`."""
        now = time.time()
        session = Session(
            key=key_id("ASIA", account),
            secret=secrets.token_urlsafe(30),
            account=account,
            issued=now,
            expires=float(int(now) + seconds),
            **facts,
        )
        # What is not set takes no room in a token that travels with every request.
        document = {name: value for name, value in asdict(session).items() if value not in (None, "", (), [])}
        return Issued(session, self._vault.seal(document, _PURPOSE))

    def open(self, token: str, key: str) -> Session:
        """The session of a token that came with this key. Raises InvalidTokenError."""
        session = self._opened(token)
        if session.key != key:
            raise InvalidTokenError("the token belongs to another access key")
        return session

    def _open(self, token: str) -> Session:
        try:
            document = self._vault.open(token, _PURPOSE)
        except ValueError as problem:
            raise InvalidTokenError(str(problem)) from None
        document["policies"] = tuple(document.get("policies", ()))
        document["transitive"] = tuple(document.get("transitive", ()))
        document["tags"] = tuple((key, value) for key, value in document.get("tags", ()))
        return Session(**document)
