"""`drydock up` that is killed half-way: the next one carries on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.rehearsals.environment import PROJECT, Environment, clean, drydock, until

pytestmark = [pytest.mark.dock, pytest.mark.engine, pytest.mark.timeout(900)]


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="drydock-rehearsal-"))
    folder.chmod(0o711)
    yield folder / "home"
    drydock(folder / "home", "down", check=False)
    shutil.rmtree(folder, ignore_errors=True)


def test_an_up_that_was_killed_with_its_engine_is_carried_on_by_the_next(home: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-m", "drydock", "up", "--no-application"],
        cwd=PROJECT,
        env=clean(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = home / "logs" / "pulumi.log"
    until(
        lambda: log.exists() and "aws:rds:Instance chatvrm-local-database-instance creating" in log.read_text(), 120, ""
    )
    engine = [child for child in psutil.Process(first.pid).children() if child.name() == "pulumi"]
    for process in [*engine, psutil.Process(first.pid)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            os.kill(process.pid, signal.SIGKILL)
    first.wait(10)

    drydock(home, "up", "--no-application")

    environment = Environment.attach(home)
    environment.run("pulumi preview --stack local --refresh --expect-no-changes")
    (instance,) = environment.json("aws rds describe-db-instances")["DBInstances"]
    assert instance["DBInstanceStatus"] == "available"
