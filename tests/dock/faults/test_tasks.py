"""Tasks live in zones: they spread over them, leave the one that is lost, and come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dock.cloud import Cloud
from dock.home import Home
from tests.dock.conftest import call, running_cloud
from tests.dock.ecs.conftest import CLUSTER, SERVICES, World, furnished, until

pytestmark = pytest.mark.dock


@pytest.fixture
async def world(home: Home, account: str, region: str) -> AsyncIterator[World]:
    async with running_cloud(home, SERVICES) as cloud:
        made = await furnished(cloud, account, region)
        subnets = []
        for zone in "ab":
            known = (await call(made.ec2.describe_subnets))["Subnets"]
            there = [each for each in known if each["AvailabilityZone"] == region + zone]
            subnet = there or [(await call(made.ec2.create_default_subnet, AvailabilityZone=region + zone))["Subnet"]]
            subnets.append(subnet[0]["SubnetId"])
        made.network["awsvpcConfiguration"]["subnets"] = subnets
        yield made


async def zones(world: World) -> Counter[str]:
    return Counter(task["availabilityZone"] for task in await world.tasks() if task["lastStatus"] == "RUNNING")


def events(service: dict[str, Any]) -> str:
    return "\n".join(event["message"] for event in service["events"])


async def test_tasks_leave_a_zone_that_is_lost_and_nothing_starts_there(world: World, cloud_of: Cloud) -> None:
    await world.create_service(await world.register(), desired=4, balanced=False)
    await world.stable()
    assert await zones(world) == {"us-east-1a": 2, "us-east-1b": 2}

    fault = await cloud_of.faults.add({"kind": "zone-down", "zone": "us-east-1a"})

    async def moved() -> bool:
        return await zones(world) == {"us-east-1b": 4}

    await until(moved, 30)
    both = await cloud_of.faults.add({"kind": "zone-down", "zone": "us-east-1b"})
    definition = (await world.service())["taskDefinition"]
    refused = await call(
        world.ecs.run_task, cluster=CLUSTER, taskDefinition=definition, networkConfiguration=world.network
    )
    assert refused["tasks"] == []
    assert "Capacity is unavailable at this time" in refused["failures"][0]["reason"]

    async def unplaced() -> bool:
        service = await world.service()
        return service["runningCount"] == 0 and "was unable to place a task" in events(service)

    await until(unplaced, 20)
    for each in (fault, both):
        await cloud_of.faults.clear(each["id"])
    await world.stable()
    assert sum((await zones(world)).values()) == 4


async def test_a_service_that_is_down_has_no_task_until_its_fault_ends_and_no_failure_is_counted(
    world: World, cloud_of: Cloud
) -> None:
    await world.create_service(await world.register(), desired=2, balanced=False)
    await world.stable()
    before = {task["taskArn"] for task in await world.tasks()}
    await cloud_of.faults.add({"kind": "engine-down", "target": "service/web", "seconds": 3})

    async def none() -> bool:
        return bool((await world.service())["runningCount"] == 0)

    await until(none, 10)

    async def ended() -> bool:
        return not cloud_of.faults.shown()

    await until(ended, 10)
    service = await world.stable()
    assert service["runningCount"] == 2
    assert before.isdisjoint({task["taskArn"] for task in await world.tasks()})
    assert service["deployments"][0]["rolloutState"] == "COMPLETED"


@pytest.fixture
def cloud_of(world: World) -> Cloud:
    return world.cloud
