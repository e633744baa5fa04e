"""Endpoints, as a client of a database sees them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dock.engines.endpoints import Endpoint, Endpoints, render
from dock.engines.haproxy import AddressTaken
from dock.engines.supervisor import Supervisor
from dock.home import Home
from dock.store import Store

BLOCK = f"127.{random.randint(10, 60)}.{random.randint(0, 250)}"


def test_a_closed_endpoint_keeps_its_listener_and_disables_its_target() -> None:
    text = render(
        [
            Endpoint("rds/db-A", "127.65.2.1", 5432, ("127.65.4.1", 5432)),
            Endpoint("cache/c", "127.65.3.1", 6379, None),
        ]
    )
    assert "listen rds-db-A-" in text
    assert "    bind 127.65.2.1:5432\n    server target 127.65.4.1:5432\n" in text
    assert "    bind 127.65.3.1:6379\n    server target 127.0.0.1:1 disabled\n" in text


def test_owners_that_differ_in_punctuation_alone_get_proxies_of_their_own() -> None:
    assert Endpoint("a/b", "127.0.0.1", 1, None).proxy != Endpoint("a-b", "127.0.0.1", 1, None).proxy


class Echo:
    """A server that says its name and then repeats what it hears."""

    def __init__(self, name: str, address: str, port: int = 5432) -> None:
        self.name, self.address, self.port = name, address, port

    async def __aenter__(self) -> tuple[str, int]:
        self._server = await asyncio.start_server(self._serve, self.address, self.port)
        return self.address, self.port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(f"{self.name}\n".encode())
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def served(home: Home, *, leave: bool = False) -> AsyncIterator[Endpoints]:
    home.create()
    store = Store(home.database)
    endpoints = Endpoints(home, Supervisor(store, home.root))
    try:
        await endpoints.start()
        yield endpoints
    finally:
        if leave:
            endpoints.detach()
        else:
            await endpoints.stop()
        store.close()


async def greeting(address: str, port: int = 5432) -> str:
    """What the endpoint's server says first; empty when the connection is closed or refused."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(address, port)
            line = await reader.readline()
            writer.close()
            return line.decode().strip()
    except OSError:
        return ""


async def eventually(check: Callable[[], Awaitable[Any]], wanted: Any, seconds: float = 5) -> float:
    began = time.monotonic()
    while (found := await check()) != wanted:
        assert time.monotonic() - began < seconds, f"{found!r}, expected {wanted!r}"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.dock
async def test_a_retarget_closes_old_sessions_and_sends_new_ones_to_the_new_target(home: Home) -> None:
    async with (
        served(home) as endpoints,
        Echo("one", f"{BLOCK}.11") as one,
        Echo("two", f"{BLOCK}.12") as two,
    ):
        await endpoints.publish("rds/a", f"{BLOCK}.1", 5432, one)
        reader, writer = await asyncio.open_connection(f"{BLOCK}.1", 5432)
        assert await reader.readline() == b"one\n"
        began = time.monotonic()
        await endpoints.retarget("rds/a", two)
        assert await greeting(f"{BLOCK}.1") == "two"
        assert time.monotonic() - began < 1
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()


@pytest.mark.dock
async def test_without_a_target_connections_are_closed_at_once_and_come_back_with_one(home: Home) -> None:
    async with served(home) as endpoints, Echo("one", f"{BLOCK}.13") as one:
        await endpoints.publish("rds/a", f"{BLOCK}.2", 5432, one)
        await endpoints.retarget("rds/a", None)
        began = time.monotonic()
        assert await greeting(f"{BLOCK}.2") == ""
        assert time.monotonic() - began < 1
        await endpoints.retarget("rds/a", one)
        assert await greeting(f"{BLOCK}.2") == "one"


@pytest.mark.dock
async def test_publishing_another_endpoint_leaves_open_sessions_alone_yet_a_later_retarget_closes_them(
    home: Home,
) -> None:
    async with served(home) as endpoints, Echo("one", f"{BLOCK}.14") as one:
        await endpoints.publish("rds/a", f"{BLOCK}.3", 5432, one)
        reader, writer = await asyncio.open_connection(f"{BLOCK}.3", 5432)
        assert await reader.readline() == b"one\n"
        for number in range(4):
            await endpoints.publish(f"rds/{number}", f"{BLOCK}.{50 + number}", 5432, one)
        writer.write(b"still here\n")
        assert await asyncio.wait_for(reader.readline(), 2) == b"still here\n"
        await endpoints.retarget("rds/a", None)
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()


@pytest.mark.dock
async def test_a_killed_haproxy_is_back_within_a_second_with_the_same_targets(home: Home) -> None:
    async with (
        served(home) as endpoints,
        Echo("one", f"{BLOCK}.15") as one,
        Echo("two", f"{BLOCK}.16") as two,
    ):
        await endpoints.publish("rds/a", f"{BLOCK}.4", 5432, one)
        await endpoints.publish("rds/b", f"{BLOCK}.5", 5432, one)
        await endpoints.retarget("rds/a", two)
        await endpoints.retarget("rds/b", None)
        process = endpoints._haproxy.pid
        assert process is not None
        os.kill(process, signal.SIGKILL)
        took = await eventually(lambda: greeting(f"{BLOCK}.4"), "two")
        assert took < 1
        assert await greeting(f"{BLOCK}.5") == ""


@pytest.mark.dock
async def test_a_new_daemon_adopts_the_endpoints_and_their_sessions(home: Home) -> None:
    async with Echo("one", f"{BLOCK}.17") as one, Echo("two", f"{BLOCK}.18") as two:
        async with served(home, leave=True) as endpoints:
            await endpoints.publish("rds/a", f"{BLOCK}.6", 5432, one)
            pid = endpoints._haproxy.pid
            reader, writer = await asyncio.open_connection(f"{BLOCK}.6", 5432)
            assert await reader.readline() == b"one\n"
        async with served(home) as endpoints:
            assert endpoints._haproxy.pid == pid
            writer.write(b"hello\n")
            assert await asyncio.wait_for(reader.readline(), 2) == b"hello\n"
            await endpoints.publish("rds/a", f"{BLOCK}.6", 5432, two)
            assert await greeting(f"{BLOCK}.6") == "two"
            writer.close()


@pytest.mark.dock
async def test_a_mapping_that_was_kept_but_not_yet_done_is_done_by_the_next_daemon(home: Home) -> None:
    async with Echo("one", f"{BLOCK}.19") as one, Echo("two", f"{BLOCK}.20") as two:
        async with served(home, leave=True) as endpoints:
            await endpoints.publish("rds/a", f"{BLOCK}.7", 5432, one)
            endpoints._keep({"rds/a": Endpoint("rds/a", f"{BLOCK}.7", 5432, two)})
        async with served(home):
            assert await greeting(f"{BLOCK}.7") == "two"


@pytest.mark.dock
async def test_a_taken_port_is_named_and_leaves_everything_as_it_was(home: Home) -> None:
    async with served(home) as endpoints, Echo("one", f"{BLOCK}.21") as one, Echo("other", f"{BLOCK}.22"):
        with pytest.raises(AddressTaken, match=rf"{BLOCK}\.22:5432"):
            await endpoints.publish("rds/first", f"{BLOCK}.22", 5432, one)
        await endpoints.publish("rds/a", f"{BLOCK}.8", 5432, one)
        with pytest.raises(AddressTaken, match=rf"{BLOCK}\.22:5432"):
            await endpoints.publish("rds/b", f"{BLOCK}.22", 5432, one)
        assert await greeting(f"{BLOCK}.8") == "one"
        assert [entry["name"] for entry in endpoints.status()] == ["rds/a"]


@pytest.mark.dock
async def test_a_withdrawn_endpoint_is_refused_and_the_last_one_ends_haproxy(home: Home) -> None:
    async with served(home) as endpoints, Echo("one", f"{BLOCK}.23") as one:
        await endpoints.publish("rds/a", f"{BLOCK}.9", 5432, one)
        await endpoints.publish("rds/b", f"{BLOCK}.10", 5432, one)
        await endpoints.withdraw("rds/a")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(f"{BLOCK}.9", 5432)
        assert await greeting(f"{BLOCK}.10") == "one"
        await endpoints.withdraw("rds/b")
        assert not endpoints._haproxy.alive
        await endpoints.publish("rds/c", f"{BLOCK}.10", 5432, one)
        assert await greeting(f"{BLOCK}.10") == "one"
