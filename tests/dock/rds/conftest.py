"""Docks and instances that a module's tests share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dock.rds.rig import Dock, Instance, create, end_what_is_left


@pytest.fixture(scope="module")
def dock() -> Iterator[Dock]:
    """Shared by a module's tests, which use instances of their own or leave the shared one as they found it."""
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    dock = Dock(root / "home")
    try:
        dock.start()
        yield dock
    finally:
        dock.stop()
        end_what_is_left(root)
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def instance(dock: Dock) -> Instance:
    """A Single-AZ instance with backups."""
    made = create(dock, "single", BackupRetentionPeriod=1)
    made.wait()
    return made
