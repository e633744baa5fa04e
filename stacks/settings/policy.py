"""Who has to agree before something is done, and when it may be done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from stacks.domain import Part, TimeOfDay, Weekday, whole


class Policy(Part):
    """Who has to agree before something is done."""

    migrations: Literal["automatic", "on_deploy", "manual"]
    deploy_approvals: whole(0, 5, "people", 1)  # type: ignore[valid-type]
    rollback_approvals: whole(0, 5, "people", 0)  # type: ignore[valid-type]


class Window(Part):
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1)]
    start: TimeOfDay
    end: TimeOfDay

    def contradictions(self) -> Iterator[str]:
        if self.start >= self.end:
            yield "start must be before end; a window over midnight is two windows"


class Calendar(Part):
    """When deployments happen, in the platform's time zone."""

    windows: Annotated[tuple[Window, ...], Field(min_length=1)]
    observe_freezes: bool
    """Whether the platform's freezes count here."""
