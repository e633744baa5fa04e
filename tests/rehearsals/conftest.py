from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rehearsals.environment import Environment, drydock


@pytest.fixture(scope="session")
def environment() -> Iterator[Environment]:
    """`drydock up` in a home of its own; everything is ended and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="drydock-rehearsal-"))
    # PostgreSQL's unprivileged user walks through here.
    folder.chmod(0o711)
    home = folder / "home"
    try:
        drydock(home, "up")
        yield Environment.attach(home)
    finally:
        drydock(home, "down", check=False)
        shutil.rmtree(folder, ignore_errors=True)
