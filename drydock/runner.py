"""`drydock run` and `drydock resume`: a runbook, executed by papermill, with a deadline, a safe stop and its evidence.

The guards themselves (lease, journal, approvals, dry run) are in `operations.run` and act in the kernel; so a notebook
that is opened in JupyterLab has them too. Here is what only a runner can do: refuse wrong parameters before a kernel
starts, end what takes too long, tell a kernel that died, and keep what was shown.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drydock import place
from drydock.errors import UsageError
from drydock.shell import PROJECT
from operations.errors import OperationError
from operations.parameters import Where
from operations.runs.journal import Status

RUNBOOKS = PROJECT / "runbooks"
#: What a process sees; docs/runbooks.md lists them.
EXIT_CODES = {
    Status.SUCCEEDED: 0,
    Status.PLANNED: 0,
    Status.FAILED: 1,
    Status.REFUSED: 3,
    Status.ABORTED: 3,
    Status.WAITING: 4,
    Status.INTERRUPTED: 5,
    Status.UNFINISHED: 5,
    Status.UNCLEAR: 6,
}


@dataclass(frozen=True)
class Ended:
    """How an attempt ended. `why` and `next` are for a person; `evidence` are the files' keys in the bucket."""

    run: str
    status: Status
    attempt: int
    why: str
    next: str
    recorded: bool
    seconds: float
    folder: Path
    evidence: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "run": self.run,
            "status": self.status.value,
            "attempt": self.attempt,
            "why": self.why,
            "next": self.next,
            "recorded": self.recorded,
            "seconds": round(self.seconds, 3),
            "folder": str(self.folder),
            "evidence": self.evidence,
        }


def folders() -> Path:
    """Where runs leave their files on this machine: with the dock's home where one is named, else with the state of
    the person who runs them."""
    if named := os.environ.get("DRYDOCK_HOME"):
        return Path(named).absolute() / "runs"
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state).absolute() / "drydock" / "runs"


def run(
    name: str, parameters: Where, *, run_id: str | None = None, deadline: float | None, show: Callable[[str], None]
) -> Ended:
    """Execute a runbook; with `run_id`, go on with that run. `deadline` is in seconds, None for the operation's own."""
    began = time.monotonic()
    environment = place.attached(parameters.environment)
    os.environ.update(environment)
    identifier = run_id or _new_id(name)
    folder = _folder(identifier)
    attempt = len(list(folder.glob("attempt-*.ipynb"))) + 1
    until = began + (deadline if deadline is not None else _seconds(name, parameters))
    environment |= {
        "DRYDOCK_RUN": identifier,
        "DRYDOCK_RUN_FOLDER": str(folder),
        "DRYDOCK_RUN_DEADLINE": str(until),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT), environment.get("PYTHONPATH")])),
    }
    from drydock import kernel as kernels

    kernel = kernels.Kernel(environment, folder, until)
    aftermath = Aftermath()
    into = folder / f"attempt-{attempt}.ipynb"
    try:
        with kernel.stopped_by_signals():
            aftermath.prepare()
            show(f"run {identifier}, evidence in {folder}")
            problem = kernels.execute(
                RUNBOOKS / f"{name}.ipynb", into, parameters.model_dump(mode="json"), kernel, show
            )
    finally:
        kernel.end()
    aftermath.page(into)
    told = _told(folder)
    why = kernel.why or problem
    if told.status is Status.UNFINISHED and told.recorded:
        _note_end(identifier, folder, why, ended_itself=not kernel.why and kernel_lived(problem))
        told = _told(folder)
    evidence: list[str] = []
    if told.recorded:
        try:
            evidence = aftermath.upload(told.environment, identifier, folder)
        except OperationError as error:
            show(f"{error.what}: {error.why}; next: {error.next}")
    return Ended(
        identifier,
        told.status,
        told.attempt or attempt,
        told.why or why,
        told.next or _next(told.status, identifier, name),
        told.recorded,
        time.monotonic() - began,
        folder,
        evidence,
    )


def kernel_lived(problem: str) -> bool:
    """Whether a notebook that ended early ended by an error of its own."""
    return bool(problem) and not problem.startswith("the kernel died")


class Aftermath:
    """What is done when the notebook is over: its HTML page, and the upload. What these need takes seconds to import
    and to read, so that is done while the kernel works."""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._prepare, name="aftermath", daemon=True)
        self._exporter: Any = None
        self._control: Any = None
        self._s3: Any = None

    def prepare(self) -> None:
        self._thread.start()

    def page(self, notebook: Path) -> None:
        """The page beside the notebook."""
        import nbformat

        self._thread.join()
        if self._exporter is None or not notebook.exists():
            return
        document = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
        html, _ = self._exporter.from_notebook_node(document)
        notebook.with_suffix(".html").write_text(html)

    def upload(self, environment: str, run: str, folder: Path) -> list[str]:
        """Put the run's files into the bucket; returns their keys. Raises OperationError."""
        from operations.runs import evidence

        self._thread.join()
        if self._control is None:
            self._open_bucket()
        return evidence.upload(self._s3, self._control, environment, run, evidence.files(folder))

    def _prepare(self) -> None:
        # papermill goes first: it is on the way of the first cell.
        import papermill  # noqa: F401
        from nbconvert.exporters.html import HTMLExporter
        from nbformat.v4 import new_notebook

        exporter: Any = HTMLExporter()  # type: ignore[no-untyped-call]
        # Has the templates compiled.
        exporter.from_notebook_node(new_notebook())  # type: ignore[no-untyped-call]
        self._exporter = exporter
        with contextlib.suppress(Exception):  # said when it is needed
            self._open_bucket()

    def _open_bucket(self) -> None:
        from botocore.config import Config

        from operations import aws, control

        found = control.load()
        self._s3 = aws.client("s3", found.region, Config(retries={"mode": "standard", "total_max_attempts": 5}))
        self._control = found


@dataclass(frozen=True)
class _Told:
    status: Status
    attempt: int
    recorded: bool
    environment: str
    why: str
    next: str


def _told(folder: Path) -> _Told:
    """What the journal's copy in the run's folder says. It is written after the journal, so it never says more."""
    from operations.runs.journal import Entry, Kind, status_of

    entries = []
    path = folder / "journal.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        found = json.loads(line)
        kept = {name: found.pop(name, "") for name in ("number", "kind", "at", "attempt", "step", "token")}
        entries.append(Entry(**{**kept, "kind": Kind(kept["kind"])}, content=found))
    opened = next((entry.content for entry in entries if entry.kind is Kind.OPENED), {})
    begun = [entry for entry in entries if entry.kind is Kind.ATTEMPT]
    last = entries[-1].content if entries else {}
    return _Told(
        status=status_of(entries),
        attempt=begun[-1].attempt if begun else 0,
        recorded=bool(begun and begun[-1].content["recorded"]),
        environment=str(opened.get("environment", "")),
        why=str(last.get("why", "") or last.get("question", "")),
        next=str(last.get("next", "") or last.get("look", "")),
    )


def _note_end(run: str, folder: Path, why: str, *, ended_itself: bool) -> None:
    """The entry that a kernel which died, or a notebook that ended outside of its act, could not write."""
    from operations import control
    from operations.runs import ledger, store
    from operations.runs.journal import Kind, Stored

    try:
        kept = store.open(control.load())
        journal = Stored.read(kept, run, folder)
        if journal.status is not Status.UNFINISHED:
            return
        if ended_itself and not journal.begun:
            journal.append(Kind.FINISHED, status=Status.FAILED.value, why=why, outcome={})
        else:
            journal.append(Kind.DIED, why=why or "the notebook ended before its last cell")
        opened = journal.last(Kind.OPENED)
        line = ledger.find(kept, opened.content["environment"], run) if opened is not None else None
        if line is not None:
            ledger.amend(kept, line, status=journal.status.value, ended=journal.entries[-1].at)
    except OperationError as error:
        print(f"drydock: the end of {run} is not in its journal: {error}", file=sys.stderr)


def _new_id(name: str) -> str:
    from operations.run import new_id

    return new_id(name, datetime.now(UTC))


def _seconds(name: str, parameters: Where) -> float:
    from operations import catalogue

    return catalogue.named(name).seconds(parameters)


def _folder(run: str) -> Path:
    if "/" in run or run.startswith("."):
        raise UsageError(f"{run!r} is no run's id", "drydock runs")
    folder = folders() / run
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _next(status: Status, run: str, name: str) -> str:
    return {
        Status.PLANNED: "the same command with --apply does it",
        Status.INTERRUPTED: f"drydock resume {run}",
        Status.UNFINISHED: f"drydock resume {run}",
        Status.WAITING: f"another person: drydock approve {run}",
        Status.UNCLEAR: f"drydock show {run}",
    }.get(status, "")
