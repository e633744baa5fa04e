"""A stub of an outside payment provider. No money moves and nothing leaves the process.

It knows two test cards and takes no other number, so that nobody types a real one:

- `4242 4242 4242 4242` succeeds,
- `4000 0000 0000 0002` is declined.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID

SUCCEEDS = "4242424242424242"
DECLINED = "4000000000000002"
LATENCY_SECONDS = 0.02


class UnknownCard(Exception):
    """Neither of the test cards."""


@dataclass(frozen=True)
class Charge:
    succeeded: bool
    reference: str


async def charge(payment: UUID, amount_cents: int, card_number: str) -> Charge:
    """The same payment gets the same answer however often it is asked for, as a provider's idempotency key does."""
    if card_number not in (SUCCEEDS, DECLINED):
        raise UnknownCard
    await asyncio.sleep(LATENCY_SECONDS)
    return Charge(succeeded=card_number == SUCCEEDS, reference=f"stub_{payment.hex[:16]}")
