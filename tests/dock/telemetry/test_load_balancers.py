"""AWS/ApplicationELB from a real HAProxy and real requests."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from dock.aws.acm import Acm
from dock.aws.cloudwatch import CloudWatch
from dock.aws.elbv2 import Elbv2
from dock.cloud import ACCOUNTS, REGIONS
from dock.home import Home
from dock.telemetry.load_balancers import LoadBalancers
from dock.telemetry.measurement import Measurement, Moment
from tests.dock.conftest import running_cloud
from tests.dock.elbv2.conftest import Dock, eventually, get

pytestmark = pytest.mark.dock


@pytest.fixture
async def dock(home: Home) -> AsyncIterator[Dock]:
    async with running_cloud(home, [CloudWatch, Acm, Elbv2]) as cloud:
        dock = Dock(cloud)
        await dock.make_network()
        yield dock


class Reading:
    """What collectors found, by metric and whether it is of the target group."""

    def __init__(self, measurements: list[Measurement]) -> None:
        self.found = {(each.datum.name, "TargetGroup" in each.datum.dimensions): each.datum for each in measurements}
        self.scopes = {each.scope for each in measurements}

    def value(self, name: str, *, group: bool = False) -> float | None:
        datum = self.found.get((name, group))
        return None if datum is None else datum.value


async def test_requests_answers_and_times_are_counted_as_aws_does(dock: Dock) -> None:
    collector = LoadBalancers(dock.cloud)

    async def read() -> Reading:
        await dock.service.fleet.engine(balancer.arn).poll()
        return Reading(await collector.collect(Moment(time.time(), {})))

    async with dock.application("one") as one, ClientSession() as session:
        balancer = await dock.load_balancer()
        group = await dock.target_group(one)
        await dock.listener(balancer, 8080, group)
        await eventually(lambda: dock.state(group, one), "healthy")
        url = f"http://{balancer.address}:8080"
        await get(session, url)
        first = await read()
        # The first round marks where to count from; without requests nothing is published but health.
        assert set(first.found) <= {
            ("HealthyHostCount", True),
            ("UnHealthyHostCount", True),
            ("ActiveConnectionCount", False),
        }
        assert (first.value("HealthyHostCount", group=True), first.value("UnHealthyHostCount", group=True)) == (1, 0)
        assert first.scopes == {(ACCOUNTS[0], REGIONS[0])}

        for path in ("/", "/status/404", "/status/503", "/status/301", "/slow?seconds=0.4"):
            await get(session, url + path, allow_redirects=False)
        await get(session, url + "/rubbish")
        second = await read()
        for of_group in (False, True):
            assert second.value("RequestCount", group=of_group) == 6
            assert second.value("HTTPCode_Target_2XX_Count", group=of_group) == 2
            assert second.value("HTTPCode_Target_3XX_Count", group=of_group) == 1
            assert second.value("HTTPCode_Target_4XX_Count", group=of_group) == 1
            assert second.value("HTTPCode_Target_5XX_Count", group=of_group) == 1
            times = second.found["TargetResponseTime", of_group]
            assert sum(times.counts or ()) == 5
            assert 0.39 <= max(times.values or ()) <= 0.6
        # What was no HTTP is the load balancer's own 502, not the target's.
        assert (second.value("HTTPCode_ELB_5XX_Count"), second.value("HTTPCode_ELB_502_Count")) == (1, 1)
        assert second.value("RequestCountPerTarget", group=True) == 6
        assert second.value("HTTPCode_ELB_5XX_Count", group=True) is None

        await dock.deregister(group, one)

        async def nobody() -> int:
            return (await get(session, url))[0]

        await eventually(nobody, 503)
        third = await read()
        assert (third.value("HTTPCode_ELB_503_Count") or 0) >= 1
        # No target could be chosen for them, and none is registered whose health could be told.
        assert third.value("RequestCount") is None or third.value("RequestCount") == 0
        assert third.value("HealthyHostCount", group=True) is None
