from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.providers.fakes import served


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing answers where the shell says that the dock is."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "000000000001")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dock")


@pytest.fixture
def client(offline: None) -> Iterator[Any]:
    """The engine's side of a plugin whose dock is not running."""
    with served() as stub:
        yield stub
