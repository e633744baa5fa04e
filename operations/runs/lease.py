"""Who may change an environment: one run at a time, by a lease with a fencing token that only grows.

No clock is trusted. An owner renews its lease by changing its `beat`; whoever wants it watches that for the lease's
length by his own monotonic clock, and takes it when nothing changed. The takeover is conditional on that very beat, so
of two who do it one wins. The old owner, if it was only slow, learns at its next entry: the journal writes an intent in
one transaction with the condition that the token is still its own (`condition`).

What remains: the cloud's own calls take no token. An owner that is frozen after its last entry, for longer than the
lease, and then wakes in the middle of a call, makes that one call. The steps' idempotency keys are for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from operations.errors import OperationError
from operations.runs.store import Condition, Item, Store, text

SECONDS = 15.0
# A beat is due three times in a lease's length, so that one that is lost does no harm.
_BEATS = 3
_LOOK_SECONDS = 0.25
_NAMES = {"#token": "token", "#epoch": "epoch", "#held": "held"}


class LeaseHeld(OperationError):
    """Another run, which is alive, changes this environment."""


class LeaseLost(OperationError):
    """Another run has taken the environment: nothing more may be done."""


@dataclass(frozen=True, slots=True, order=True)
class Token:
    """Compared in this order: a new epoch is above every token of the old one."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"


@dataclass(frozen=True, slots=True)
class Process:
    """The process that holds a lease, such that one on the same machine can tell whether it is still there.

    `boot` and `namespace` are the kernel's own ids; `started` is in clock ticks since that boot.
    """

    host: str
    pid: int
    boot: str
    namespace: str
    started: str

    @classmethod
    def mine(cls) -> Process:
        return cls(socket.gethostname(), os.getpid(), _boot(), _namespace(), _started(os.getpid()))

    @property
    def gone(self) -> bool:
        """Whether it is known to have ended; False where that can't be known from here."""
        here = bool(self.boot) and (self.boot, self.namespace) == (_boot(), _namespace())
        return here and self.started != _started(self.pid)


class Lease:
    """A lease that is held. Renews itself in a thread until `release`."""

    def __init__(self, store: Store, environment: str, run: str, item: Item, seconds: float) -> None:
        self.environment = environment
        self.run = run
        self.token = Token(int(item["epoch"]["N"]), int(item["token"]["N"]))
        self.seconds = seconds
        #: The run that held the environment before, whether it gave it back or died.
        self.before = ""
        self._store = store
        self._key = {"environment": item["environment"]}
        self._renewed = time.monotonic()
        self._lost: LeaseLost | None = None
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    @classmethod
    def acquire(
        cls,
        store: Store,
        environment: str,
        run: str,
        by: str,
        progress: Callable[[str], None] = lambda _: None,
        seconds: float = SECONDS,
    ) -> Lease:
        """Take the environment, `platform/environment`, for this run. Raises LeaseHeld within a third of the owner's
        lease when the owner is alive; waits for the whole of it when it isn't."""
        watched: Item | None = None
        since = 0.0
        while True:
            found = store.get("leases", environment=environment)
            reason = _takeable(store, found)
            if found is not None and reason is None:
                if watched is None or watched["token"] != found["token"]:
                    progress(f"{_owner(found)} holds {environment}: looking whether it is alive")
                    watched, since = found, time.monotonic()
                elif watched["beat"] != found["beat"]:
                    raise held(environment, found)
                elif time.monotonic() - since >= float(found["seconds"]["N"]):
                    reason = f"it gave no sign of life for {float(found['seconds']['N']):g} s"
            if reason is None:
                time.sleep(_LOOK_SECONDS)
                continue
            item = _item(store, environment, run, by, found, seconds)
            began = time.monotonic()
            if not _take(store, item, found):
                continue
            if found is not None and found["held"]["BOOL"]:
                progress(f"TAKEN OVER from {_owner(found)}: {reason}")
            lease = cls(store, environment, run, item, seconds)
            lease.before = text(found, "run") if found is not None else ""
            lease._renewed = began
            lease._thread.start()
            return lease

    def check(self) -> None:
        """Raise LeaseLost when another has it, StoreAway when nobody can tell."""
        if self._lost is not None:
            raise self._lost
        if time.monotonic() - self._renewed > self.seconds:
            self._renew()

    def condition(self) -> dict[str, Any]:
        """That the lease is still ours, for a transaction of the store."""
        return self._store.check("leases", self._key, *self._mine())

    def lost(self, found: Item | None) -> LeaseLost:
        """What is to be raised when `condition` does not hold."""
        owner = _owner(found) if found else "somebody"
        self._lost = LeaseLost(
            f"run {self.run} has lost {self.environment}",
            f"{owner} has taken it (token {_token(found) if found else 'unknown'}, ours is {self.token})",
            f"look what was done: drydock show {self.run}; then plan anew",
        )
        return self._lost

    def release(self) -> None:
        """Give it back. The record stays, for its token. A lease that was lost, or a store that is away, is no error
        here: then the lease simply runs out."""
        self._released.set()
        self._thread.join()
        expression, names, values = self._mine()
        with contextlib.suppress(Condition, OperationError):
            self._store.update(
                "leases",
                self._key,
                5.0,
                UpdateExpression="SET #held = :free, #beat = :beat",
                ConditionExpression=expression,
                ExpressionAttributeNames={**names, "#beat": "beat"},
                ExpressionAttributeValues={**values, ":free": {"BOOL": False}, ":beat": {"S": uuid.uuid4().hex}},
            )

    def _beat(self) -> None:
        while not self._released.wait(self.seconds / _BEATS):
            try:
                self._renew(patience=self.seconds / _BEATS)
            except LeaseLost:
                return
            except OperationError:
                continue  # `check` asks again before anything is done

    def _renew(self, patience: float = 5.0) -> None:
        began = time.monotonic()
        expression, names, values = self._mine()
        try:
            self._store.update(
                "leases",
                self._key,
                patience,
                UpdateExpression="SET #beat = :beat",
                ConditionExpression=expression,
                ExpressionAttributeNames={**names, "#beat": "beat"},
                ExpressionAttributeValues={**values, ":beat": {"S": uuid.uuid4().hex}},
            )
        except Condition as failed:
            raise self.lost(failed.found) from None
        self._renewed = began

    def _mine(self) -> tuple[str, dict[str, str], Item]:
        values: Item = {
            ":token": {"N": str(self.token.number)},
            ":epoch": {"N": str(self.token.epoch)},
            ":held": {"BOOL": True},
        }
        return "#token = :token AND #epoch = :epoch AND #held = :held", _NAMES, values


def held(environment: str, found: Item) -> LeaseHeld:
    run = text(found, "run")
    return LeaseHeld(
        f"{environment} is being changed by {_owner(found)}",
        f"since {text(found, 'since')}, and it is alive; one run at a time changes an environment",
        f"drydock show {run}; wait until it is over, or stop it where it runs",
    )


def look(store: Store, environment: str) -> dict[str, Any] | None:
    """Who holds the environment, as a document; None when nobody does. It may have died since its last beat."""
    found = store.get("leases", environment=environment)
    if found is None or _takeable(store, found) is not None:
        return None
    return {
        "run": text(found, "run"),
        "by": text(found, "by"),
        "since": text(found, "since"),
        "token": str(_token(found)),
        **json.loads(text(found, "process")),
    }


def is_alive(store: Store, environment: str) -> bool:
    """Whether the owner gives a sign of life; takes up to a third of its lease when it does, the whole when not."""
    first = store.get("leases", environment=environment)
    if first is None or _takeable(store, first) is not None:
        return False
    until = time.monotonic() + float(first["seconds"]["N"])
    while time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        now = store.get("leases", environment=environment)
        if now is None or not now["held"]["BOOL"]:
            return False
        if now["beat"] != first["beat"]:
            return True
    return False


def _takeable(store: Store, found: Item | None) -> str | None:
    """Why the lease may be taken at once; None when its owner has to be watched."""
    if found is None or not found["held"]["BOOL"]:
        return "it is free"
    if int(found["epoch"]["N"]) < store.home.epoch:
        return f"it is of epoch {found['epoch']['N']}, and {store.home.region} was taken over since"
    process = Process(**json.loads(text(found, "process")))
    if process.gone:
        return f"its process {process.pid} on this machine has ended"
    return None


def _take(store: Store, item: Item, found: Item | None) -> bool:
    if found is None:
        taken = store.put_if("leases", item, "attribute_not_exists(#key)", {"#key": "environment"})
    else:
        taken = store.put_if(
            "leases",
            item,
            "#beat = :beat AND #token = :token",
            {"#beat": "beat", "#token": "token"},
            {":beat": found["beat"], ":token": found["token"]},
        )
    try:
        store.transact(store.at_home(), taken)
    except Condition as failed:
        if failed.position == 0:
            raise OperationError(
                f"{store.home.region} is no longer the home of the runs",
                f"{text(failed.found or {}, 'region')} was made so by {text(failed.found or {}, 'by')}",
                "run it again: the new home is looked up at the start",
            ) from None
        return False
    return True


def _item(store: Store, environment: str, run: str, by: str, found: Item | None, seconds: float) -> Item:
    number = int(found["token"]["N"]) + 1 if found is not None else 1
    return {
        "environment": {"S": environment},
        "token": {"N": str(number)},
        "epoch": {"N": str(store.home.epoch)},
        "held": {"BOOL": True},
        "beat": {"S": uuid.uuid4().hex},
        "seconds": {"N": f"{seconds:g}"},
        "run": {"S": run},
        "by": {"S": by},
        "since": {"S": store.now().isoformat(timespec="seconds")},
        "process": {"S": json.dumps(asdict(Process.mine()))},
    }


def _owner(item: Item) -> str:
    process = json.loads(text(item, "process"))
    return f"run {text(item, 'run')} of {text(item, 'by')} (process {process['pid']} on {process['host']})"


def _token(item: Item) -> Token:
    return Token(int(item["epoch"]["N"]), int(item["token"]["N"]))


def _boot() -> str:
    return _first_line(Path("/proc/sys/kernel/random/boot_id"))


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When the process started, in clock ticks since the machine did; empty when there is none, or a zombie."""
    line = _first_line(Path(f"/proc/{pid}/stat"))
    fields = line.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""


def _first_line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
