"""A dock of the test's own: a temporary home, a loopback block of its own, stopped and removed afterwards."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dock.aws.service import Service
from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.home import Home

CloudFactory = Callable[[list[type[Service]]], Any]


@pytest.fixture
def home() -> Any:
    """A home that unprivileged engines can reach: below a folder that others may walk through, with a short path."""
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    yield Home(root / "home")
    shutil.rmtree(root, ignore_errors=True)


@asynccontextmanager
async def running_cloud(home: Home, services: list[type[Service]]) -> AsyncIterator[Cloud]:
    """A started cloud with these services; everything is stopped at the end, also when a test failed."""
    cloud = Cloud(home, services)
    try:
        await asyncio.wait_for(cloud.start(), 120)
        yield cloud
    finally:
        await cloud.stop()


async def call(method: Callable[..., Any], **parameters: Any) -> Any:
    """A boto3 call, off the event loop on which the cloud runs."""
    return await asyncio.to_thread(method, **parameters)


@pytest.fixture
def account() -> str:
    return ACCOUNTS[0]


@pytest.fixture
def region() -> str:
    return REGIONS[0]
