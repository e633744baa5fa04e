"""The journal of a run: what was intended, done and found, in order, written before and after it happens.

Success is what the last entry says; no exit code and no colour of a cell counts.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operations.errors import OperationError
from operations.redaction import clean
from operations.runs.store import EXPIRY, PATIENCE_SECONDS, Condition, Item, Store, content, text

if TYPE_CHECKING:
    from operations.runs.lease import Lease

# A run that could not say what it has done would have it repeated: here the store is waited for longer.
AFTER_ACT_SECONDS = 60.0
# A note waits that long for an entry that it can be written with: a step that is over at once is one write.
LINGER_SECONDS = 0.03


class Kind(StrEnum):
    #: The run exists: operation, parameters, who asked for it.
    OPENED = "opened"
    #: A kernel took the run up.
    ATTEMPT = "attempt"
    #: The plan, frozen: whatever follows follows it.
    PLANNED = "planned"
    #: It can't go on before enough others have approved.
    WAITING = "waiting"
    #: The environment is held, under this fencing token.
    LOCKED = "locked"
    #: A step is about to act.
    INTENT = "intent"
    #: A step's act was answered; what it started may still be under way.
    ACTED = "acted"
    #: A step is confirmed. `found` when it had taken effect without this attempt.
    DONE = "done"
    #: A step did not succeed.
    FAILED = "failed"
    #: Nobody can tell whether a step took effect, except a person.
    ASKED = "asked"
    ANSWERED = "answered"
    #: A verification that belongs to the run, and its verdict.
    VERIFIED = "verified"
    #: The run was interrupted in order, at a place from which it can be resumed.
    STOPPED = "stopped"
    #: Its kernel ended in the middle of things.
    DIED = "died"
    #: The run is over.
    FINISHED = "finished"


class Status(StrEnum):
    SUCCEEDED = "succeeded"
    #: A dry run that ended well: there is a plan, and nothing was done.
    PLANNED = "planned"
    FAILED = "failed"
    #: Something that had to hold before the first step did not.
    REFUSED = "refused"
    ABORTED = "aborted"
    WAITING = "waiting for approval"
    UNCLEAR = "waiting for an answer"
    INTERRUPTED = "interrupted"
    #: The last entry is in the middle of things: its kernel works on it, or died.
    UNFINISHED = "unfinished"


_TOLD = {
    Kind.WAITING: Status.WAITING,
    Kind.ASKED: Status.UNCLEAR,
    Kind.STOPPED: Status.INTERRUPTED,
    Kind.DIED: Status.INTERRUPTED,
}
#: What can't be gone on with.
FINAL = frozenset({Status.SUCCEEDED, Status.PLANNED, Status.REFUSED, Status.ABORTED})


@dataclass(frozen=True, slots=True)
class Entry:
    """`at` is the store's time in UTC. `token` is the fencing token under which it was written, for example "1.7"."""

    number: int
    kind: Kind
    at: str
    attempt: int
    step: str = ""
    token: str = ""
    content: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "at": self.at,
            "kind": self.kind.value,
            "attempt": self.attempt,
            **({"step": self.step} if self.step else {}),
            **({"token": self.token} if self.token else {}),
            **self.content,
        }


class Overwritten(OperationError):
    """Another process writes into this run's journal: only one of them may go on."""


class Journal:
    """A run's entries, kept in memory; `Stored` keeps them in the store as well."""

    def __init__(self, run: str, entries: list[Entry] | None = None, folder: Path | None = None) -> None:
        self.run = run
        self.entries = entries or []
        #: The fencing token under which entries are written, while there is one.
        self.lease: Lease | None = None
        self.attempt = max((entry.attempt for entry in self.entries), default=0)
        self.check: Callable[[], None] = lambda: None
        self.progress: Callable[[str], None] = lambda _: None
        self._copy = folder / "journal.jsonl" if folder is not None else None
        self._listeners: list[Callable[[Entry], None]] = []

    def guard(self, check: Callable[[], None], progress: Callable[[str], None]) -> None:
        """Have steps ask `check` wherever they can stop, and tell `progress` what they do."""
        self.check, self.progress = check, progress

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """Have every new entry told, after it is kept."""
        self._listeners.append(listener)

    def append(self, kind: Kind, step: str = "", *, fenced: bool = False, **told: Any) -> Entry:
        """Write an entry and return when it is durable. `fenced`: only while the lease is still this run's.

        Raises LeaseLost, Overwritten, StoreAway; then nothing may be done on the strength of this entry.
        """
        return self._write(kind, step, fenced, True, told)

    def note(self, kind: Kind, step: str = "", **told: Any) -> Entry:
        """Write an entry without waiting for it: it is durable when the next `append`, or `flush`, returns."""
        return self._write(kind, step, False, False, told)

    def _write(self, kind: Kind, step: str, fenced: bool, wait: bool, told: dict[str, Any]) -> Entry:
        entry = Entry(
            number=self.entries[-1].number + 1 if self.entries else 1,
            kind=kind,
            at=self.now().isoformat(timespec="seconds"),
            attempt=self.attempt,
            step=step,
            token=str(self.lease.token) if self.lease is not None else "",
            # A plan that holds a secret was refused before it came here; cleaned it would be another plan.
            content=told if kind is Kind.PLANNED else clean(told),
        )
        self._keep(entry, fenced, wait)
        self.entries.append(entry)
        if self._copy is not None:
            with self._copy.open("a") as file:
                file.write(json.dumps(entry.document()) + "\n")
        for listener in self._listeners:
            listener(entry)
        return entry

    def now(self) -> datetime:
        return datetime.now(UTC)

    def flush(self) -> None:
        """Return when every entry is durable."""

    def _keep(self, entry: Entry, fenced: bool, wait: bool) -> None:
        if fenced and self.lease is not None:
            self.lease.check()

    # What is asked of it

    def of(self, kind: Kind, step: str | None = None) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.kind is kind and step in (None, entry.step))

    def last(self, kind: Kind, step: str | None = None) -> Entry | None:
        return next(
            (entry for entry in reversed(self.entries) if entry.kind is kind and step in (None, entry.step)), None
        )

    def done(self, step: str) -> Entry | None:
        return self.last(Kind.DONE, step)

    @property
    def begun(self) -> bool:
        """Whether a step may have changed something."""
        return any(entry.kind in (Kind.INTENT, Kind.DONE) for entry in self.entries)

    @property
    def status(self) -> Status:
        return status_of(self.entries)


def unrecorded(progress: Callable[[str], None] = lambda _: None) -> Journal:
    """A journal in memory alone, for where an operation is a part of something else.

    Each has a name of its own: what a step did under the name of another one is not what it does now.
    """
    journal = Journal(f"unrecorded-{uuid.uuid4()}")
    journal.progress = progress
    return journal


class Stored(Journal):
    """A journal in the store. One process at a time writes; a second one is noticed at its first entry."""

    def __init__(self, store: Store, run: str, entries: list[Entry], folder: Path | None = None) -> None:
        super().__init__(run, entries, folder)
        self.store = store
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._pending: Future[None] | None = None
        self._notes: list[Entry] = []
        self._lock = threading.Lock()
        self._hurry = threading.Event()

    @classmethod
    def read(cls, store: Store, run: str, folder: Path | None = None) -> Stored:
        """The journal of this run as it is now; empty where there is none."""
        entries = []
        for item in store.query("journal", run):
            told = content(item)
            entries.append(
                Entry(
                    number=int(text(item, "entry")),
                    kind=Kind(told.pop("kind")),
                    at=told.pop("at"),
                    attempt=told.pop("attempt"),
                    step=told.pop("step"),
                    token=told.pop("token"),
                    content=told["content"],
                )
            )
        journal = cls(store, run, entries, folder)
        if journal._copy is not None and entries:
            journal._copy.write_text("".join(json.dumps(entry.document()) + "\n" for entry in entries))
        return journal

    def now(self) -> datetime:
        return self.store.now()

    def flush(self) -> None:
        self._await()
        self._drain()

    def _keep(self, entry: Entry, fenced: bool, wait: bool) -> None:
        if wait:
            # What was only noted goes with it, in one write.
            noted = self._noted()
            self._await()
            self._store([*noted, entry], self.lease if fenced else None)
            return
        with self._lock:
            self._notes.append(entry)
        if self._pending is None or self._pending.done():
            self._await()
            self._pending = self._pool.submit(self._drain_soon)

    def _await(self) -> None:
        """Raises what the write of a note has raised."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self._hurry.set()
            try:
                pending.result()
            finally:
                self._hurry.clear()

    def _drain_soon(self) -> None:
        self._hurry.wait(LINGER_SECONDS)
        self._drain()

    def _noted(self) -> list[Entry]:
        with self._lock:
            noted, self._notes = self._notes, []
        return noted

    def _drain(self) -> None:
        noted = self._noted()
        if noted:
            self._store(noted, None)

    def _store(self, entries: list[Entry], lease: Lease | None) -> None:
        items = [self._item(entry) for entry in entries]
        patience = PATIENCE_SECONDS
        if any(entry.kind in (Kind.ACTED, Kind.DONE) for entry in entries):
            patience = AFTER_ACT_SECONDS
        guard = [lease.condition()] if lease is not None else []
        try:
            self.store.create("journal", items, *guard, patience=patience)
        except Condition as failed:
            if lease is not None and failed.position == 0:
                raise lease.lost(failed.found) from None
            raise Overwritten(
                f"run {self.run} is written by another process",
                f"its entry {entries[0].number} is there already",
                f"drydock show {self.run}",
            ) from None

    def _item(self, entry: Entry) -> Item:
        content = {
            "kind": entry.kind.value,
            "at": entry.at,
            "attempt": entry.attempt,
            "step": entry.step,
            "token": entry.token,
            "content": entry.content,
        }
        return {
            "run": {"S": self.run},
            "entry": {"S": f"{entry.number:06}"},
            "id": {"S": uuid.uuid4().hex},
            EXPIRY: self.store.forget_after(),
            "content": {"S": json.dumps(content)},
        }


def status_of(entries: list[Entry]) -> Status:
    """What the last entry says."""
    if not entries:
        return Status.UNFINISHED
    last = entries[-1]
    if last.kind is Kind.FINISHED:
        return Status(last.content["status"])
    return _TOLD.get(last.kind, Status.UNFINISHED)
