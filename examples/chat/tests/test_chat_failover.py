"""Behind an endpoint that follows the primary, as RDS and ElastiCache have it: what users see of a failover."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
import uuid
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.dock


class Endpoint:
    """A TCP proxy with a fixed address whose target can be changed; then its connections are cut."""

    def __init__(self, target: int) -> None:
        self.target: int | None = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self.port = starting.result(5).sockets[0].getsockname()[1]

    def lead_to(self, target: int | None) -> None:
        self.target = target
        self._loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in self._writers])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.target is None:
                return
            with contextlib.suppress(OSError):
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.target)
                self._writers.add(inner_writer)
                await asyncio.gather(self._copy(reader, inner_writer), self._copy(inner_reader, writer))
        finally:
            writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


class Poster(threading.Thread):
    """Somebody who posts without a pause, sends again what was not acknowledged, and notes what they saw."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        super().__init__(daemon=True)
        self.client, self.path = client, path
        self.acknowledged: list[int] = []
        self.failures: list[tuple[float, int]] = []
        self.slowest = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        message = None
        while not self.ended.is_set():
            message = message or {"client_id": str(uuid.uuid4()), "text": f"message {len(self.acknowledged)}"}
            started = time.monotonic()
            answer = self.client.post(self.path, json=message)
            self.slowest = max(self.slowest, time.monotonic() - started)
            if answer.status_code in (200, 201):
                self.acknowledged.append(answer.json()["number"])
                message = None
            else:
                self.failures.append((time.monotonic(), answer.status_code))
            time.sleep(0.01)

    def wait_for_more(self, count: int, seconds: float) -> None:
        wanted, deadline = len(self.acknowledged) + count, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, f"no {count} more messages in {seconds} s; {self.failures[-3:]}"
            time.sleep(0.02)


@pytest.fixture
def posting(start_task, visitor):
    posters: list[Poster] = []

    def start(environment) -> Poster:
        alice = visitor(start_task(environment), "alice")
        opened = alice.post("/api/conversations", json={"title": "T"}).json()
        poster = Poster(alice, f"/api/conversations/{opened['id']}/messages")
        posters.append(poster)
        poster.start()
        poster.wait_for_more(20, 10)
        return poster

    yield start
    for poster in posters:
        poster.ended.set()
        poster.join(20)


def everything(poster: Poster) -> list[int]:
    numbers: list[int] = []
    while page := poster.client.get(poster.path, params={"after": len(numbers)}).json()["messages"]:
        numbers += [message["number"] for message in page]
    return numbers


@pytest.fixture
def standby(own_postgres, own_environment, free_port_number):
    """A synchronous standby of `own_postgres`."""
    data = own_postgres.data.parent / "standby"
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    connection = f"host=127.0.0.1 port={own_postgres.port} user=postgres password=superuser"
    subprocess.run(
        [own_postgres.programs / "pg_basebackup", "-D", data, "-R", "-X", "stream", "-c", "fast", "-d", connection],
        check=True,
        capture_output=True,
        timeout=60,
        **user,
    )
    cluster = type(own_postgres)(own_postgres.programs, Path(data), free_port_number())
    cluster.start()
    with own_postgres.connect("postgres", password="superuser") as superuser:
        superuser.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        superuser.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 10
        while superuser.execute("SELECT sync_state FROM pg_stat_replication").fetchall() != [("sync",)]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield cluster
    cluster.stop()


def test_the_database_fails_over_and_no_acknowledged_message_is_lost(own_postgres, standby, own_environment, posting):
    endpoint = Endpoint(own_postgres.port)
    poster = posting(own_environment | {"DATABASE_PORT": str(endpoint.port)})

    own_postgres.stop(signal.SIGKILL)
    endpoint.lead_to(standby.port)  # at first it is read-only: the service must not take it for a primary
    time.sleep(1.0)
    with standby.connect("postgres", password="superuser") as superuser:
        superuser.execute("SELECT pg_promote()")
    promoted = time.monotonic()
    poster.wait_for_more(50, 15)
    poster.ended.set()
    poster.join(20)

    assert {status for _, status in poster.failures} <= {503}, poster.failures
    assert all(when - promoted < 5.0 for when, _ in poster.failures), "it recovers as soon as there is a primary"
    assert poster.slowest < 5.0
    assert set(poster.acknowledged) <= set(everything(poster)), "an acknowledged message is gone"
    assert sorted(poster.acknowledged) == list(range(1, len(poster.acknowledged) + 1)), "each once"


def test_the_cache_fails_over_to_its_replica(own_redis, own_environment, workplace, posting, free_port_number):
    import redis

    replica = type(own_redis)(own_redis.folder, free_port_number(), ["--replicaof", f"127.0.0.1 {own_redis.port}"])
    replica.start()
    inside = redis.Redis(port=replica.port)
    deadline = time.monotonic() + 10
    while inside.info("replication")["master_link_status"] != "up":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    endpoint = Endpoint(own_redis.port)
    try:
        poster = posting(own_environment | {"CACHE_PORT": str(endpoint.port)})
        own_redis.stop()
        endpoint.lead_to(replica.port)  # a replica refuses writes until it is promoted
        time.sleep(1.0)
        inside.replicaof("NO", "ONE")
        promoted = time.monotonic()
        poster.wait_for_more(50, 15)
        poster.ended.set()
        poster.join(20)
        assert {status for _, status in poster.failures} <= {503}, "sessions survived: nobody has to log in again"
        assert all(when - promoted < 5.0 for when, _ in poster.failures)
        assert set(poster.acknowledged) <= set(everything(poster))
    finally:
        inside.close()
        replica.stop()
