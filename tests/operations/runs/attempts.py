"""One attempt of a run in a process of its own, which kills itself at a point that the test chooses."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any


def attempt(settings: dict[str, str], document: dict[str, Any], parameters: dict[str, Any], die_at: str) -> None:
    """Deploy; at `die_at` (a name that `_points` gives, empty for nowhere) this process gets SIGKILL.

    The points that were passed are left in a file, so that a test knows them all from an undisturbed run.
    """
    os.environ.update(settings)
    from operations import manifest as manifests
    from operations import migration, rollout
    from operations.parameters import DeployParameters
    from operations.run import Run
    from operations.target import Target

    migration.POLL_SECONDS = rollout.POLL_SECONDS = 0.1
    _points(Path(settings["POINTS"]), die_at)
    target = Target(manifests.parse(json.dumps(document), document["platform"], document["environment"]))
    run = Run.open(DeployParameters(**parameters), target=target, progress=lambda text: None)
    run.plan()
    run.act()
    run.finish()


def _points(into: Path, die_at: str) -> None:
    """Every boundary: after each entry of the journal, before and after each call that acts, in the first wait."""
    from operations.deadline import Deadline
    from operations.runs.journal import Stored
    from operations.target import Target

    passed: list[str] = []

    one_at_a_time = threading.RLock()

    def point(name: str) -> None:
        with one_at_a_time:
            name = f"{name} {sum(each.rpartition(' ')[0] == name for each in passed) + 1}"
            passed.append(name)
            into.with_suffix(".new").write_text(json.dumps(passed))
            into.with_suffix(".new").replace(into)
            if name == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    store, acting, pause = Stored._store, Target.acting, Deadline.pause

    def storing(self: Any, entries: list[Any], lease: Any) -> None:
        store(self, entries, lease)
        for entry in entries:
            point(f"after entry {entry.kind.value} {entry.step}".strip())

    def watched(self: Target, service: str) -> Any:
        known = service in self._acting
        client = acting(self, service)
        if not known:
            client.meta.events.register("before-call", lambda model, **_: point(f"before call {model.name}"))
            client.meta.events.register("after-call", lambda model, **_: point(f"after call {model.name}"))
        return client

    def waiting(self: Deadline, seconds: float) -> None:
        # Many, and as many as it takes: the first after each entry is enough.
        name = f"waiting {passed[-1]}" if not passed[-1].startswith("waiting") else ""
        if name:
            point(name)
        pause(self, seconds)

    Stored._store = storing  # type: ignore[method-assign]
    Target.acting = watched  # type: ignore[method-assign]
    Deadline.pause = waiting  # type: ignore[method-assign]
