"""What a run costs: beside bare papermill on an empty notebook, to its first action, and for each step's record."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from benchmarks.figure import Figure, in_pairs, seconds, spread
from drydock.shell import PROJECT
from operations import control
from operations.operation import Absent, Step
from operations.runs import store as stores
from operations.runs.journal import Stored
from operations.runs.lease import Lease
from operations.steps import Executor

RUNS = 5
STEPS = 30
# A verification that looks at every part once: what is compared is the runner, not how long probes are sent.
SETTINGS = ("-p", "probes=1", "-p", "probes_per_second=200")


def measure(environment: Mapping[str, str]) -> list[Figure]:
    """`environment` is that of a shell attached to the local environment; this process is attached to it too."""
    with tempfile.TemporaryDirectory(prefix="drydock-benchmark-") as folder:
        attached = {**environment, "IPYTHONDIR": f"{folder}/ipython"}
        empty = Path(folder) / "empty.ipynb"
        notebook = new_notebook(cells=[new_code_cell("")])  # type: ignore[no-untyped-call]
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, empty)  # type: ignore[no-untyped-call]
        first: list[float] = []

        def bare() -> None:
            command = [sys.executable, "-m", "papermill", str(empty), f"{folder}/out.ipynb"]
            subprocess.run(command, cwd=PROJECT, env=attached, check=True, capture_output=True, timeout=120)

        def ours() -> None:
            command = [sys.executable, "-m", "drydock", "run", "verify", *SETTINGS, "--json"]
            done = subprocess.run(command, cwd=PROJECT, env=attached, capture_output=True, text=True, timeout=120)
            first.append(_first_action(Path(json.loads(done.stdout)["folder"]) / "attempt-1.ipynb"))

        mine, theirs = in_pairs(ours, bare, RUNS)
    ratio = statistics.median(mine) / statistics.median(theirs)
    steps = [_step() for _ in range(RUNS)]
    step = statistics.median(steps)
    return [
        Figure(
            "drydock run verify", spread(mine), f"papermill, empty: {spread(theirs)}", ratio, "≤ 1.20", ratio <= 1.2
        ),
        Figure(
            "first action of a run", spread(first), "the kernel is up", None, "≤ 1 s", statistics.median(first) <= 1
        ),
        Figure("journal and lock of a step", spread(steps, "ms", 1000), "", None, "≤ 20 ms", step <= 0.02),
    ]


def _first_action(executed: Path) -> float:
    """From the first cell's start, when the kernel is up, until the run is open and its first entries are durable."""
    notebook = nbformat.read(executed, as_version=4)  # type: ignore[no-untyped-call]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (opened,) = [cell for cell in cells if cell.id == "preflight"]
    began = datetime.fromisoformat(cells[0].metadata.papermill.start_time)
    return (datetime.fromisoformat(opened.metadata.papermill.end_time) - began).total_seconds()


def _step() -> float:
    """Seconds for one step that does nothing, with its share of the lease."""
    store = stores.open(control.load())
    name = f"benchmark/{uuid.uuid4().hex[:8]}"
    journal = Stored.read(store, name.replace("/", "-"))

    def work() -> None:
        lease = Lease.acquire(store, name, journal.run, "benchmark")
        journal.lease = lease
        steps = [
            Step(f"step {number}", "do nothing", lambda _: Absent(), lambda _: {}, lambda _, result: result)
            for number in range(STEPS)
        ]
        Executor(None, journal, 60).run(steps)  # type: ignore[arg-type]
        lease.release()

    return seconds(work) / STEPS
