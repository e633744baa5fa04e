"""When alarms fire, as far as that differs between environments, and whom they tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from stacks.domain import Expected, Part, whole

_DAY = 86400
# What CloudWatch takes as an alarm's period, up to a day.
_SHORT = (10, 20, 30)

MailAddress = Annotated[
    str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"), Expected("a mail address", "oncall@chatvrm.com")
]


class BurnRate(Part):
    """Fires while the error budget is used up `factor` times too fast, over a long window and a short one."""

    factor: Annotated[float, Field(gt=0), Expected("how many times too fast, more than 0", 14.4)]
    long_seconds: whole(10, 3 * _DAY, "seconds", 3600)  # type: ignore[valid-type]
    """Says that it matters."""
    short_seconds: whole(10, _DAY, "seconds", 300)  # type: ignore[valid-type]
    """Says that it still goes on, so that the alarm clears soon."""
    severity: Literal["page", "ticket"]

    def contradictions(self) -> Iterator[str]:
        if self.short_seconds >= self.long_seconds:
            yield "short_seconds must be shorter than long_seconds"
        for name, seconds in (("long_seconds", self.long_seconds), ("short_seconds", self.short_seconds)):
            if seconds not in _SHORT and seconds % (60 if seconds <= _DAY else _DAY):
                yield f"{name}: CloudWatch has windows of 10, 20, 30 s, whole minutes up to a day, and whole days"


class Alarms(Part):
    minute_seconds: Literal[10, 30, 60]
    """How long a minute of the platform's thresholds takes here: 60, or less where alarms are rehearsed."""
    minimum_requests: whole(1, 10000, "requests in a period", 10)  # type: ignore[valid-type]
    """With fewer, a share of failed ones says nothing."""
    burn_rates: Annotated[tuple[BurnRate, ...], Field(min_length=1)]
    pages_to: tuple[MailAddress, ...]
    tickets_to: tuple[MailAddress, ...]
