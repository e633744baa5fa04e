"""What keeps an environment's data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from stacks.domain import Expected, Part, whole


class Protection(Part):
    """What keeps data from being deleted."""

    data: bool = True
    """Neither Pulumi nor AWS deletes the database, the cache, keys, secrets, images or the load balancer."""
    acknowledgement: str | None = None
    """Must be said to turn `data` off: `<platform> <environment> may lose its data`."""
    key_deletion_days: whole(7, 30, "days", 30)  # type: ignore[valid-type]
    """How long a deleted KMS key can still be restored."""
    secret_recovery_days: Annotated[int, Field(ge=0, le=30), Expected("days: 7 to 30, or 0 for none", 30)]
    """How long a deleted secret can still be restored."""

    def contradictions(self) -> Iterator[str]:
        if 0 < self.secret_recovery_days < 7:
            yield "secret_recovery_days: Secrets Manager takes 7 to 30 days, or 0 for no recovery"
        if self.data and self.secret_recovery_days == 0:
            yield "secret_recovery_days is 0 although data are protected: give 7 to 30"
        if self.data and self.acknowledgement is not None:
            yield "acknowledgement is for data: false; remove it"
