"""What is left when the daemon, a node, or the disk fails at a bad moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dock.addresses import Pool
from dock.aws.elasticache import ElastiCache
from dock.cloud import ACCOUNTS, REGIONS
from dock.home import Home
from tests.dock.conftest import running_cloud
from tests.dock.elasticache.conftest import User, primary_of, write_until_taken

pytestmark = [pytest.mark.dock, pytest.mark.timeout(180)]
DAEMON = Path(__file__).with_name("daemon.py")
OWNER = f"elasticache/{ACCOUNTS[0]}/{REGIONS[0]}/cache"


class Killable:
    """A daemon in a process of its own."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.url = ""

    async def __aenter__(self) -> Killable:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            DAEMON,
            self.home.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(DAEMON.parents[3])},
        )
        assert self._process.stdout is not None
        self.url = (await asyncio.wait_for(self._process.stdout.readline(), 60)).decode().strip()
        assert self.url.startswith("http://127.")
        return self

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.wait_for(self._process.wait(), 10)

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    def client(self, service: str, account: str, region: str) -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="dock",
        )


@asynccontextmanager
async def adopting(home: Home) -> AsyncIterator[User]:
    """The next daemon, in this process, which stops everything at the end."""
    async with running_cloud(home, [ElastiCache]) as cloud:
        yield User(cloud)


def node(user: User, member: str) -> int:
    process = user.cloud.supervisor.find(f"{OWNER}/{member}")
    assert process is not None
    return process.pid


async def test_down_and_up_keep_the_data_the_addresses_and_the_token(home: Home) -> None:
    async with adopting(home) as user:
        before = await user.create("cache", 2)
        await user.connect(before["NodeGroups"][0]["PrimaryEndpoint"]).set("kept", "1")
    async with adopting(home) as user:
        after = await user.available("cache")
        assert after["NodeGroups"] == before["NodeGroups"]
        assert await user.connect(after["NodeGroups"][0]["PrimaryEndpoint"]).get("kept") == "1"


async def test_nodes_go_on_without_the_daemon_and_are_adopted(home: Home) -> None:
    async with Killable(home) as daemon:
        user = User(daemon)  # type: ignore[arg-type]
        group = await user.create("cache", 2)
        endpoint = group["NodeGroups"][0]["PrimaryEndpoint"]
        client = user.connect(endpoint)
        await client.set("before", "1")
        await daemon.kill()
        await client.set("meanwhile", "1")
    async with adopting(home) as user:
        assert (await user.available("cache"))["NodeGroups"] == group["NodeGroups"]
        assert await client.get("meanwhile") == "1"
        assert not [event for event in await user.events() if "ended" in event]


async def test_a_primary_that_dies_while_no_daemon_runs_is_replaced_by_the_next(home: Home) -> None:
    async with Killable(home) as daemon:
        user = User(daemon)  # type: ignore[arg-type]
        group = await user.create("cache", 2)
        client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"])
        await client.set("kept", "1")
        await client.wait(1, 5000)
        pid = int((await client.info("server"))["process_id"])
        await daemon.kill()
        os.kill(pid, signal.SIGKILL)
    async with adopting(home) as user:
        await write_until_taken(client, "after")
        assert primary_of(await user.available("cache")) == "cache-002"
        assert await client.get("kept") == "1"


@pytest.mark.parametrize("delay", [0.0, 0.15, 0.4])
async def test_a_creation_that_was_cut_off_is_carried_on(home: Home, delay: float) -> None:
    async with Killable(home) as daemon:
        user = User(daemon)  # type: ignore[arg-type]
        await user.begin("cache", 3)
        await asyncio.sleep(delay)
        await daemon.kill()
    async with adopting(home) as user:
        group = await user.available("cache")
        client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"])
        assert (await client.info("replication"))["connected_slaves"] == 2
        names = [process.name for process in user.cloud.supervisor.running() if process.name.startswith(OWNER)]
        assert sorted(names) == [f"{OWNER}/cache-00{number}" for number in (1, 2, 3)]


@pytest.mark.parametrize("delay", [0.0, 0.1])
async def test_a_deletion_that_was_cut_off_is_carried_on_with_its_final_snapshot(home: Home, delay: float) -> None:
    async with Killable(home) as daemon:
        user = User(daemon)  # type: ignore[arg-type]
        group = await user.create("cache", 2)
        await user.connect(group["NodeGroups"][0]["PrimaryEndpoint"]).set("kept", "1")
        await user.ask("delete_replication_group", ReplicationGroupId="cache", FinalSnapshotIdentifier="final")
        await asyncio.sleep(delay)
        await daemon.kill()
    async with adopting(home) as user:
        await user.gone("cache")
        (snapshot,) = (await user.ask("describe_snapshots"))["Snapshots"]
        assert snapshot["SnapshotStatus"] == "available"
        assert not [process for process in user.cloud.supervisor.running() if process.name.startswith(OWNER)]
        assert not (home.data("elasticache") / "groups" / ACCOUNTS[0] / REGIONS[0] / "cache").exists()
        group = await user.create("again", 1, SnapshotName="final")
        assert await user.connect(group["NodeGroups"][0]["PrimaryEndpoint"]).get("kept") == "1"


async def test_a_failover_that_was_cut_off_is_carried_on_with_one_primary(home: Home) -> None:
    async with Killable(home) as daemon:
        user = User(daemon)  # type: ignore[arg-type]
        group = await user.create("cache", 3)
        client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"])
        await client.set("kept", "1")
        await client.wait(2, 5000)
        await user.ask("test_failover", ReplicationGroupId="cache", NodeGroupId="0001")
        await daemon.kill()
    async with adopting(home) as user:
        group = await user.available("cache")
        await write_until_taken(client, "after")
        roles = []
        for member in group["NodeGroups"][0]["NodeGroupMembers"]:
            info = await user.connect(member["ReadEndpoint"]).info("replication")
            roles.append((info["role"], member["CurrentRole"]))
        assert sorted(roles) == [("master", "primary"), ("slave", "replica"), ("slave", "replica")]
        assert await client.get("kept") == "1"


async def test_a_lone_node_that_is_killed_comes_back_in_place(home: Home) -> None:
    async with adopting(home) as user:
        group = await user.create("cache", 1)
        client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"])
        await client.set("saved", "1")
        await user.ask("create_snapshot", ReplicationGroupId="cache", SnapshotName="saves-it")
        await user.available("cache")
        await client.set("since-then", "1")
        os.kill(node(user, "cache-001"), signal.SIGKILL)
        await write_until_taken(client, "after")
        await user.available("cache")
        # What came after the last save is gone; docs say how much that can be.
        assert await client.mget("saved", "since-then") == ["1", None]


async def test_a_taken_port_fails_the_creation_and_a_deletion_cleans_up(home: Home) -> None:
    async with adopting(home) as user:
        address = user.cloud.addresses.allocate(Pool.NODE, f"{OWNER}/cache-001")
        blocker = await asyncio.start_server(lambda *_: None, address, 6379)
        try:
            await user.begin("cache", 1)
            await user.available("cache", status="create-failed")
            assert any("Address already in use" in event for event in await user.events())
            (entry, _) = user.cloud.service(ElastiCache).status()
            assert (entry["state"], "Address already in use" in entry["problem"]) == ("create-failed", True)
            with pytest.raises(ClientError, match="InvalidReplicationGroupState"):
                await user.ask("modify_replication_group", ReplicationGroupId="cache", ApplyImmediately=True)
            await user.ask("delete_replication_group", ReplicationGroupId="cache")
            await user.gone("cache")
        finally:
            blocker.close()
        await user.create("cache", 1)


async def test_a_missing_server_is_named_with_what_to_install(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    async with adopting(home) as user:
        monkeypatch.setattr("dock.engines.redis.server.shutil.which", lambda _: None)
        with pytest.raises(ClientError, match="install the package redis-server"):
            await user.begin("cache")
        with pytest.raises(user.elasticache.exceptions.ReplicationGroupNotFoundFault):
            await user.group("cache")


async def test_a_cache_that_cant_be_saved_goes_on_is_reported_and_is_not_deleted_without_its_snapshot(
    home: Home,
) -> None:
    async with adopting(home) as user:
        group = await user.create("cache", 1)
        client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"])
        # A full disk and a folder that can't be written to are the same to Redis.
        folder = home.data("elasticache") / "groups" / ACCOUNTS[0] / REGIONS[0] / "cache" / "cache-001"
        folder.chmod(0o500)
        await user.ask("delete_replication_group", ReplicationGroupId="cache", FinalSnapshotIdentifier="final")
        await user.available("cache")
        assert any("was not deleted" in event and "Permission denied" in event for event in await user.events())
        assert (await user.ask("describe_snapshots"))["Snapshots"] == []
        assert await client.set("still", "here")
        service = user.cloud.service(ElastiCache)
        async with asyncio.timeout(10):
            while "can't be saved" not in (service.status()[1]["problem"] or ""):
                await asyncio.sleep(0.05)
        folder.chmod(0o700)
        await user.ask("create_snapshot", ReplicationGroupId="cache", SnapshotName="after")
        await user.available("cache")
        async with asyncio.timeout(10):
            while service.status()[1]["problem"]:
                await asyncio.sleep(0.05)
