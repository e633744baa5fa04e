"""SIGKILL of the daemon and of the DNS server: names are answered, health is checked, nothing kept is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import boto3
import psutil
import pytest

from dock.engines.supervisor import MARK
from dock.home import Home
from tests.dock.route53.conftest import Endpoint, Names, failover, simple, until

pytestmark = pytest.mark.dock

INTERVAL = 10
ELSEWHERE = "127.0.0.2"


class Killable(Names):
    """A daemon of its own."""

    def __init__(self, process: subprocess.Popen[str], url: str, address: str, port: int) -> None:
        client = boto3.client("route53", endpoint_url=url, region_name="us-east-1", aws_access_key_id="000000000001",
                              aws_secret_access_key="dock")  # fmt: skip
        super().__init__(client, (address, port))
        self.process = process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@asynccontextmanager
async def daemon(home: Home) -> AsyncIterator[Killable]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.dock.route53.daemon", str(home.root)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        text=True,
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 60)
        url, address, port = line.split()
        yield Killable(process, url, address, int(port))
    finally:
        if process.poll() is None:
            process.terminate()
            await asyncio.to_thread(process.wait, 60)


def server_pid(home: Home) -> int:
    """The DNS server of this home, from the processes themselves."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == f"{home.root}:dns" and process.status() != psutil.STATUS_ZOMBIE:
                return process.pid
        except psutil.Error:
            continue
    raise AssertionError("no DNS server runs")


async def test_names_fail_over_while_no_daemon_runs_and_the_next_one_knows(home: Home) -> None:
    async with daemon(home) as dock:
        octet = dock.server[0].split(".")[1]
        primary = Endpoint(f"127.{octet}.9.1", 8080)
        await primary.start()
        zone = await dock.zone("kill.test")
        check = await dock.check(primary)
        await dock.change(zone, *failover("kill.test", primary.address, ELSEWHERE, check))
        before = server_pid(home)

        dock.kill()
        assert await dock.addresses("kill.test") == [primary.address]
        dead = time.time()
        await primary.die()
        assert await dock.changes_to("kill.test", ELSEWHERE, INTERVAL + 2) - dead <= INTERVAL + 1

    async with daemon(home) as dock:
        assert server_pid(home) == before, "the server was adopted, not started again"
        assert await dock.addresses("kill.test") == [ELSEWHERE]
        assert set(await dock.observed(check)) != {"Success: HTTP Status Code 200, OK"}
        await dock.change(zone, ("CREATE", simple("new.kill.test", "127.0.0.3")))

        # The server itself: back within a second or two, and it has not forgotten that the primary is dead.
        os.kill(before, signal.SIGKILL)

        async def answers() -> list[str]:
            try:
                return await dock.addresses("kill.test") + await dock.addresses("new.kill.test")
            except OSError:
                return []

        await until(answers, [ELSEWHERE, "127.0.0.3"], 10)
        assert server_pid(home) != before

    async with daemon(home) as dock:
        assert await dock.addresses("kill.test") == [ELSEWHERE], "also after it was stopped in order"


async def test_a_change_that_was_acknowledged_is_served_by_the_next_daemon(home: Home) -> None:
    async with daemon(home) as dock:
        zone = await dock.zone("ack.test")
        changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": simple("ack.test", "127.0.0.1")}]}
        dock.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)
        dock.kill()
    async with daemon(home) as dock:
        assert await dock.addresses("ack.test") == ["127.0.0.1"]
