"""Messages: posted once however often they are sent, numbered without a gap, recent ones cached."""

import logging
from contextlib import suppress
from datetime import datetime
from typing import Annotated
from uuid import UUID

from psycopg.errors import UniqueViolation
from pydantic import BaseModel, ConfigDict, StringConstraints
from redis.asyncio import Redis

from chat import cache
from chat.accounts import Account
from chat.database import Connection, Database
from chat.problems import NotFound

log = logging.getLogger(__name__)

RECENT = 50
RECENT_SECONDS = 30
"""How long a cached list may lag behind, should a write not have reached the cache."""
PAGE = 200

MessageText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000, pattern=r"^[^\x00]*$")
]


class NewMessage(BaseModel):
    """`client_id` is chosen by the client, once for each message, and sent again with each attempt."""

    model_config = ConfigDict(extra="forbid")
    client_id: UUID
    text: MessageText


class Message(BaseModel):
    conversation_id: UUID
    number: int
    client_id: UUID
    author: str
    from_character: bool = False
    text: str
    created_at: datetime


_COLUMNS = (
    "m.conversation_id, m.number, m.client_id, COALESCE(ch.name, a.name) AS author,"
    " m.character_id IS NOT NULL AS from_character, m.text, m.created_at"
    " FROM messages m JOIN accounts a ON a.id = m.account_id LEFT JOIN characters ch ON ch.id = m.character_id"
)


async def post(database: Database, account: Account, conversation: UUID, new: NewMessage) -> tuple[Message, bool]:
    """The message as it is committed, and whether it is new. Raises NotFound for others than members."""

    async def insert(connection: Connection) -> Message | None:
        # The update locks the conversation until the commit, so numbers become visible in their order. When the
        # insert finds the client's id taken, the statement is undone as a whole and no number is lost.
        cursor = await connection.execute(
            "WITH c AS (UPDATE conversations SET last_number = last_number + 1, last_message_at = now()"
            "  WHERE id = %(conversation)s AND EXISTS (SELECT FROM members"
            "   WHERE conversation_id = %(conversation)s AND account_id = %(account)s) RETURNING last_number)"
            " INSERT INTO messages (conversation_id, number, account_id, client_id, text)"
            " SELECT %(conversation)s, last_number, %(account)s, %(client)s, %(text)s FROM c"
            " RETURNING number, created_at",
            {"conversation": conversation, "account": account.id, "client": new.client_id, "text": new.text},
        )
        if (row := await cursor.fetchone()) is None:
            return None
        return Message(conversation_id=conversation, client_id=new.client_id, author=account.name, text=new.text, **row)

    try:
        message = await database.run(insert)
    except UniqueViolation:
        rows = await database.fetch(
            f"SELECT {_COLUMNS} WHERE m.conversation_id = %s AND m.account_id = %s AND m.client_id = %s",
            (conversation, account.id, new.client_id),
        )
        return Message(**rows[0]), False
    if message is None:
        raise NotFound("there is no such conversation")
    return message, True


async def after(database: Database, conversation: UUID, number: int, limit: int = PAGE) -> list[Message]:
    """Messages with a higher number, in order, from the database."""
    rows = await database.fetch(
        f"SELECT {_COLUMNS} WHERE m.conversation_id = %s AND m.number > %s ORDER BY m.number LIMIT %s",
        (conversation, number, limit),
    )
    return [Message(**row) for row in rows]


async def recent(database: Database, redis: Redis, conversation: UUID) -> tuple[list[Message], bool]:
    """The last messages, in order, and whether the cache had them. Works without a cache."""
    key = _key(conversation)
    with suppress(cache.CacheAway):
        async with cache.bounded(0.5):
            cached = [Message.model_validate_json(value) for value in (await redis.hgetall(key)).values()]
        cached.sort(key=lambda message: message.number)
        cached = cached[-RECENT:]
        if _whole(cached):
            return cached, True
    rows = await database.fetch(
        f"SELECT * FROM (SELECT {_COLUMNS} WHERE m.conversation_id = %s"  # noqa: S608 of constants
        " ORDER BY m.number DESC LIMIT %s) latest ORDER BY number",
        (conversation, RECENT),
    )
    found = [Message(**row) for row in rows]
    await remember(redis, *found)
    return found, False


async def remember(redis: Redis, *messages: Message) -> None:
    """Write through to the cache. A reader notices a hole by the numbers; the end is right within RECENT_SECONDS."""
    if not messages:
        return
    key = _key(messages[0].conversation_id)
    try:
        async with cache.bounded(0.5), redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(key, mapping={str(m.number): m.model_dump_json() for m in messages})
            pipeline.expire(key, RECENT_SECONDS, nx=True)
            pipeline.hdel(key, *(str(m.number - RECENT) for m in messages))
            await pipeline.execute()
    except cache.CacheAway:
        log.warning("message not cached", extra={"conversation": str(messages[0].conversation_id)})


def _whole(found: list[Message]) -> bool:
    """Numbers have no gaps, so a list is whole when it counts up by one from the first message or is long enough."""
    if not found:
        return False
    numbers = [message.number for message in found]
    counted = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return counted and (numbers[0] == 1 or len(numbers) >= RECENT)


def _key(conversation: UUID) -> str:
    return f"recent:{conversation}"
