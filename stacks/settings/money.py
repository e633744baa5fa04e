"""What an account or an environment may cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from stacks.domain import Expected, Part, whole
from stacks.settings.alarms import MailAddress

Share = Annotated[int, Field(ge=1, le=1000), Expected("percent of the limit", 80)]


class Budget(Part):
    """Nothing is stopped when it is reached: people are told, before and then."""

    monthly_usd: whole(1, 1_000_000, "US dollars a month", 500)  # type: ignore[valid-type]
    actual_percent: Annotated[tuple[Share, ...], Field(min_length=1, max_length=5)]
    """Shares of it that are told of when they are spent."""
    forecast_percent: Annotated[tuple[Share, ...], Field(max_length=5)]
    """Shares of it that are told of when they are expected by the month's end."""
    emails: Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=10)]

    def contradictions(self) -> Iterator[str]:
        for name in ("actual_percent", "forecast_percent"):
            shares = getattr(self, name)
            if len(set(shares)) != len(shares):
                yield f"{name} names a share twice"
