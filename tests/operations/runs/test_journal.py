from __future__ import annotations

import json
from pathlib import Path

import pytest

from operations import redaction
from operations.runs import ledger
from operations.runs import store as stores
from operations.runs.journal import Journal, Kind, Overwritten, Status, Stored
from operations.runs.lease import Lease, LeaseLost
from operations.runs.store import Store, StoreAway
from tests.operations.runs.dock import Dock

pytestmark = [pytest.mark.dock, pytest.mark.timeout(120)]


def test_what_was_written_is_read_again_in_its_order(store: Store, name: str, tmp_path: Path) -> None:
    journal = Stored.read(store, name, tmp_path)
    journal.attempt = 1
    journal.append(Kind.OPENED, operation="deploy")
    for number in range(12):
        journal.note(Kind.ACTED, f"step {number}", result={"number": number, "share": 0.5})
    journal.append(Kind.FINISHED, status="succeeded")
    again = Stored.read(store, name)
    assert again.entries == journal.entries
    assert again.status is Status.SUCCEEDED
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert lines == [entry.document() for entry in again.entries]


def test_of_two_processes_on_one_run_the_second_is_noticed_at_its_first_entry(store: Store, name: str) -> None:
    one = Stored.read(store, name)
    one.append(Kind.OPENED)
    other = Stored.read(store, name)
    one.append(Kind.ATTEMPT)
    with pytest.raises(Overwritten, match="is written by another process"):
        other.append(Kind.ATTEMPT)


@pytest.mark.parametrize("fault", ["api-lost", "api-throttled", "api-failing"])
def test_an_entry_is_there_once_whatever_dynamodb_does_meanwhile(
    dock: Dock, store: Store, name: str, fault: str
) -> None:
    journal = Stored.read(store, name)
    journal.lease = lease = Lease.acquire(store, name, name, "me")
    for operation, fenced in (("PutItem", False), ("TransactWriteItems", True)):
        with dock.fault(fault, service="dynamodb", operation=operation, calls=2):
            journal.append(Kind.INTENT, "a", fenced=fenced)
    lease.release()
    assert [entry.number for entry in Stored.read(store, name).entries] == [1, 2]


def test_a_store_that_stays_away_stops_a_run_before_it_acts(
    dock: Dock, store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores.Store.create, "__kwdefaults__", {"patience": 0.5})
    journal = Stored.read(store, name)
    with (
        dock.fault("api-failing", service="dynamodb", operation="PutItem"),
        pytest.raises(StoreAway, match="the store of runs does not answer"),
    ):
        journal.append(Kind.INTENT, "a")
    assert journal.entries == []


def test_the_journal_refuses_an_intent_under_a_token_that_is_stale(store: Store, name: str) -> None:
    first = Lease.acquire(store, name, "first", "alice", seconds=60)
    first._released.set()
    first._thread.join()
    found = store.get("leases", environment=name)
    assert found is not None
    store.put("leases", found | {"token": {"N": "2"}, "run": {"S": "second"}})
    journal = Stored(store, name, [])
    journal.lease = first
    with pytest.raises(LeaseLost, match=r"run second of alice.*\(token 1\.2, ours is 1\.1\)"):
        journal.append(Kind.INTENT, "a", fenced=True)
    assert Stored.read(store, name).entries == []


def test_no_secret_gets_into_journal_or_ledger(store: Store, name: str, tmp_path: Path) -> None:
    canary = "canary-7f2e-s3cret"
    redaction.remember(canary)
    journal = Stored.read(store, name, tmp_path)
    journal.append(Kind.FAILED, "a", why=f"psql: {canary}", password="hunter2-hunter2", uri="redis://:pw-in-url@h")
    ledger.write(store, ledger.Line(name, "run", "deploy", "failed", "me", "now", details={"said": canary}))
    kept = (
        str(store.query("journal", name)) + str(store.query("ledger", name)) + (tmp_path / "journal.jsonl").read_text()
    )
    for secret in (canary, "hunter2-hunter2", "pw-in-url"):
        assert secret not in kept


def test_a_journal_without_a_store_works_alike() -> None:
    journal = Journal("x")
    journal.append(Kind.OPENED)
    journal.append(Kind.FINISHED, status="failed")
    assert journal.status is Status.FAILED


def test_the_ledger_lists_the_newest_first(store: Store, name: str) -> None:
    for run in ("20260101-a", "20260301-c", "20260201-b"):
        ledger.write(store, ledger.Line(name, run, "verify", "succeeded", "me", "t"))
    assert [line.run for line in ledger.read(store, name, 2)] == ["20260301-c", "20260201-b"]
