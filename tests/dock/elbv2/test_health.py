"""Health checks and draining, as a user sees them."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import ClientError, ClientSession

from dock.aws.elbv2.service import Elbv2
from tests.dock.conftest import call
from tests.dock.elbv2.conftest import Dock, eventually, get

pytestmark = [pytest.mark.dock, pytest.mark.asyncio(loop_scope="module")]


async def set_delay(dock: Dock, group: str, seconds: int) -> None:
    await call(
        dock.elb.modify_target_group_attributes,
        TargetGroupArn=group,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}],
    )


async def test_a_target_goes_from_initial_to_healthy_to_unhealthy_and_back(dock: Dock, session: ClientSession) -> None:
    async with dock.application("one") as one, dock.application("two") as two:
        balancer = await dock.load_balancer()
        group = await dock.target_group(one, Matcher={"HttpCode": "200-299,404"})
        assert await dock.states(group) == {one.address: "unused Target.NotInUse"}
        await dock.listener(balancer, 8080, group)
        url = f"http://{balancer.address}:8080/"
        # A group without a healthy target sends to all that it has.
        assert await get(session, url) == (200, "one")
        # The first check that a new target passes makes it healthy, whatever the healthy threshold.
        await eventually(lambda: dock.state(group, one), "healthy", 3)

        one.status, began = 500, time.monotonic()
        await dock.register(group, two)
        await eventually(lambda: dock.state(group, two), "healthy", 3)
        await eventually(lambda: dock.state(group, one), "unhealthy Target.ResponseCodeMismatch", 12)
        assert time.monotonic() - began > 4
        described = await call(dock.elb.describe_target_health, TargetGroupArn=group)
        found = {entry["Target"]["Id"]: entry["TargetHealth"] for entry in described["TargetHealthDescriptions"]}
        assert found[one.address]["Description"] == "Health checks failed with these codes: [500]"
        assert {(await get(session, url))[1] for _ in range(10)} == {"two"}

        # One that was unhealthy has to pass as often as the healthy threshold says.
        one.status, began = 404, time.monotonic()
        await eventually(lambda: dock.state(group, one), "healthy", 14)
        assert time.monotonic() - began > 4, "two checks take an interval at least"
        assert {(await get(session, url))[1] for _ in range(10)} == {"one", "two"}
        assert dock.service.health(group) == {(one.address, 8080): "healthy", (two.address, 8080): "healthy"}


async def test_a_dead_target_and_a_silent_one_have_reasons_of_their_own(dock: Dock, session: ClientSession) -> None:
    async with dock.application("dead") as dead, dock.application("well") as well:
        silent = await asyncio.start_server(lambda *_: asyncio.sleep(30), well.address, 8081)
        balancer = await dock.load_balancer()
        group = await dock.target_group(dead, well)
        other = await dock.target_group(well, Port=8081, HealthCheckPort="8081")
        await dock.listener(balancer, 8080, group)
        await dock.listener(balancer, 8081, other)
        await eventually(lambda: dock.state(group, dead), "healthy", 14)
        await eventually(lambda: dock.state(other, well), "unhealthy Target.Timeout", 25)
        silent.close()
    await eventually(lambda: dock.state(group, dead), "unhealthy Target.FailedHealthChecks", 14)


async def test_a_drained_target_finishes_what_it_works_on_and_gets_nothing_new(
    dock: Dock, session: ClientSession
) -> None:
    async with dock.application("one") as one, dock.application("two") as two:
        balancer = await dock.load_balancer()
        group = await dock.target_group(one)
        await set_delay(dock, group, 6)
        await dock.listener(balancer, 8080, group)
        url = f"http://{balancer.address}:8080"
        slow = asyncio.create_task(get(session, f"{url}/slow?seconds=2"))
        while not one.waiting:
            await asyncio.sleep(0.02)
        await dock.register(group, two)
        began = time.monotonic()
        draining = asyncio.create_task(dock.service.deregister(group, one.address, 8080))
        await eventually(lambda: dock.state(group, one), "draining Target.DeregistrationInProgress", 2)
        assert {(await get(session, url))[1] for _ in range(20)} == {"two"}
        assert not draining.done()
        assert await slow == (200, "one")
        await asyncio.wait_for(draining, 3)
        assert time.monotonic() - began < 5, "nothing was left to wait for"
        assert await dock.state(group, one) == "draining Target.DeregistrationInProgress"
        await eventually(lambda: dock.state(group, one), "gone", 8)
        assert time.monotonic() - began > 5


async def test_the_end_of_the_delay_cuts_what_is_left(dock: Dock, session: ClientSession) -> None:
    async with dock.application("one") as one:
        balancer = await dock.load_balancer()
        group = await dock.target_group(one)
        await set_delay(dock, group, 1)
        await dock.listener(balancer, 8080, group)
        url = f"http://{balancer.address}:8080"
        slow = asyncio.create_task(get(session, f"{url}/slow?seconds=30"))
        socket = await session.ws_connect(f"{url}/ws")
        while not one.waiting:
            await asyncio.sleep(0.02)
        # A reload leaves both to the former worker; they must be found there.
        await dock.listener(balancer, 8081, group)
        began = time.monotonic()
        await dock.service.deregister(group, one.address, 8080)
        assert 0.8 < time.monotonic() - began < 4
        try:
            status, _ = await asyncio.wait_for(slow, 3)
            assert status >= 500
        except ClientError:
            pass
        async with asyncio.timeout(3):
            await socket.receive()
        assert socket.closed
        assert (await get(session, url))[0] == 503


async def test_a_target_that_comes_back_while_it_drains_is_served_again(dock: Dock, session: ClientSession) -> None:
    async with dock.application("one") as one:
        balancer = await dock.load_balancer()
        group = await dock.target_group(one)
        await dock.listener(balancer, 8080, group)
        url = f"http://{balancer.address}:8080"
        await dock.deregister(group, one)
        assert await dock.state(group, one) == "draining Target.DeregistrationInProgress"
        assert (await get(session, url))[0] == 503
        await dock.register(group, one)
        assert await get(session, url) == (200, "one")
        await eventually(lambda: dock.state(group, one), "healthy", 12)


async def test_targets_come_and_go_under_load_without_an_error(dock: Dock, session: ClientSession) -> None:
    async with dock.application("one") as one, dock.application("two") as two:
        balancer = await dock.load_balancer()
        group = await dock.target_group(one, two)
        await set_delay(dock, group, 0)
        await dock.listener(balancer, 8080, group)
        url = f"http://{balancer.address}:8080/"
        statuses: list[int] = []

        async def load() -> None:
            while not stop.is_set():
                statuses.append((await get(session, url))[0])

        stop = asyncio.Event()
        clients = [asyncio.create_task(load()) for _ in range(8)]
        for _ in range(20):
            await dock.service.deregister(group, two.address, 8080)
            await dock.service.register(group, two.address, 8080)
        stop.set()
        await asyncio.gather(*clients)
        assert set(statuses) == {200}
        assert len(statuses) > 100


async def test_the_counters_tell_targets_answers_from_the_load_balancers_own(
    dock: Dock, session: ClientSession
) -> None:
    service: Elbv2 = dock.service
    async with dock.application("one") as one:
        balancer = await dock.load_balancer()
        group, empty = await dock.target_group(one), await dock.target_group()
        listener = await dock.listener(balancer, 8080, group)
        await dock.listener(balancer, 8081, empty)
        url = f"http://{balancer.address}:8080"
        for path, count in (("/", 30), ("/status/404", 5), ("/status/500", 3), ("/slow?seconds=0.3", 2)):
            for _ in range(count):
                await get(session, url + path)
        for _ in range(4):
            assert (await get(session, f"http://{balancer.address}:8081/"))[0] == 503
        await service.fleet.engine(balancer.arn).poll()
        traffic = service.group_traffic(group)
        assert (traffic.requests, traffic.ok_2xx, traffic.failed_4xx, traffic.failed_5xx) == (40, 32, 5, 3)
        assert sum(traffic.times.values()) == 40
        assert sum(count for milliseconds, count in traffic.times.items() if 290 <= milliseconds <= 400) == 2
        whole, own = service.load_balancer_traffic(balancer.arn)
        assert (whole.requests, whole.failed_5xx, own.failed_5xx) == (44, 7, 4)
        # A reload, which resets HAProxy's own counters, changes nothing.
        await call(dock.elb.delete_listener, ListenerArn=listener)
        await service.fleet.engine(balancer.arn).poll()
        assert service.load_balancer_traffic(balancer.arn)[0].requests == 44
