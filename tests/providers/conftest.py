from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import boto3
import pytest

from dock.aws.backup import Backup
from dock.aws.cloudtrail import CloudTrail
from dock.aws.cloudwatch import CloudWatch
from dock.aws.ecr import Ecr
from dock.aws.logs import Logs
from dock.aws.route53 import Route53
from dock.cloud import Cloud
from dock.home import Home
from tests.providers.fakes import served
from tests.providers.project import Project


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


@pytest.fixture(scope="session")
def dock_url() -> Iterator[str]:
    """A running dock with its front door, its emulator and the services that need no engine."""
    root = Path(tempfile.mkdtemp(prefix="drydock-providers-"))
    root.chmod(0o711)
    started: Queue[str | BaseException] = Queue()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def live() -> None:
        cloud = Cloud(Home(root / "home"), [CloudWatch, Logs, Ecr, Route53, Backup, CloudTrail])
        try:
            await asyncio.wait_for(cloud.start(), 60)
            started.put(cloud.url)
            await ended.wait()
        except BaseException as problem:
            started.put(problem)
        finally:
            await cloud.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()), daemon=True)
    thread.start()
    try:
        answer = started.get(timeout=90)
        if isinstance(answer, BaseException):
            raise answer
        yield answer
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(timeout=30)
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def project(dock_url: str, tmp_path: Path) -> Project:
    return Project.make(tmp_path / "project", dock_url)


@pytest.fixture
def api(dock_url: str) -> Any:
    """boto3's client of a service, as somebody else who works on the dock has it."""

    def client(service: str, region: str = "us-east-1") -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=dock_url,
            aws_access_key_id="000000000001",
            aws_secret_access_key="dock",
        )

    return client
