"""A record in figures: how many, how fast, and how long users were without an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dock.traffic.record import Answer

# An outage is over with the first of so many good answers in a row: one lucky answer ends nothing.
LASTING = 10


@dataclass(frozen=True, slots=True)
class Outage:
    """From the first failed request to the first of a lasting series of good ones; `seconds` None: it never ended."""

    began: float
    seconds: float | None
    failed: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Seconds are of good answers only: a fast error is no good latency. None where there were none."""

    requests: int
    failed: int
    per_second: float
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    slowest_seconds: float | None
    statuses: dict[str, int]
    releases: dict[str, int]
    outages: list[Outage]

    def document(self) -> dict[str, Any]:
        return asdict(self)


def summarise(answers: Sequence[Answer]) -> Summary:
    """Of answers in the order in which they were due."""
    good = sorted(answer.seconds for answer in answers if not answer.failed and answer.kind != "live")
    span = answers[-1].at - answers[0].at if len(answers) > 1 else 0.0
    return Summary(
        requests=len(answers),
        failed=sum(answer.failed for answer in answers),
        per_second=round(len(answers) / span, 1) if span else 0.0,
        p50_seconds=_percentile(good, 50),
        p95_seconds=_percentile(good, 95),
        p99_seconds=_percentile(good, 99),
        slowest_seconds=good[-1] if good else None,
        statuses=dict(Counter(str(answer.status or "no answer") for answer in answers).most_common()),
        releases=dict(Counter(answer.release for answer in answers if answer.release).most_common()),
        outages=outages(answers),
    )


def outages(answers: Sequence[Answer]) -> list[Outage]:
    """In the order in which they began."""
    found: list[Outage] = []
    began: Answer | None = None
    failed, row = 0, [*answers[:0]]
    for answer in answers:
        if answer.failed:
            began, failed, row = began or answer, failed + 1, []
        elif began is not None:
            row.append(answer)
            if len(row) == LASTING:
                found.append(Outage(began.at, row[0].at - began.at, failed))
                began, failed, row = None, 0, []
    if began is not None:
        found.append(Outage(began.at, None, failed))
    return found


def _percentile(ordered: Sequence[float], percent: float) -> float | None:
    """The nearest rank, of ordered values."""
    if not ordered:
        return None
    return ordered[max(0, -(-len(ordered) * int(percent) // 100) - 1)]
