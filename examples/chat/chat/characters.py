"""Characters: who a person may talk to."""

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from psycopg.errors import ForeignKeyViolation
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chat.accounts import Account
from chat.database import Database
from chat.problems import Unauthenticated


class NewCharacter(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40, pattern=r"^[^\x00]*$")]
    persona: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00]*$")] = ""
    greeting: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]*$")
    ] = "Hello."
    colour: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")] = "#3f7d6e"


class Character(NewCharacter):
    id: UUID
    created_by: str
    created_at: datetime


_COLUMNS = (
    "c.id, c.name, c.persona, c.greeting, c.colour, a.name AS created_by, c.created_at"
    " FROM characters c JOIN accounts a ON a.id = c.created_by"
)


async def create(database: Database, account: Account, new: NewCharacter) -> Character:
    identity = uuid4()
    try:
        await database.fetch(
            "INSERT INTO characters (id, name, persona, greeting, colour, created_by)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
            (identity, new.name, new.persona, new.greeting, new.colour, account.id),
        )
    except ForeignKeyViolation as error:
        raise Unauthenticated("this account is no longer there: register again") from error
    rows = await database.fetch(f"SELECT {_COLUMNS} WHERE c.id = %s", (identity,))
    return Character(**rows[0])


async def newest(database: Database) -> list[Character]:
    rows = await database.fetch(f"SELECT {_COLUMNS} ORDER BY c.created_at DESC LIMIT 100")
    return [Character(**row) for row in rows]
