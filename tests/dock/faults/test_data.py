"""Faults of databases and caches: what is down stays down for as long as it is wanted, and is repaired after that."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dock.aws.elasticache import ElastiCache
from dock.aws.rds import Rds
from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.engines.postgres import cluster as postgres
from dock.faults.model import FaultError
from dock.faults.processes import is_stopped
from dock.home import Home
from tests.dock.conftest import call, running_cloud
from tests.dock.elasticache.conftest import User

pytestmark = pytest.mark.dock

PASSWORD = "Canary-7f3e-not-in-any-log"


@pytest.fixture
async def cloud(home: Home) -> AsyncIterator[Cloud]:
    async with running_cloud(home, [Rds, ElastiCache]) as running:
        yield running


async def until(there: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := await there()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.1)
    return found


class Database:
    """One instance, as its user has it."""

    def __init__(self, cloud: Cloud, identifier: str, account: str = ACCOUNTS[0]) -> None:
        self.cloud, self.identifier = cloud, identifier
        self.rds = cloud.client("rds", account, REGIONS[0])

    async def create(self, **settings: Any) -> None:
        await call(
            self.rds.create_db_instance,
            DBInstanceIdentifier=self.identifier,
            DBInstanceClass="db.t4g.micro",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="captain",
            MasterUserPassword=PASSWORD,
            BackupRetentionPeriod=0,
            **settings,
        )
        await self.status("available")

    async def describe(self) -> dict[str, Any]:
        found = await call(self.rds.describe_db_instances, DBInstanceIdentifier=self.identifier)
        return dict(found["DBInstances"][0])

    async def status(self, wanted: str, seconds: float = 60) -> None:
        async def there() -> bool:
            return bool((await self.describe())["DBInstanceStatus"] == wanted)

        await until(there, seconds, f"{self.identifier} is {wanted}")

    async def events(self) -> str:
        found = await call(self.rds.describe_events, SourceIdentifier=self.identifier, SourceType="db-instance")
        return "\n".join(event["Message"] for event in found["Events"])

    async def query(self, text: str = "SELECT 1", timeout: int = 3) -> Any:
        endpoint = (await self.describe())["Endpoint"]
        async with asyncio.timeout(timeout + 1):
            connection = await psycopg.AsyncConnection.connect(
                host=endpoint["Address"], port=endpoint["Port"], user="captain", password=PASSWORD,
                dbname="postgres", sslmode="require", connect_timeout=timeout,
            )  # fmt: skip
            async with connection:
                row = await (await connection.execute(text)).fetchone()
        assert row is not None
        return row[0]

    async def answers(self) -> bool:
        try:
            return bool(await self.query())
        except (psycopg.Error, TimeoutError):
            return False

    def pid(self, role: str) -> int | None:
        entry = next(each for each in self.cloud.service(Rds).status() if each["name"] == self.identifier)
        pid: int | None = next((node["pid"] for node in entry["nodes"] if node["role"] == role), None)
        return pid


async def test_a_primary_without_a_standby_is_down_until_its_fault_ends_by_itself(cloud: Cloud) -> None:
    database = Database(cloud, "alone")
    await database.create()
    before = database.pid("primary")
    fault = await cloud.faults.add({"kind": "engine-down", "target": "alone", "seconds": 4})
    assert fault["target"] == "database/alone"
    assert database.pid("primary") is None
    await database.status("failed")
    assert not await database.answers()
    assert any("keeps it down" in str(entry.get("problem")) for entry in cloud.service(Rds).status())
    await until(lambda: _ended(cloud), 6, "the fault ends")
    await until(database.answers, 30, "the database answers")
    await database.status("available")
    assert database.pid("primary") not in (None, before)

    # A kill alone is repaired at once.
    before = database.pid("primary")
    await cloud.faults.add({"kind": "engine-killed", "target": "database/alone"})
    assert cloud.faults.shown() == []
    await until(database.answers, 30, "the database answers")
    assert database.pid("primary") != before


async def _ended(cloud: Cloud) -> bool:
    return not cloud.faults.shown()


async def test_a_zone_that_is_lost_fails_over_and_gets_nothing_until_it_is_back(cloud: Cloud) -> None:
    database = Database(cloud, "pair")
    await database.create(MultiAZ=True)

    async def protected() -> str | None:
        return (await database.describe()).get("SecondaryAvailabilityZone")

    lost = (await database.describe())["AvailabilityZone"]
    await until(protected, 60, "a synchronous standby")
    fault = await cloud.faults.add({"kind": "zone-down", "zone": lost})
    await until(database.answers, 30, "the other zone answers")
    assert (await database.describe())["AvailabilityZone"] != lost
    # Nothing new comes up there, and nobody claims to be protected.
    await asyncio.sleep(3)
    assert database.pid("standby") is None
    assert await protected() is None
    assert cloud.faults.zone_is_down(ACCOUNTS[0], lost)
    await cloud.faults.clear(fault["id"])
    assert await until(protected, 60, "the standby is built again") == lost


async def test_a_hung_primary_without_a_standby_is_ended_and_started_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SILENCE_SECONDS", 2.0)
    monkeypatch.setattr(postgres, "_PROBE_SECONDS", 1.0)
    database = Database(cloud, "hangs")
    await database.create()
    before = database.pid("primary")
    assert before is not None
    os.kill(before, signal.SIGSTOP)
    await until(database.answers, 40, "the database answers again")
    assert database.pid("primary") not in (None, before)
    assert "it has not answered for" in await database.events()
    assert "Recovery of the DB instance is complete" in await database.events()


async def test_a_cache_node_that_hangs_is_awake_again_after_its_fault(cloud: Cloud) -> None:
    user = User(cloud)
    group = await user.create("sessions", nodes=1)
    client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"])
    await client.set("a", "1")
    fault = await cloud.faults.add({"kind": "engine-hung", "target": "sessions", "seconds": 60})
    (process,) = [process for process in cloud.supervisor.running() if process.name.startswith("elasticache/")]
    assert is_stopped(process.pid)
    with pytest.raises(RedisTimeoutError):
        await client.get("a")
    await cloud.faults.clear(fault["id"])
    assert not is_stopped(process.pid)
    assert await client.get("a") == "1"

    await cloud.faults.add({"kind": "engine-down", "target": "cache/sessions", "part": "all", "seconds": 2})
    with pytest.raises(RedisConnectionError):
        await client.get("a")
    await until(lambda: _ended(cloud), 5, "the fault ends")

    async def back() -> bool:
        try:
            return bool(await client.ping())
        except (RedisConnectionError, RedisTimeoutError):
            return False

    await until(back, 10, "the cache answers")


async def test_the_network_to_a_cache_is_slow_or_silent_or_refuses(cloud: Cloud) -> None:
    user = User(cloud)
    group = await user.create("network", nodes=1)
    endpoint = group["NodeGroups"][0]["PrimaryEndpoint"]
    client = user.connect(endpoint)
    await client.set("a", "1")

    fault = await cloud.faults.add({"kind": "network-slow", "target": "network", "latency": 0.15})
    with pytest.raises(FaultError, match="has the fault f-1 already"):
        await cloud.faults.add({"kind": "network-refused", "target": "network"})
    # The session that was open is closed; the next one is slow, there and back.
    await client.aclose()
    await client.ping()
    began = time.monotonic()
    assert await client.get("a") == "1"
    assert 0.3 <= time.monotonic() - began < 1
    large = "x" * 3_000_000
    await client.set("large", large)
    assert await client.get("large") == large
    await cloud.faults.clear(fault["id"])
    await client.aclose()
    began = time.monotonic()
    assert await client.get("a") == "1"
    assert time.monotonic() - began < 0.2

    fault = await cloud.faults.add({"kind": "network-blackhole", "target": "network"})
    await client.aclose()
    with pytest.raises(RedisTimeoutError):
        await client.get("a")
    await cloud.faults.clear(fault["id"])
    await client.aclose()
    assert await client.get("a") == "1"

    await cloud.faults.add({"kind": "network-refused", "target": "network", "seconds": 1})
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(endpoint["Address"], endpoint["Port"])
    await until(lambda: _ended(cloud), 5, "the fault ends")
    await client.aclose()
    assert await client.get("a") == "1"


async def test_faults_outlive_the_daemon_and_what_hung_is_down_when_the_next_one_comes(home: Home) -> None:
    async with running_cloud(home, [Rds, ElastiCache]) as first:
        user = User(first)
        await user.create("kept", nodes=1)
        await first.faults.add({"kind": "engine-hung", "target": "kept", "seconds": 60})
        await first.faults.add({"kind": "api-throttled", "service": "rds", "seconds": 60})
        await first.faults.add({"kind": "api-slow", "service": "rds", "latency": 1, "seconds": 0.5})
        await first.leave()
        await asyncio.sleep(0.5)  # the last one's time is up while no daemon runs
        async with running_cloud(home, [Rds, ElastiCache]) as second:
            assert [fault["kind"] for fault in second.faults.shown()] == ["engine-hung", "api-throttled"]
            assert [process.name for process in second.supervisor.running() if "kept" in process.name] == []
            # What `drydock fault clear` leaves for a daemon that doesn't answer.
            (home.run / "faults.clear").write_text('{"all": true}')
            await until(lambda: _ended(second), 5, "every fault ends")
            group = await User(second).available("kept")
            client = User(second).connect(group["NodeGroups"][0]["PrimaryEndpoint"])
            assert await client.ping()
            await client.aclose()
