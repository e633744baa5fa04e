"""Accounts and who is logged in."""

import hashlib
import json
import secrets
from typing import Annotated
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from redis.asyncio import Redis

from chat import cache, passwords
from chat.database import Database
from chat.problems import Conflict, TooMany, Unauthenticated

SESSION_SECONDS = 12 * 3600
"""A session ends this long after its last use."""
FAILED_LOGINS = 10
"""Wrong passwords for one name in a minute."""

AccountName = Annotated[str, Field(min_length=2, max_length=32, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    name: AccountName
    password: Annotated[SecretStr, Field(min_length=8, max_length=256)]


class Account(BaseModel):
    model_config = ConfigDict(frozen=True)
    id: UUID
    name: str


async def register(database: Database, credentials: Credentials) -> Account:
    """Raises Conflict when the name is taken, in whatever case it is written."""
    account = Account(id=uuid4(), name=credentials.name)
    password_hash = await passwords.hashed(credentials.password.get_secret_value())
    await database.fetch(
        "INSERT INTO accounts (id, name, password_hash) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
        (account.id, account.name, password_hash),
    )
    # Asked apart, so that a repeated attempt finds its own row and does not call it taken.
    rows = await database.fetch("SELECT id FROM accounts WHERE lower(name) = lower(%s)", (account.name,))
    if not rows or rows[0]["id"] != account.id:
        raise Conflict("this name is taken", code="name_taken")
    return account


async def log_in(database: Database, redis: Redis, credentials: Credentials) -> Account:
    """Raises Unauthenticated for a wrong name or password alike, TooMany after FAILED_LOGINS."""
    attempts = f"failed-logins:{credentials.name.lower()}"
    async with cache.bounded():
        if int(await redis.get(attempts) or 0) >= FAILED_LOGINS:
            raise TooMany("too many wrong passwords: wait a minute")
    rows = await database.fetch(
        "SELECT id, name, password_hash FROM accounts WHERE lower(name) = lower(%s)", (credentials.name,)
    )
    password = credentials.password.get_secret_value()
    if rows and await passwords.matches(password, rows[0]["password_hash"]):
        return Account(id=rows[0]["id"], name=rows[0]["name"])
    if not rows:
        await passwords.waste_the_same_time(password)
    async with cache.bounded(), redis.pipeline() as pipeline:
        pipeline.incr(attempts)
        pipeline.expire(attempts, 60, nx=True)
        await pipeline.execute()
    raise Unauthenticated("wrong name or password", code="wrong_credentials")


async def open_session(redis: Redis, account: Account) -> str:
    """Returns the token for the cookie. The cache knows only its hash."""
    token = secrets.token_urlsafe(32)
    async with cache.bounded():
        await redis.set(_key(token), account.model_dump_json(), ex=SESSION_SECONDS)
    return token


async def of_session(redis: Redis, token: str | None) -> Account:
    """Raises Unauthenticated; CacheAway when nobody can tell."""
    if not token:
        raise Unauthenticated("log in first")
    async with cache.bounded():
        value = await redis.getex(_key(token), ex=SESSION_SECONDS)
    if value is None:
        raise Unauthenticated("this session has ended: log in again")
    return Account(**json.loads(value))


async def close_session(redis: Redis, token: str | None) -> None:
    if token:
        async with cache.bounded():
            await redis.delete(_key(token))


def _key(token: str) -> str:
    return f"session:{hashlib.sha256(token.encode()).hexdigest()}"
