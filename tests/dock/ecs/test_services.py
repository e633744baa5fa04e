"""Services: rolling deployments, replacement, circuit breaker, restarts of the dock."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dock.home import Home
from tests.dock.conftest import call, running_cloud
from tests.dock.ecs.conftest import (
    CLUSTER,
    LOG_GROUP,
    SERVICES,
    TARGET_GROUP,
    Balancers,
    World,
    abandoned,
    address,
    ask,
    found,
    furnished,
    until,
)

pytestmark = pytest.mark.dock

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


def said(service: dict[str, Any], text: str) -> bool:
    return any(text in event["message"] for event in service["events"])


async def test_a_service_runs_its_tasks_behind_the_load_balancer(world: World) -> None:
    await world.create_service(await world.register(), healthCheckGracePeriodSeconds=5)
    service = await world.stable()
    assert (service["runningCount"], service["pendingCount"], len(service["deployments"])) == (2, 0, 1)
    assert service["deployments"][0]["rolloutState"] == "COMPLETED"
    assert said(service, "has reached a steady state.")
    assert said(service, "has started 2 tasks: (task ")
    tasks = await world.tasks()
    assert len({address(task) for task in tasks}) == 2
    assert set(world.balancers.health(TARGET_GROUP).values()) == {"healthy"}
    assert {task["group"] for task in tasks} == {"service:web"}
    answer = await call(world.ecs.list_service_deployments, cluster=CLUSTER, service="web")
    (deployment,) = answer["serviceDeployments"]
    assert deployment["status"] == "SUCCESSFUL"
    answer = await call(
        world.ecs.describe_service_revisions, serviceRevisionArns=[deployment["targetServiceRevisionArn"]]
    )
    (image,) = answer["serviceRevisions"][0]["containerImages"]
    assert image["imageDigest"].startswith("sha256:")


async def test_a_killed_task_is_replaced_at_once(world: World) -> None:
    await world.create_service(await world.register())
    await world.stable()
    victim, other = await world.tasks()
    began = time.monotonic()
    os.kill(world.pid(victim), signal.SIGKILL)

    async def replaced() -> bool:
        healthy = [ip for (ip, _), state in world.balancers.health(TARGET_GROUP).items() if state == "healthy"]
        arns = {task["taskArn"] for task in await world.tasks() if task["lastStatus"] == "RUNNING"}
        return len(healthy) == 2 and len(arns) == 2 and victim["taskArn"] not in arns

    await until(replaced)
    print(f"kill -9 to two healthy targets: {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < 5
    assert (await world.task(other["taskArn"]))["lastStatus"] == "RUNNING"
    ended = await world.reached(victim["taskArn"], "STOPPED")
    assert ended["containers"][0]["exitCode"] == 137


async def test_a_rolling_deployment_never_has_fewer_healthy_tasks_than_the_minimum(world: World) -> None:
    first = await world.register()
    await world.create_service(first)
    await world.stable()
    second = await world.register()
    fewest, most, done = 9, 0, asyncio.Event()

    async def watch() -> None:
        nonlocal fewest, most
        while not done.is_set():
            healthy = sum(state == "healthy" for state in world.balancers.health(TARGET_GROUP).values())
            tasks = [task for task in await world.tasks() if task["lastStatus"] in ("PENDING", "RUNNING", "ACTIVATING")]
            fewest, most = min(fewest, healthy), max(most, len(tasks))
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    await world.update(taskDefinition=second)
    service = await world.stable()
    done.set()
    await watching
    assert fewest >= 2
    assert most <= 4
    assert {task["taskDefinitionArn"] for task in await world.tasks()} == {second}
    assert said(service, "has begun draining connections on 1 tasks")
    (old, *_) = await world.tasks("STOPPED")
    assert old["stoppedReason"] == f"Scaling activity initiated by (deployment {service['deployments'][0]['id']})"


async def test_with_no_room_above_the_desired_count_an_old_task_gives_way(world: World) -> None:
    limits = {"minimumHealthyPercent": 50, "maximumPercent": 100}
    await world.create_service(await world.register(), balanced=False, deploymentConfiguration=limits)
    await world.stable()
    second = await world.register()
    await world.update(taskDefinition=second)
    await world.stable()
    assert {task["taskDefinitionArn"] for task in await world.tasks()} == {second}


@pytest.mark.parametrize("mode", ["crash", "sick"])
async def test_the_circuit_breaker_goes_back_to_what_worked(world: World, mode: str) -> None:
    good = await world.register()
    await world.create_service(good, deploymentConfiguration=BREAKER)
    before = await world.stable()
    kept = {task["taskArn"] for task in await world.tasks()}
    await world.update(taskDefinition=await world.register(mode=mode))

    async def rolled_back() -> dict[str, Any] | None:
        found = await world.service()
        return found if said(found, "rolling back to deployment") else None

    failing = await until(rolled_back)
    failed = next(entry for entry in failing["deployments"] if entry["rolloutState"] == "FAILED")
    # Two that fail at once count both.
    assert failed["failedTasks"] in (3, 4)
    assert failed["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert said(failing, f"(deployment {failed['id']}) deployment failed: tasks failed to start.")
    service = await world.stable()
    assert service["taskDefinition"] == good
    assert service["deployments"][0]["id"] == before["deployments"][0]["id"]
    # The old tasks served all the time.
    assert {task["taskArn"] for task in await world.tasks()} == kept
    answer = await call(world.ecs.list_service_deployments, cluster=CLUSTER, service="web")
    assert [entry["status"] for entry in answer["serviceDeployments"]] == ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]
    arns = [answer["serviceDeployments"][0]["serviceDeploymentArn"]]
    (described,) = (await call(world.ecs.describe_service_deployments, serviceDeploymentArns=arns))[
        "serviceDeployments"
    ]
    circuit = described["deploymentCircuitBreaker"]
    assert circuit == {"status": "TRIGGERED", "failureCount": failed["failedTasks"], "threshold": 3}
    assert "circuit breaker" in described["rollback"]["reason"]
    reason = {"crash": "Essential container in task exited", "sick": "Task failed ELB health checks in (target-group"}
    assert any(task["stoppedReason"].startswith(reason[mode]) for task in await world.tasks("STOPPED"))


async def test_without_a_circuit_breaker_a_crash_loop_is_said_and_slowed(world: World) -> None:
    await world.create_service(await world.register(mode="crash"), desired=1)

    async def noticed() -> bool:
        return said(await world.service(), "is unable to consistently start tasks successfully")

    await until(noticed)
    service = await world.service()
    assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    assert service["deployments"][0]["failedTasks"] == 3
    await asyncio.sleep(1)
    assert len(await world.tasks("STOPPED")) == 3


async def test_a_missing_image_trips_the_breaker_of_a_first_deployment(world: World) -> None:
    definition = await world.register(image=f"{world.registry}:none")
    await world.create_service(definition, deploymentConfiguration=BREAKER)

    async def failed() -> bool:
        return bool((await world.service())["deployments"][0]["rolloutState"] == "FAILED")

    await until(failed)
    stopped = await world.tasks("STOPPED")
    assert all(task["stoppedReason"].startswith("CannotPullContainerError: ") for task in stopped)
    assert await world.tasks() == []


async def test_a_task_that_turns_unhealthy_is_replaced(world: World) -> None:
    await world.create_service(await world.register())
    await world.stable()
    sick, _ = await world.tasks()
    with pytest.raises(OSError, match="500"):
        await ask(sick, "/sick")
    ended = await world.reached(sick["taskArn"], "STOPPED")
    assert ended["stoppedReason"].startswith("Task failed ELB health checks")
    service = await world.stable()
    assert said(service, "is unhealthy in (target-group")
    assert service["runningCount"] == 2


async def test_container_health_checks_decide_too(world: World) -> None:
    check = {"command": ["CMD-SHELL", "test ! -e $TMPDIR/sick"], "interval": 5, "timeout": 2, "retries": 1}
    await world.create_service(await world.register(healthCheck=check), desired=1, balanced=False)
    await world.stable()
    (task,) = await world.tasks()
    assert task["healthStatus"] == "HEALTHY"
    folder = world.cloud.home.data("ecs") / "tasks" / task["taskArn"].rpartition("/")[2] / "web"
    (folder / "sick").touch()
    ended = await world.reached(task["taskArn"], "STOPPED", 30)
    assert ended["stoppedReason"] == "Task failed container health checks"


async def test_the_desired_count_is_followed_both_ways(world: World) -> None:
    await world.create_service(await world.register(), desired=0)
    service = await world.stable()
    assert service["deployments"][0]["rolloutState"] == "COMPLETED"
    for count in (3, 1, 0):
        await world.update(desiredCount=count)
        await world.stable()
        assert len([task for task in await world.tasks() if task["lastStatus"] == "RUNNING"]) == count
    assert (await world.service())["deployments"][0]["id"] == service["deployments"][0]["id"]


async def test_a_forced_deployment_replaces_tasks_of_the_same_definition(world: World) -> None:
    await world.create_service(await world.register(), desired=1)
    before = await world.stable()
    (old,) = await world.tasks()
    await world.update(forceNewDeployment=True)
    after = await world.stable()
    assert after["deployments"][0]["id"] != before["deployments"][0]["id"]
    assert [task["taskArn"] for task in await world.tasks()] != [old["taskArn"]]


async def test_a_deleted_service_drains_and_its_name_is_free_again(world: World) -> None:
    definition = await world.register()
    await world.create_service(definition)
    await world.stable()
    with pytest.raises(ClientError, match="scaled above 0"):
        await call(world.ecs.delete_service, cluster=CLUSTER, service="web")
    await call(world.ecs.delete_service, cluster=CLUSTER, service="web", force=True)

    async def inactive() -> bool:
        return bool((await world.service())["status"] == "INACTIVE")

    await until(inactive)
    assert world.balancers.health(TARGET_GROUP) == {}
    assert (await call(world.ecs.list_services, cluster=CLUSTER))["serviceArns"] == []
    with pytest.raises(ClientError) as caught:
        await world.update(desiredCount=1)
    assert caught.value.response["Error"]["Code"] == "ServiceNotActiveException"
    await world.create_service(definition, desired=0)
    await world.stable()
    await call(world.ecs.delete_service, cluster=CLUSTER, service="web")
    await until(inactive)
    await call(world.ecs.delete_cluster, cluster=CLUSTER)


async def test_tasks_go_on_when_the_daemon_is_killed_and_are_adopted(home: Home, account: str, region: str) -> None:
    async with abandoned(home) as cloud:
        world = await furnished(cloud, account, region)
        await world.create_service(await world.register())
        await world.stable()
        alive, dead = await world.tasks()
        await until(lambda: two_lines(world))
        victim = world.pid(dead)
    os.kill(victim, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, victim, 0)
    # It serves on, and what it writes now isn't lost.
    assert (await ask(alive, "/say/alone"))["environment"]["MODE"] == "good"
    async with running_cloud(home, SERVICES) as cloud:
        world = await found(cloud, account, region)
        await world.balancers.register(TARGET_GROUP, address(alive), 8080)
        await world.stable()
        assert (await world.task(alive["taskArn"]))["lastStatus"] == "RUNNING"
        container = (await world.task(dead["taskArn"]))["containers"][0]
        assert "exitCode" not in container
        assert "exit code is unknown" in container["reason"]
        assert len(await world.tasks()) == 2
        # Neither lost nor twice: three tasks, one line each.
        await until(lambda: three_lines(world))
        assert len(await world.lines("listening")) == 3
        await until(lambda: world.lines("alone"))


async def two_lines(world: World) -> bool:
    return len(await world.lines("listening")) == 2


async def three_lines(world: World) -> bool:
    return len(await world.lines("listening")) == 3


async def test_down_ends_every_task_and_up_brings_the_service_back(home: Home, account: str, region: str) -> None:
    async with running_cloud(home, SERVICES) as cloud:
        world = await furnished(cloud, account, region)
        await world.create_service(await world.register())
        service = await world.stable()
        before = {task["taskArn"] for task in await world.tasks()}
        pids = [world.pid(task) for task in await world.tasks()]
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]  # noqa: PTH110
    async with running_cloud(home, SERVICES) as cloud:
        world = await found(cloud, account, region)
        again = await world.stable()
        assert again["deployments"][0]["id"] == service["deployments"][0]["id"]
        assert len(await world.tasks()) == 2
        assert not before & {task["taskArn"] for task in await world.tasks()}
        assert list(cloud.service(Balancers).health(TARGET_GROUP).values()) == ["healthy"] * 2
        kinds = [entry["kind"] for entry in cloud.services["ecs"].status()]
        assert sorted(kinds) == ["service", "task", "task"]


async def test_a_tag_that_moves_does_not_split_a_deployment(world: World) -> None:
    await world.create_service(await world.register(), desired=1)
    await world.stable()
    (first,) = await world.tasks()
    await world.push("good", Env=["RELEASE=2", "PATH=/usr/bin:/bin"])
    os.kill(world.pid(first), signal.SIGKILL)
    await world.reached(first["taskArn"], "STOPPED")
    await world.stable()
    (second,) = await world.tasks()
    assert second["containers"][0]["imageDigest"] == first["containers"][0]["imageDigest"]
    await world.update(forceNewDeployment=True)
    await world.stable()
    (third,) = await world.tasks()
    assert third["containers"][0]["imageDigest"] != first["containers"][0]["imageDigest"]


async def test_lines_are_in_the_log_group_soon(world: World) -> None:
    await world.create_service(await world.register(), desired=1)
    await until(lambda: world.lines("listening"))
    streams = await call(world.logs.describe_log_streams, logGroupName=LOG_GROUP)
    assert len(streams["logStreams"]) == 1
