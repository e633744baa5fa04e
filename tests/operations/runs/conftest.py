from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from operations.runs.store import Store
from tests.operations.runs.dock import Dock, running


@pytest.fixture(scope="session")
def dock() -> Iterator[Dock]:
    with running() as dock:
        yield dock


@pytest.fixture
def store(dock: Dock) -> Store:
    return dock.store()


@pytest.fixture
def name() -> str:
    """The name of an environment, or of a run, that no other test uses."""
    return f"test/{uuid.uuid4().hex[:8]}"
