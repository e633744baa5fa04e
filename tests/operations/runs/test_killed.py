"""SIGKILL at every boundary of a deployment, and in the middle of each of its steps; then the run is gone on with.

The end is that of an undisturbed run, and the dock's own record of calls has every effect once.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from operations.runs.journal import Kind, Status, Stored
from operations.runs.store import Store
from tests.operations.runs.deployment import Deployment
from tests.operations.runs.dock import Dock

pytestmark = [pytest.mark.dock, pytest.mark.timeout(600)]

AT_ONCE = 4
# All points take minutes; without, those are taken at which another thing is left behind.
EVERYWHERE = bool(os.environ.get("DRYDOCK_KILL_EVERYWHERE"))


UNDISTURBED = {"on": "chatvrm-ENV-web:1", "running": (1, 1), "registered": 2, "migrations": 1, "updates": 1}


def test_a_deployment_that_is_killed_anywhere_ends_as_an_undisturbed_one(
    dock: Dock, store: Store, tmp_path: Path, document: dict[str, Any]
) -> None:
    calm = Deployment(dock, tmp_path, document)
    assert calm.attempt() == 0
    assert calm.end() == UNDISTURBED
    points = calm.passed()
    calm.tidy()
    # The boundaries and the middles of all four steps are among them.
    for step in ("register migration", "migrate", "register release", "roll out"):
        assert {f"after entry intent {step} 1", f"after entry done {step} 1"} <= set(points)
    for call in ("RegisterTaskDefinition", "RunTask", "UpdateService"):
        assert {f"before call {call} 1", f"after call {call} 1"} <= set(points)
    assert sum(point.startswith("waiting") for point in points) >= 2

    def kill_and_resume(point: str) -> tuple[str, Any]:
        deployment = Deployment(dock, tmp_path, document)
        try:
            first = deployment.attempt(point)
            if first != -signal.SIGKILL:
                return point, f"the first attempt was not killed: {first}"
            second = deployment.attempt()
            if second != 0:
                return point, f"the second attempt ended with {second}"
            return point, deployment.end()
        finally:
            deployment.tidy()

    # What comes before the lease is taken has caused nothing.
    disturbed = points[points.index("after entry planned 1") :]
    assert len(disturbed) >= 15
    if not EVERYWHERE:
        telling = ("after entry locked", "after entry intent", "after call", "waiting", "after entry finished")
        disturbed = [point for point in disturbed if point.startswith(telling)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = dict(pool.map(kill_and_resume, disturbed))
    finished = "after entry finished 1"
    assert ends.pop(finished) == "the second attempt ended with 1", "a run that is over is not gone on with"
    assert {point: end for point, end in ends.items() if end != UNDISTURBED} == {}


def test_a_run_that_was_overtaken_by_another_can_not_go_on(
    dock: Dock, store: Store, tmp_path: Path, document: dict[str, Any]
) -> None:
    deployment = Deployment(dock, tmp_path, document)
    assert deployment.attempt("after entry done migrate 1") == -signal.SIGKILL
    first, deployment.run = deployment.run, f"{deployment.run}-other"
    assert deployment.attempt() == 0, "the lock of a run whose process has ended is taken over"
    locked = Stored.read(store, deployment.run).last(Kind.LOCKED)
    assert locked is not None
    assert locked.content["before"] == first
    deployment.run = first
    assert deployment.attempt() == 1
    journal = Stored.read(store, first)
    assert journal.status is Status.FAILED
    assert f"run {first}-other has changed" in journal.entries[-1].content["why"]
    assert deployment.end() == UNDISTURBED | {"migrations": 2}, "another run migrates anew; migrations can be repeated"
    deployment.tidy()
