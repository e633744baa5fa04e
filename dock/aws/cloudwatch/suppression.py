"""When a composite alarm's actions are withheld: its suppressor, and the periods before and after.

Each change of the composite alarm waits for the suppressor (WaitPeriod), is withheld while the suppressor is in ALARM,
and for a while afterwards (ExtensionPeriod). When that is over, the alarm acts on the state that it is in then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.aws.cloudwatch.book import Book

WAIT, EXTENSION, BY_ALARM = "WaitPeriod", "ExtensionPeriod", "Alarm"
_REASONS = {
    WAIT: "Actions suppressed by WaitPeriod",
    EXTENSION: "Actions suppressed by ExtensionPeriod",
    BY_ALARM: "Actions suppressed by the suppressor alarm",
}


class Suppression:
    """Keeps its part of a composite alarm's record: why actions are withheld, until when, and whether any were."""

    KEYS = ("ActionsSuppressedBy", "ActionsSuppressedReason", "suppressed_until", "withheld")

    def __init__(self, book: Book) -> None:
        self._book = book

    def allows(self, record: Record, suppressor_alarms: bool, at: float) -> bool:
        """Whether a change of state may act now. The caller writes the record."""
        if "ActionsSuppressor" not in record:
            return True
        if suppressor_alarms:
            self._withhold(record, BY_ALARM, None)
        elif record["ActionsSuppressorWaitPeriod"] > 0:
            self._withhold(record, WAIT, at + record["ActionsSuppressorWaitPeriod"])
        else:
            self._clear(record)
            return True
        record["withheld"] = True
        return False

    def suppressor_changed(self, scope: Scope, record: Record, *, alarms: bool, at: float) -> None:
        """The suppressor went into ALARM, or out of it."""
        if alarms:
            self._withhold(record, BY_ALARM, None)
        elif record.get("ActionsSuppressedBy") == BY_ALARM:
            extension = record["ActionsSuppressorExtensionPeriod"]
            self._withhold(record, EXTENSION, at + extension)
            if extension == 0:
                self._over(scope, record)
                return
        self._book.update(scope, record)

    def tick(self, at: float) -> None:
        """End what is over; called inside a transaction."""
        for scope, record in self._waiting():
            if record["suppressed_until"] <= at:
                self._over(scope, record)

    def next_end(self) -> float | None:
        """When the next wait is over; None when there is none."""
        return min((record["suppressed_until"] for _, record in self._waiting()), default=None)

    def _waiting(self) -> list[tuple[Scope, Record]]:
        return [
            (scope, record) for scope, record in self._book.composites() if record.get("suppressed_until") is not None
        ]

    def _over(self, scope: Scope, record: Record) -> None:
        withheld = record.get("withheld", False)
        self._clear(record)
        self._book.update(scope, record)
        if withheld:
            self._book.act(scope, record)

    @staticmethod
    def _withhold(record: Record, by: str, until: float | None) -> None:
        record |= {"ActionsSuppressedBy": by, "ActionsSuppressedReason": _REASONS[by], "suppressed_until": until}

    def _clear(self, record: Record) -> None:
        for key in self.KEYS:
            record.pop(key, None)
