"""Conversations, their members and, where the feature is on, their topics."""

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from psycopg.errors import ForeignKeyViolation
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chat.accounts import Account, AccountName
from chat.database import Connection, Database
from chat.problems import Invalid, NotFound, Unauthenticated

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80, pattern=r"^[^\x00]*$")]


class NewConversation(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: Title
    members: Annotated[list[AccountName], Field(max_length=20)] = []
    character_id: UUID | None = None


class NewMember(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: AccountName


class NewTopic(BaseModel):
    model_config = ConfigDict(extra="forbid")
    topic: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00]*$")]


class Conversation(BaseModel):
    id: UUID
    title: str
    topic: str | None = None
    character: str | None = None
    last_number: int
    last_message_at: datetime | None
    members: list[str]


async def create(database: Database, account: Account, new: NewConversation) -> UUID:
    """Opens with the character's greeting as message 1, when there is one. Raises Invalid for unknown members."""
    conversation = uuid4()
    wanted = {name.lower() for name in new.members} | {account.name.lower()}

    async def work(connection: Connection) -> None:
        async with connection.transaction():
            cursor = await connection.execute(
                "SELECT id, lower(name) AS name FROM accounts WHERE lower(name) = ANY(%s)", (sorted(wanted),)
            )
            members = {row["name"]: row["id"] for row in await cursor.fetchall()}
            if missing := sorted(wanted - members.keys() - {account.name.lower()}):
                raise Invalid(f"there is no account named {', '.join(missing)}", code="unknown_account")
            created = await connection.execute(
                "INSERT INTO conversations (id, title, created_by, character_id, last_number, last_message_at)"
                " SELECT %(id)s, %(title)s, %(account)s, %(character)s::uuid,"
                "        CASE WHEN %(character)s::uuid IS NULL THEN 0 ELSE 1 END,"
                "        CASE WHEN %(character)s::uuid IS NULL THEN NULL ELSE now() END ON CONFLICT DO NOTHING",
                {
                    "id": conversation,
                    "title": new.title,
                    "account": account.id,
                    "character": new.character_id,
                },
            )
            if created.rowcount == 0:  # an earlier attempt was committed although its connection was lost
                return
            async with connection.cursor() as several:
                await several.executemany(
                    "INSERT INTO members (conversation_id, account_id) VALUES (%s, %s)",
                    [(conversation, member) for member in {*members.values(), account.id}],
                )
            if new.character_id is not None:
                await connection.execute(
                    "INSERT INTO messages (conversation_id, number, account_id, character_id, client_id, text)"
                    " SELECT %s, 1, %s, id, %s, greeting FROM characters WHERE id = %s",
                    (conversation, account.id, uuid4(), new.character_id),
                )

    try:
        await database.run(work)
    except ForeignKeyViolation as error:
        if error.diag.constraint_name == "conversations_character_id_fkey":
            raise Invalid("there is no such character", code="unknown_character") from error
        raise Unauthenticated("this account is no longer there: register again") from error
    return conversation


async def of_account(
    database: Database, account: Account, *, topics: bool, only: UUID | None = None
) -> list[Conversation]:
    """The account's conversations, the liveliest first. `topics` reads a column that came with schema 0004."""
    topic = ", c.topic" if topics else ""
    rows = await database.fetch(
        "SELECT c.id, c.title, ch.name AS character, c.last_number, c.last_message_at,"  # noqa: S608 of constants
        " ARRAY(SELECT a.name FROM members o JOIN accounts a ON a.id = o.account_id"
        f"      WHERE o.conversation_id = c.id ORDER BY a.name) AS members{topic}"
        " FROM members m JOIN conversations c ON c.id = m.conversation_id"
        " LEFT JOIN characters ch ON ch.id = c.character_id"
        " WHERE m.account_id = %s AND c.id = COALESCE(%s::uuid, c.id)"
        " ORDER BY COALESCE(c.last_message_at, c.created_at) DESC LIMIT 100",
        (account.id, only),
    )
    return [Conversation(**row) for row in rows]


async def invite(database: Database, account: Account, conversation: UUID, name: str) -> None:
    """Inviting someone who is there already changes nothing. Raises NotFound, Invalid."""
    await require_member(database, account, conversation)
    rows = await database.fetch(
        "WITH guest AS (SELECT id FROM accounts WHERE lower(name) = lower(%s)),"
        " joined AS (INSERT INTO members (conversation_id, account_id) SELECT %s, id FROM guest ON CONFLICT DO NOTHING)"
        " SELECT id FROM guest",
        (name, conversation),
    )
    if not rows:
        raise Invalid(f"there is no account named {name}", code="unknown_account")


async def change_topic(database: Database, account: Account, conversation: UUID, topic: str) -> None:
    await require_member(database, account, conversation)
    await database.fetch(
        "UPDATE conversations SET topic = %s WHERE id = %s RETURNING id", (topic or None, conversation)
    )


async def require_member(database: Database, account: Account, conversation: UUID) -> None:
    """Raises NotFound, also when the conversation exists: strangers don't learn that."""
    rows = await database.fetch(
        "SELECT 1 FROM members WHERE conversation_id = %s AND account_id = %s", (conversation, account.id)
    )
    if not rows:
        raise NotFound("there is no such conversation")


async def active(database: Database, minutes: int = 5) -> int:
    """How many conversations had a message in the last minutes."""
    rows = await database.fetch(
        "SELECT count(*) AS n FROM conversations WHERE last_message_at > now() - make_interval(mins => %s)",
        (minutes,),
    )
    return int(rows[0]["n"])
