"""CloudWatch behind a front door of its own, with a clock that tests set: no engine runs, nothing waits."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from dock.addresses import FRONT_DOOR_PORT, Addresses
from dock.aws.cloudwatch import CloudWatch
from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.home import Home
from dock.store import EVERYWHERE, Scope, Store

# 2026-03-02 12:00:00 UTC, a Monday.
NOON = 1772452800.0
SCOPE = Scope(ACCOUNTS[0], REGIONS[0])


class Bench:
    """The service, a boto3 client of it, its clock, and what its alarms notified."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.service = cloud.service(CloudWatch)
        self.at = NOON
        self.service.now = lambda: self.at  # type: ignore[method-assign]
        self.notified: list[tuple[str, dict[str, Any]]] = []
        self.failing: set[str] = set()
        self.service.register_action("arn:aws:sns:", self._notify)
        self.client: Any = boto3.client(
            "cloudwatch",
            endpoint_url=cloud.url,
            region_name=SCOPE.region,
            aws_access_key_id=SCOPE.account,
            aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}),
        )

    async def _notify(self, scope: Scope, arn: str, notification: dict[str, Any]) -> None:
        if arn in self.failing:
            raise ConnectionError("the topic is not there")
        self.notified.append((arn, notification))

    async def call(self, operation: str, **parameters: Any) -> Any:
        """A boto3 call, off the event loop on which the front door answers."""
        return await asyncio.to_thread(getattr(self.client, operation), **parameters)

    async def round(self, at: float) -> None:
        """The end of the periods at a time: the clock moves there, and the alarms that are due are evaluated."""
        self.at = at + 1
        await self.service.watch.round(int(at))
        await self.service.actions.settled()

    async def alarm(self, name: str) -> dict[str, Any]:
        """An alarm's description, of either kind."""
        answer = await self.call("describe_alarms", AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        found = [*answer["MetricAlarms"], *answer["CompositeAlarms"]]
        return dict(found[0])

    async def state(self, name: str) -> str:
        return str((await self.alarm(name))["StateValue"])


@pytest.fixture(scope="session")
def block(tmp_path_factory: pytest.TempPathFactory) -> int:
    """One loopback block for all tests here, which run one after the other: there are not enough for one each."""
    store = Store(tmp_path_factory.mktemp("block") / "dock.sqlite")
    octet = Addresses(store).octet
    store.close()
    return octet


@pytest.fixture
def quick_home() -> Iterator[Home]:
    """A home in memory, where there is one: these tests are many, and durability is not what they are about."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="drydock-", dir=memory if memory.is_dir() else None) as root:
        yield Home(Path(root) / "home")


@pytest.fixture
async def bench(quick_home: Home, block: int) -> AsyncIterator[Bench]:
    home = quick_home
    home.create()
    store = Store(home.database)
    store.table("setting").put(EVERYWHERE, "block", {"octet": block})
    store.close()
    cloud = Cloud(home, [CloudWatch])
    await cloud.front_door.start(cloud.addresses.front_door, FRONT_DOOR_PORT)
    cloud.front_door.services_started()
    made = Bench(cloud)
    try:
        yield made
    finally:
        await made.service.stop()
        await cloud.front_door.stop()
        made.service.archive.close()
        cloud.store.close()


def topic(name: str) -> str:
    return f"arn:aws:sns:{SCOPE.region}:{SCOPE.account}:{name}"
