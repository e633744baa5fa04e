"""A check, and what a list of them amounts to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from operations.errors import OperationError
from operations.observation import Missing


class Status(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    #: Could not be observed, or the sample is too small to tell. Never counts as passed.
    NOT_CHECKED = "not checked"


class Verdict(StrEnum):
    #: Every critical check passed; advisories may have failed.
    PASSED = "passed"
    FAILED = "failed"
    #: No critical check failed, but one at least could not be made: nothing is proven.
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    `area` is what it speaks for ("database"), `subject` what was looked at (an identifier), `name` the
    property. `value` is the measured figure where there is one, in the unit that `measured` shows. A critical
    check stands for what users or the manifest's promises depend on; an advisory one warns of a limit.
    """

    area: str
    subject: str
    name: str
    status: Status
    measured: str
    expected: str
    critical: bool = True
    why: str = ""
    next: str = ""
    value: float | None = None


def judge(
    area: str,
    subject: str,
    name: str,
    passed: bool,
    *,
    measured: str,
    expected: str,
    why: str,
    next: str,
    critical: bool = True,
    value: float | None = None,
) -> Check:
    """A check that was made; `why` and `next` are shown only when it failed."""
    status = Status.PASSED if passed else Status.FAILED
    shown = ("", "") if passed else (why, next)
    return Check(area, subject, name, status, measured, expected, critical, *shown, value)


def not_checked(area: str, subject: str, name: str, missing: Missing, *, expected: str, critical: bool = True) -> Check:
    """A check whose fact is missing."""
    return Check(area, subject, name, Status.NOT_CHECKED, "–", expected, critical, missing.why, missing.next)


class ChecksFailed(OperationError):
    """Raised by `Outcome.require_passed`; `outcome` holds all checks."""

    def __init__(self, outcome: Outcome) -> None:
        # A kernel renders an exception from its fields, so they are set apart from the message.
        blocking = [check for check in outcome.checks if check.critical and check.status is not Status.PASSED]
        listed = "".join(
            f"\n  {check.status.value}: {check.area}, {check.subject} {check.name}: {check.measured},"
            f" expected {check.expected}" + (f" ({check.why})" if check.why else "")
            for check in blocking
        )
        first = next((check.next for check in blocking if check.next), "look at the table above")
        super().__init__(f"{outcome.title} {outcome.verdict.value}", f"{outcome.summary}{listed}", first)
        self.outcome = outcome


@dataclass(frozen=True)
class Outcome:
    """What a verification found: every check, and its time.

    `measurements` are figures by name with their unit in it, for example `web.p95_seconds`.
    `samples` hold each service's probes as they were taken, for `plot`.
    """

    platform: str
    environment: str
    started: datetime
    seconds: float
    checks: tuple[Check, ...]
    measurements: dict[str, float] = field(default_factory=dict)
    series: tuple[Any, ...] = ()

    @property
    def title(self) -> str:
        return f"verification of {self.platform} {self.environment}"

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.checks)

    @property
    def areas(self) -> dict[str, Verdict]:
        """The verdict of each area's critical checks, in the order of the checks."""
        names = dict.fromkeys(check.area for check in self.checks)
        return {name: verdict_of([check for check in self.checks if check.area == name]) for name in names}

    @property
    def failed_areas(self) -> list[str]:
        return [area for area, verdict in self.areas.items() if verdict is Verdict.FAILED]

    @property
    def summary(self) -> str:
        """One sentence: how many checks of each kind ended how."""
        critical = [check for check in self.checks if check.critical]
        parts = [f"{_count(critical, status)} {status.value}" for status in Status if _count(critical, status)]
        text = f"of {len(critical)} critical checks " + ", ".join(parts) if critical else "no critical check was made"
        warnings = [check for check in self.checks if not check.critical and check.status is not Status.PASSED]
        return text + (f"; {len(warnings)} advisory to look at" if warnings else "")

    def to_json(self) -> str:
        """The record of this verification, without the single probes."""
        return json.dumps(
            {
                "schema_version": 1,
                "operation": "verify",
                "platform": self.platform,
                "environment": self.environment,
                "started": self.started.astimezone(UTC).isoformat(timespec="seconds"),
                "seconds": round(self.seconds, 3),
                "verdict": self.verdict.value,
                "areas": {area: verdict.value for area, verdict in self.areas.items()},
                "checks": [asdict(check) for check in self.checks],
                "measurements": self.measurements,
            },
            indent=2,
        )

    def summary_document(self) -> dict[str, Any]:
        """For a journal: the verdict, and every check that did not pass."""
        return {
            "result": self.verdict.value,
            "summary": self.summary,
            "areas": {area: verdict.value for area, verdict in self.areas.items()},
            "not_passed": [asdict(check) for check in self.checks if check.status is not Status.PASSED],
        }

    def figures(self) -> dict[str, float]:
        return self.measurements

    def require_passed(self) -> None:
        """Raise ChecksFailed unless every critical check passed: a notebook that ends here ends red."""
        if self.verdict is not Verdict.PASSED:
            raise ChecksFailed(self)

    def plot(self) -> Any:
        """The latency of every probe, as a chart (`figures.Chart`)."""
        from operations.figures import latency

        return latency(self.series)

    def __repr__(self) -> str:
        from operations.tables import plain

        return plain(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        from operations.tables import html

        # The last one is for programs that read an executed notebook.
        return {
            "text/plain": repr(self),
            "text/html": html(self),
            "application/vnd.drydock.outcome+json": json.loads(self.to_json()),
        }


def verdict_of(checks: Sequence[Check]) -> Verdict:
    """The verdict on some checks. Only critical ones count; without any, nothing is proven."""
    statuses = {check.status for check in checks if check.critical}
    if Status.FAILED in statuses:
        return Verdict.FAILED
    return Verdict.INCOMPLETE if Status.NOT_CHECKED in statuses or not statuses else Verdict.PASSED


def _count(checks: Sequence[Check], status: Status) -> int:
    return sum(check.status is status for check in checks)
