from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from operations.runs import approvals
from operations.runs import store as stores
from operations.runs.approvals import ApprovalRefused, approve, look
from operations.runs.journal import Kind, Stored
from operations.runs.store import Store

pytestmark = [pytest.mark.dock, pytest.mark.timeout(120)]

ROLE = "arn:aws:sts::000000000001:assumed-role/deployer/"
ALICE, BOB, CAROL = (f"{ROLE}{name}" for name in ("alice", "bob", "carol"))


@pytest.fixture
def journal(store: Store, name: str) -> Stored:
    journal = Stored.read(store, name.replace("/", "-"))
    journal.append(Kind.OPENED, operation="deploy", by=ALICE)
    journal.append(Kind.PLANNED, hash="hash-1", plan={})
    return journal


def counting(store: Store, journal: Stored, plan: str = "hash-1", needed: int = 1) -> approvals.Approvals:
    return look(store, journal.run, plan, ALICE, needed)


def test_another_person_s_approval_of_this_plan_counts(store: Store, journal: Stored) -> None:
    assert not counting(store, journal).enough
    assert approve(store, journal, BOB, "hash-1") == "hash-1"
    assert counting(store, journal) == approvals.Approvals(1, (BOB,), ())


@pytest.mark.parametrize(
    "same",
    [ALICE, "arn:aws:sts::000000000001:assumed-role/approver/alice", "arn:aws:iam::000000000001:user/alice"],
    ids=["the same session", "the same person in another role", "the same person as a user"],
)
def test_who_asked_for_the_run_can_not_approve_it(store: Store, journal: Stored, same: str) -> None:
    with pytest.raises(ApprovalRefused, match="approvals are others' to give"):
        approve(store, journal, same)
    assert not counting(store, journal).enough


def test_an_approval_for_an_older_plan_does_not_count(store: Store, journal: Stored) -> None:
    approve(store, journal, BOB)
    journal.append(Kind.PLANNED, hash="hash-2", plan={})
    found = counting(store, journal, "hash-2")
    assert not found.enough
    assert found.refused == (f"{BOB}: it is for an older plan (hash-1, now it is hash-2)",)
    with pytest.raises(ApprovalRefused, match="plan hash-1 is not the plan"):
        approve(store, journal, CAROL, "hash-1")


def test_an_approval_expires_by_the_store_s_clock(
    store: Store, journal: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(store, journal, BOB)
    now = stores.Store.now
    late = timedelta(seconds=approvals.VALID_SECONDS + 1)
    monkeypatch.setattr(stores.Store, "now", lambda self: now(self) + late)
    found = counting(store, journal)
    assert not found.enough
    assert "it expired at" in found.refused[0]


def test_a_clock_of_this_machine_that_is_wrong_does_not_prolong_an_approval(
    store: Store, journal: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() - 86_400)
    approve(store, journal, BOB)
    (item,) = store.query("approvals", journal.run)
    monkeypatch.undo()
    told = stores.content(item)
    assert told["at"][:10] == store.now().isoformat()[:10]


def test_two_approvals_are_two_people(store: Store, journal: Stored) -> None:
    approve(store, journal, BOB)
    approve(store, journal, BOB, note="once more")
    assert not counting(store, journal, needed=2).enough
    approve(store, journal, "arn:aws:iam::000000000001:user/bob")
    found = counting(store, journal, needed=2)
    assert not found.enough
    assert "the same person has approved already" in found.refused[0]
    approve(store, journal, CAROL)
    assert counting(store, journal, needed=2).enough


def test_an_approval_given_before_a_failover_does_not_count_after_it(store: Store, journal: Stored) -> None:
    approve(store, journal, BOB)
    store.home = replace(store.home, epoch=2)
    found = counting(store, journal)
    assert not found.enough
    assert "before the failover to epoch 2" in found.refused[0]


def test_what_has_begun_or_is_over_is_not_approved(store: Store, journal: Stored) -> None:
    journal.append(Kind.INTENT, "a")
    with pytest.raises(ApprovalRefused, match="its first step is done"):
        approve(store, journal, BOB)
    journal.append(Kind.FINISHED, status="aborted")
    with pytest.raises(ApprovalRefused):
        approve(store, journal, BOB)


def test_a_run_without_a_plan_can_not_be_approved(store: Store, name: str) -> None:
    journal = Stored.read(store, name)
    journal.append(Kind.OPENED, by=ALICE)
    with pytest.raises(ApprovalRefused, match="it has no plan"):
        approve(store, journal, BOB)
