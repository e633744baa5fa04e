"""Payments through the provider's stub. Each attempt is recorded, also one that failed."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from psycopg.errors import ForeignKeyViolation
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from chat import payment_provider_stub as provider
from chat.accounts import Account
from chat.database import Database
from chat.problems import Conflict, Invalid, Unauthenticated


class NewPayment(BaseModel):
    """`payment_id` is chosen by the client, once for each payment, and sent again with each attempt."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    payment_id: UUID
    amount_cents: Annotated[int, Field(ge=50, le=100_000)]
    card_number: Annotated[SecretStr, Field(min_length=12, max_length=23)]


class Payment(BaseModel):
    id: UUID
    amount_cents: int
    card_last_four: str
    outcome: Literal["pending", "succeeded", "failed"]
    provider_reference: str | None
    created_at: datetime


async def pay(database: Database, account: Account, new: NewPayment) -> tuple[Payment, bool]:
    """The payment, and whether this call settled it. Recorded as pending first, so that none is lost half-way;
    the same id sent again settles it. Raises Invalid for a card that the stub does not know, Conflict for an id
    that was used for something else."""
    number = new.card_number.get_secret_value().replace(" ", "").replace("-", "")
    if number not in (provider.SUCCEEDS, provider.DECLINED):
        raise Invalid("only the stub's test cards are taken here: see the README", code="unknown_card")
    try:
        await database.fetch(
            "INSERT INTO payments (id, account_id, amount_cents, card_last_four, outcome)"
            " VALUES (%s, %s, %s, %s, 'pending') ON CONFLICT DO NOTHING RETURNING id",
            (new.payment_id, account.id, new.amount_cents, number[-4:]),
        )
    except ForeignKeyViolation as error:
        raise Unauthenticated("this account is no longer there: register again") from error
    payment = await _find(database, account, new.payment_id)
    if payment is None or (payment.amount_cents, payment.card_last_four) != (new.amount_cents, number[-4:]):
        raise Conflict("this payment_id belongs to another payment", code="payment_id_taken")
    if payment.outcome != "pending":
        return payment, False
    charge = await provider.charge(payment.id, payment.amount_cents, number)
    outcome = "succeeded" if charge.succeeded else "failed"
    await database.fetch(
        "UPDATE payments SET outcome = %s, provider_reference = %s WHERE id = %s AND outcome = 'pending' RETURNING id",
        (outcome, charge.reference, payment.id),
    )
    return payment.model_copy(update={"outcome": outcome, "provider_reference": charge.reference}), True


async def of_account(database: Database, account: Account) -> list[Payment]:
    rows = await database.fetch(
        "SELECT id, amount_cents, card_last_four, outcome, provider_reference, created_at FROM payments"
        " WHERE account_id = %s ORDER BY created_at DESC LIMIT 100",
        (account.id,),
    )
    return [Payment(**row) for row in rows]


async def _find(database: Database, account: Account, payment: UUID) -> Payment | None:
    rows = await database.fetch(
        "SELECT id, amount_cents, card_last_four, outcome, provider_reference, created_at FROM payments"
        " WHERE id = %s AND account_id = %s",
        (payment, account.id),
    )
    return Payment(**rows[0]) if rows else None
