"""Approvals: by others than who asked for the run, for one very plan, for a while."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from operations.errors import OperationError
from operations.runs.identity import same_person
from operations.runs.journal import FINAL, Journal, Kind
from operations.runs.store import EXPIRY, Item, Store, content, text

#: From the approval until the run's first step.
VALID_SECONDS = 4 * 3600


class ApprovalRefused(OperationError):
    """This approval would not count."""


@dataclass(frozen=True, slots=True)
class Approvals:
    """Those that count, by approver, and why the others don't."""

    needed: int
    counting: tuple[str, ...]
    refused: tuple[str, ...]

    @property
    def enough(self) -> bool:
        return len(self.counting) >= self.needed


def approve(store: Store, journal: Journal, by: str, plan: str | None = None, note: str = "") -> str:
    """Approve the run's frozen plan as `by`; returns its hash. `plan` is the hash that the approver has seen, if he
    gives it. Raises ApprovalRefused."""
    run = journal.run
    opened, planned = journal.last(Kind.OPENED), journal.last(Kind.PLANNED)
    if opened is None or planned is None:
        raise ApprovalRefused(f"run {run} can't be approved", "it has no plan", f"drydock show {run}")
    if journal.status in FINAL or journal.begun:
        why = "its first step is done" if journal.begun else f"it is over: {journal.status.value}"
        raise ApprovalRefused(f"run {run} can't be approved", why, f"drydock show {run}")
    frozen = str(planned.content["hash"])
    if plan is not None and plan != frozen:
        raise ApprovalRefused(
            f"plan {plan} is not the plan of run {run}",
            f"its plan is {frozen} since {planned.at}",
            f"look at it: drydock show {run}",
        )
    requester = str(opened.content["by"])
    if same_person(by, requester):
        raise ApprovalRefused(
            f"{by} can't approve run {run}",
            f"{requester} asked for it: approvals are others' to give",
            "ask a colleague",
        )
    now = store.now()
    store.put(
        "approvals",
        {
            "run": {"S": run},
            "approver": {"S": by},
            EXPIRY: store.forget_after(),
            "content": {
                "S": json.dumps(
                    {
                        "plan": frozen,
                        "at": now.isoformat(timespec="seconds"),
                        "expires": (now + timedelta(seconds=VALID_SECONDS)).isoformat(timespec="seconds"),
                        "epoch": store.home.epoch,
                        "note": note,
                    }
                )
            },
        },
    )
    return frozen


def look(store: Store, run: str, plan: str, requester: str, needed: int) -> Approvals:
    """Which approvals of this run count for the plan of this hash, by the store's clock."""
    counting: list[str] = []
    refused: list[str] = []
    # What the store says of the time comes with its answer.
    found = store.query("approvals", run)
    for item in found:
        approver = text(item, "approver")
        why = _why_not(item, plan, requester, counting, store.home.epoch, store.now())
        if why is None:
            counting.append(approver)
        else:
            refused.append(f"{approver}: {why}")
    return Approvals(needed, tuple(counting), tuple(refused))


def _why_not(item: Item, plan: str, requester: str, counting: list[str], epoch: int, now: datetime) -> str | None:
    approver, told = text(item, "approver"), content(item)
    if told["plan"] != plan:
        return f"it is for an older plan ({told['plan']}, now it is {plan})"
    if datetime.fromisoformat(told["expires"]) <= now:
        return f"it expired at {told['expires']}"
    if told["epoch"] != epoch:
        return f"it is of epoch {told['epoch']}, before the failover to epoch {epoch}"
    if same_person(approver, requester):
        return "the requester's own does not count"
    if any(same_person(approver, other) for other in counting):
        return "the same person has approved already"
    return None
