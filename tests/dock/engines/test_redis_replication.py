"""A group of real Redis nodes without any cloud around it: who is primary after what."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from dock.addresses import Addresses, Pool
from dock.certificates import CertificateAuthority
from dock.engines.endpoints import Endpoints
from dock.engines.redis import Configuration, Fronts, Node, NodeError, Place, Replication, Topology, digest, installed
from dock.engines.supervisor import Supervisor
from dock.home import Home, unprivileged_user
from dock.store import Store

pytestmark = [pytest.mark.dock, pytest.mark.timeout(120)]
PORT = 6379


class Memory:
    """Keeps a topology in memory, and what happened."""

    def __init__(self, topology: Topology) -> None:
        self.now = topology
        self.events: list[str] = []

    def topology(self) -> Topology:
        return self.now

    def keep_primary(self, name: str, history: str | None) -> None:
        self.now = replace(self.now, primary=name, history=history)

    def happened(self, member: str | None, message: str) -> None:
        self.events.append(message)


class Group:
    """A replication group on a temporary home, as one daemon has it; `again()` is the next daemon's."""

    def __init__(self, home: Home, topology: Topology, *, tls: bool = False, name: str = "cache/a") -> None:
        home.create()
        self.home, self.name, self.tls = home, name, tls
        self.memory = Memory(topology)
        self.password = secrets.token_hex(16)
        self._open()

    def _open(self) -> None:
        self.store = Store(self.home.database)
        self.addresses = Addresses(self.store)
        self.authority = CertificateAuthority(self.home)
        self.supervisor = Supervisor(self.store, self.home.root)
        self.endpoints = Endpoints(self.home, self.supervisor)
        self.primary_address = self.addresses.allocate(Pool.CACHE_ENDPOINT, "primary")
        self.reader_address = self.addresses.allocate(Pool.CACHE_ENDPOINT, "reader")
        self.replication = Replication(
            self.name,
            self.folder,
            self.memory,
            self._make_node,
            Fronts(self.name, self.primary_address, self.reader_address, PORT),
            self.endpoints,
            self.supervisor,
            lambda work, name: asyncio.create_task(work, name=name),
        )

    @property
    def folder(self) -> Path:
        folder = self.home.data("redis")
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)
        return folder

    def _make_node(self, name: str) -> Node:
        address = self.addresses.allocate(Pool.NODE, name)
        user = unprivileged_user("redis")
        place = Place(
            f"{self.name}/{name}",
            address,
            PORT,
            self.tls,
            self.folder / name,
            self.home.logs / f"{name}.log",
            (address, self.primary_address, self.reader_address),
        )
        owner = (user.pw_uid, user.pw_gid) if user else None
        return Node(place, installed()[0], self.supervisor, self.authority, self.password, owner)

    async def begin(self) -> None:
        await self.endpoints.start()
        await self.replication.begin()
        await self.replication.settled(30)

    async def abandon(self) -> None:
        """What a SIGKILL of the daemon leaves: processes, and no one who looks after them."""
        await self.replication._end_watch()
        self.endpoints.detach()
        self.store.close()

    async def again(self) -> None:
        self._open()
        await self.begin()

    async def end(self) -> None:
        await self.replication.destroy()
        await self.endpoints.stop()
        self.store.close()

    def client(self, address: str | None = None, **options: Any) -> Redis:
        if self.tls:
            options |= {"ssl": True, "ssl_ca_certs": str(self.home.certificate_authority)}
        options |= {"retry": Retry(NoBackoff(), 0), "decode_responses": True}
        return Redis(host=address or self.primary_address, port=PORT, **options)

    def address(self, name: str) -> str:
        return self.replication.nodes[name].place.address

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        process = self.replication.nodes[name].process
        assert process is not None
        os.kill(process.pid, number)


async def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not (value := condition()) or (asyncio.iscoroutine(value) and not await value):
            await asyncio.sleep(0.02)


async def write_until_taken(group: Group, key: str, seconds: float = 15) -> float:
    """Write through the primary's endpoint until it is taken; returns how many seconds that took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        client = group.client(socket_timeout=1, socket_connect_timeout=1)
        try:
            await client.set(key, "yes")
            return time.monotonic() - began
        except (RedisError, OSError):
            await asyncio.sleep(0.01)
        finally:
            await client.aclose()
    raise AssertionError(f"no write was taken for {seconds} s; {group.memory.events}")


def topology(members: int, *, automatic_failover: bool = True, **configuration: Any) -> Topology:
    names = tuple(f"n{number}" for number in range(1, members + 1))
    return Topology(names, names[0], automatic_failover, Configuration(maxmemory=32 << 20, **configuration))


@pytest.fixture
async def make(home: Home) -> AsyncIterator[Callable[..., Any]]:
    groups: list[Group] = []

    async def build(wanted: Topology, **options: Any) -> Group:
        group = Group(home, wanted, **options)
        groups.append(group)
        await group.begin()
        return group

    yield build
    for group in groups:
        await asyncio.wait_for(group.end(), 30)


async def test_a_replica_takes_over_at_once_when_the_primary_is_killed(make: Any) -> None:
    group = await make(topology(3))
    await group.client().set("kept", "1")
    assert await group.client().wait(2, 5000) == 2
    group.kill("n1")
    outage = await write_until_taken(group, "after")
    assert outage < 5, group.memory.events
    assert group.memory.now.primary in {"n2", "n3"}, (outage, group.memory.events)
    assert await group.client().get("kept") == "1"
    await group.replication.settled(30)
    returned = await group.client(group.address("n1")).info("replication")
    assert returned["role"] == "slave"
    # Not what was written during the failover: a dying primary may have answered it, and what no replica has is lost.
    await group.client().set("later", "yes")
    assert await group.client().wait(2, 5000) == 2
    assert await group.client(group.address("n1")).get("later") == "yes"
    assert any(message.startswith("Failover from primary node n1 to replica node") for message in group.memory.events)
    print(f"without service: {outage:.3f} s")


async def test_the_replica_with_most_of_the_writes_is_promoted(make: Any) -> None:
    group = await make(topology(3))
    group.kill("n2", signal.SIGSTOP)
    for number in range(50):
        await group.client().set(f"key-{number}", "value")
    assert await group.client().wait(1, 5000) == 1
    group.kill("n1")
    group.kill("n2", signal.SIGCONT)
    await write_until_taken(group, "after")
    assert group.memory.now.primary == "n3" or await group.client().get("key-49") == "value"


async def test_without_automatic_failover_the_primary_comes_back_with_the_replicas_data(make: Any) -> None:
    group = await make(topology(2, automatic_failover=False))
    await group.client().set("unsaved", "1")
    assert await group.client().wait(1, 5000) == 1
    group.kill("n1")
    await write_until_taken(group, "after")
    assert group.memory.now.primary == "n1"
    assert await group.client().get("unsaved") == "1"
    await group.replication.settled(30)


async def test_a_stopped_group_starts_again_with_its_data(make: Any) -> None:
    group = await make(topology(2))
    await group.client().set("kept", "1")
    await group.replication.stop()
    assert not group.supervisor.find("cache/a/n1")
    await group.abandon()
    await group.again()
    assert await group.client().get("kept") == "1"
    assert group.memory.now.primary == "n1"


async def test_a_group_stops_also_when_it_cant_save_and_says_so(make: Any) -> None:
    group = await make(topology(1))
    await group.client().set("lost", "1")
    # As on a full disk, nothing can be written.
    (group.folder / "n1").chmod(0o500)
    await asyncio.wait_for(group.replication.stop(), 10)
    assert not group.supervisor.find("cache/a/n1")
    assert any("stopped without saving its data" in message for message in group.memory.events)


async def test_a_replica_takes_over_when_the_primary_cant_be_started_again(make: Any) -> None:
    group = await make(topology(2))
    await group.client().set("kept", "1")
    await group.replication.stop()
    await group.abandon()
    (group.folder / "n1" / "dump.rdb").write_bytes(b"not what Redis wrote")
    group._open()
    await group.endpoints.start()
    with pytest.raises(NodeError, match="n1 ended at its start"):
        await group.replication.begin()
    await write_until_taken(group, "after")
    assert group.memory.now.primary == "n2"
    assert await group.client().get("kept") == "1"
    # The broken data are of no use to a replica: it gets them anew.
    await group.replication.settled(40)


async def test_a_new_daemon_adopts_the_nodes_and_their_sessions_go_on(make: Any) -> None:
    group = await make(topology(2))
    session = group.client(single_connection_client=True)
    await session.set("before", "1")
    pids = {name: group.replication.nodes[name].process.pid for name in ("n1", "n2")}
    await group.abandon()
    await session.set("meanwhile", "1")
    await group.again()
    assert {name: group.replication.nodes[name].process.pid for name in ("n1", "n2")} == pids
    assert await session.get("meanwhile") == "1"
    await session.aclose()


async def test_a_primary_that_died_while_no_daemon_ran_is_replaced_when_one_starts(make: Any) -> None:
    group = await make(topology(2))
    await group.client().set("kept", "1")
    assert await group.client().wait(1, 5000) == 1
    pid = group.replication.nodes["n1"].process.pid
    await group.abandon()
    os.kill(pid, signal.SIGKILL)
    await group.again()
    assert group.memory.now.primary == "n2"
    assert await group.client().get("kept") == "1"


async def test_a_failover_that_was_cut_off_after_its_decision_is_carried_on(make: Any) -> None:
    group = await make(topology(3))
    pid = group.replication.nodes["n1"].process.pid
    await group.abandon()
    os.kill(pid, signal.SIGKILL)
    # What the daemon had kept when it was killed: n3 was chosen, nothing was done yet.
    group.memory.keep_primary("n3", group.memory.now.history)
    await group.again()
    assert group.memory.now.primary == "n3"
    info = await group.client().info("replication")
    assert (info["role"], info["connected_slaves"]) == ("master", 2)


async def test_a_planned_change_of_the_primary_loses_no_write(make: Any) -> None:
    group = await make(topology(2))
    written: list[int] = []
    running = True

    async def writer() -> None:
        number = 0
        while running:
            try:
                client = group.client(socket_timeout=1)
                async with client:
                    await client.set(f"key-{number}", number)
                written.append(number)
            except RedisError:
                pass
            number += 1

    task = asyncio.create_task(writer())
    await until(lambda: len(written) > 20)
    group.memory.now = replace(group.memory.now, primary="n2")
    await group.replication.converge()
    await group.replication.settled(20)
    count = len(written)
    await until(lambda: len(written) > count + 20)
    running = False
    await task
    found = await group.client().mget([f"key-{number}" for number in written])
    assert found == [str(number) for number in written]
    assert (await group.client().info("replication"))["role"] == "master"


async def test_a_rebooted_primary_comes_back_empty_and_empties_its_replicas(make: Any) -> None:
    group = await make(topology(2))
    await group.client().set("gone", "1")
    assert await group.client().wait(1, 5000) == 1
    await group.replication.reboot("n1")
    await group.replication.settled(30)
    assert group.memory.now.primary == "n1"
    assert await group.client(group.address("n2")).dbsize() == 0


async def test_a_primary_that_hangs_is_killed_and_replaced(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dock.engines.redis.nodes.HUNG_SECONDS", 3.0)
    group = await make(topology(2))
    group.kill("n1", signal.SIGSTOP)
    await write_until_taken(group, "after", 20)
    assert group.memory.now.primary == "n2"
    assert any("has not answered" in message for message in group.memory.events)


async def test_a_replica_that_dies_comes_back_and_the_reader_endpoint_answers_meanwhile(make: Any) -> None:
    group = await make(topology(2))
    await group.client().set("kept", "1")
    assert await group.client().wait(1, 5000) == 1
    role = (await group.client(group.reader_address).info("replication"))["role"]
    assert role == "slave"
    group.kill("n2")
    await until(lambda: any("n2 ended by signal 9" in message for message in group.memory.events))
    await until(lambda: group.replication.in_order)
    assert await group.client(group.reader_address).get("kept") == "1"


async def test_passwords_stand_in_no_file_and_are_asked_for_over_tls(make: Any) -> None:
    canary = f"canary-{secrets.token_hex(8)}"
    group = await make(topology(2, passwords=(digest(canary),), open_access=False), tls=True)
    assert await group.client(password=canary).ping()
    assert await group.client(group.address("n2"), password=canary).ping()
    with pytest.raises(RedisError, match=r"WRONGPASS|invalid"):
        await group.client(password="something-else").ping()
    plain = Redis(host=group.primary_address, port=PORT, password=canary, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    with pytest.raises((RedisConnectionError, TimeoutError)):
        await plain.ping()
    files = [path for path in group.home.root.rglob("*") if path.is_file()]
    assert any(path.name == "users.acl" for path in files)
    assert not [path for path in files if canary.encode() in path.read_bytes()]
    secret = [path for path in files if group.password.encode() in path.read_bytes()]
    assert {path.name for path in secret} == {"redis.conf"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)


async def test_dangerous_commands_are_refused_and_ordinary_ones_are_not(make: Any) -> None:
    group = await make(topology(1))
    client = group.client()
    for command in (
        "CONFIG GET *",
        "CONFIG SET maxmemory 0",
        "DEBUG SLEEP 0",
        "SHUTDOWN NOSAVE",
        "REPLICAOF NO ONE",
        "SLAVEOF NO ONE",
        "BGSAVE",
        "SAVE",
        "ACL LIST",
        "ACL SETUSER x",
        "CLUSTER RESET",
        "MIGRATE 127.0.0.1 1 k 0 1",
        "MODULE LIST",
        "FAILOVER",
        "BGREWRITEAOF",
    ):
        with pytest.raises(ResponseError, match=r"no permissions|not allowed"):
            await client.execute_command(*command.split())
    assert await client.execute_command("ACL", "WHOAMI") == "default"
    assert await client.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, "key", "value")
    assert await client.flushall()
    assert (await client.info())["role"] == "master"


async def test_a_taken_port_is_named(home: Home) -> None:
    group = Group(home, topology(1))
    address = group.addresses.allocate(Pool.NODE, "n1")
    blocker = await asyncio.start_server(lambda *_: None, address, PORT)
    try:
        await group.endpoints.start()
        with pytest.raises(NodeError, match="Address already in use"):
            await group.replication.converge()
    finally:
        blocker.close()
        await group.end()
