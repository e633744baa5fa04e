"""SIGKILL of the daemon at any moment: no task is lost, none is there twice, no line is lost or repeated."""

from __future__ import annotations

import asyncio
import random
import re

import psutil
import pytest

from dock.aws.ecr import Ecr
from dock.aws.ecs import Ecs
from dock.aws.logs import Logs
from dock.cloud import Cloud
from dock.engines.supervisor import MARK
from dock.home import Home
from tests.dock.conftest import call, running_cloud
from tests.dock.ecs.conftest import CLUSTER, daemon, found, furnished

pytestmark = pytest.mark.dock

KILLS = 6


def containers(home: Home) -> list[str]:
    """Names of the containers of this home that run, from the processes themselves."""
    names = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
        except psutil.Error:
            continue
        if mark.startswith(f"{home.root}:ecs/") and process.status() != psutil.STATUS_ZOMBIE:
            names.append(mark.rpartition(":")[2])
    return sorted(names)


async def test_a_daemon_killed_at_any_moment_carries_on(home: Home, account: str, region: str) -> None:
    async with running_cloud(home, [Logs, Ecr, Ecs]) as cloud:
        world = await furnished(cloud, account, region)
        await world.create_service(await world.register(), desired=3, balanced=False)
        await world.stable()
        definitions = [await world.register() for _ in range(KILLS)]
    # Only its names are used here: the daemon is another process now.
    outside = Cloud.__new__(Cloud)
    outside.addresses = cloud.addresses
    world.cloud = outside
    chance = random.Random(7)
    for definition in definitions:
        async with daemon(home):
            await call(world.ecs.update_service, cluster=CLUSTER, service="web", taskDefinition=definition)
            await asyncio.sleep(chance.uniform(0.05, 2.5))
    async with running_cloud(home, [Logs, Ecr, Ecs]) as cloud:
        world = await found(cloud, account, region)
        service = await world.stable(60)
        assert service["taskDefinition"] == definitions[-1]
        tasks = await world.tasks()
        assert {task["taskDefinitionArn"] for task in tasks} == {definitions[-1]}
        expected = sorted(f"ecs/{task['taskArn'].rpartition('/')[2]}/web" for task in tasks)
        assert len(expected) == 3
        assert containers(home) == expected
        # Each task said once where it listens: a line that is missing or repeated would show.
        lines = await world.lines()
        assert not [line for line in lines if not re.fullmatch(r"listening on [0-9.]+|asked to stop", line)]
        streams = await call(world.logs.describe_log_streams, logGroupName="/chat/local/web")
        for stream in streams["logStreams"]:
            answer = await call(
                world.logs.get_log_events,
                logGroupName="/chat/local/web",
                logStreamName=stream["logStreamName"],
                startFromHead=True,
            )
            said = [event["message"] for event in answer["events"]]
            assert len(said) == len({line.split()[0] for line in said}), said
    assert containers(home) == []
