"""ECS behind the dock's own load balancer: what users see while tasks are deployed, killed and scaled."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from dock.aws.ecr import Ecr
from dock.aws.ecs import Ecs
from dock.aws.elbv2 import Elbv2
from dock.aws.logs import Logs
from dock.home import Home
from tests.dock.conftest import call, running_cloud
from tests.dock.ecs.conftest import PORT, World, furnished, get_status, until

pytestmark = pytest.mark.dock


@dataclass
class Front:
    """A load balancer with one target group."""

    world: World
    elb: Any
    group: str
    url: str

    async def healthy(self) -> int:
        answer = await call(self.elb.describe_target_health, TargetGroupArn=self.group)
        return sum(entry["TargetHealth"]["State"] == "healthy" for entry in answer["TargetHealthDescriptions"])


@dataclass
class Users:
    """What users saw: statuses of their requests, 0 for none."""

    seen: list[int] = field(default_factory=list)

    @property
    def failures(self) -> list[int]:
        return [status for status in self.seen if status != 200]


@contextmanager
def users(url: str) -> Iterator[Users]:
    """Two users who ask without a pause, on threads of their own."""
    found, done = Users(), threading.Event()

    def ask() -> None:
        while not done.is_set():
            found.seen.append(get_status(url))
            time.sleep(0.005)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        done.set()
        for thread in threads:
            thread.join(10)


@pytest.fixture
async def front(home: Home, account: str, region: str) -> AsyncIterator[Front]:
    async with running_cloud(home, [Logs, Ecr, Elbv2, Ecs]) as cloud:
        world = await furnished(cloud, account, region)
        elb = cloud.client("elbv2", account, region)
        subnets = []
        for zone in "ab":
            found = (await call(world.ec2.describe_subnets))["Subnets"]
            wanted = [entry for entry in found if entry["AvailabilityZone"] == region + zone]
            made = wanted or [(await call(world.ec2.create_default_subnet, AvailabilityZone=region + zone))["Subnet"]]
            subnets.append(made[0])
        balancer = await call(elb.create_load_balancer, Name="web", Subnets=[entry["SubnetId"] for entry in subnets])
        arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
        group = await call(
            elb.create_target_group,
            Name="web",
            Protocol="HTTP",
            Port=PORT,
            VpcId=subnets[0]["VpcId"],
            TargetType="ip",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
            HealthCheckPath="/",
        )
        group_arn = group["TargetGroups"][0]["TargetGroupArn"]
        await call(
            elb.modify_target_group_attributes,
            TargetGroupArn=group_arn,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "2"}],
        )
        await call(
            elb.create_listener,
            LoadBalancerArn=arn,
            Protocol="HTTP",
            Port=8080,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group_arn}],
        )
        host = balancer["LoadBalancers"][0]["DNSName"]
        yield Front(world, elb, group_arn, f"http://{host}:8080/")


async def serve(front: Front, definition: str, desired: int = 2) -> None:
    target = {"targetGroupArn": front.group, "containerName": "web", "containerPort": PORT}
    more = {"loadBalancers": [target], "healthCheckGracePeriodSeconds": 10}
    await front.world.create_service(definition, desired, balanced=False, **more)
    await front.world.stable(60)


async def test_users_see_no_error_while_a_release_is_rolled_out(front: Front) -> None:
    await serve(front, await front.world.register())
    assert await front.healthy() == 2
    second = await front.world.register()
    with users(front.url) as found:
        await front.world.update(taskDefinition=second)
        await front.world.stable(60)
    assert len(found.seen) > 100
    assert found.failures == []
    assert {task["taskDefinitionArn"] for task in await front.world.tasks()} == {second}


async def test_a_killed_task_is_replaced_and_healthy_again(front: Front) -> None:
    await serve(front, await front.world.register())
    victim, _ = await front.world.tasks()
    with users(front.url) as found:
        began = time.monotonic()
        os.kill(front.world.pid(victim), signal.SIGKILL)

        async def replaced() -> bool:
            arns = [task["taskArn"] for task in await front.world.tasks() if task["lastStatus"] == "RUNNING"]
            return len(arns) == 2 and victim["taskArn"] not in arns and await front.healthy() == 2

        await until(replaced, 30)
        seconds = time.monotonic() - began
        await asyncio.sleep(0.5)
    print(
        f"\nkill -9 of a task: two healthy targets after {seconds:.2f} s,"
        f" {len(found.failures)} of {len(found.seen)} requests failed"
    )
    assert seconds < 15
    assert found.seen[-20:] == [200] * 20
    assert len(found.failures) < len(found.seen) / 10
