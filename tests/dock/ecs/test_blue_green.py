"""Blue-green deployments behind the dock's own load balancer: what users see, at each stage and on the way back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dock.aws.cloudwatch import CloudWatch
from dock.aws.ecr import Ecr
from dock.aws.ecs import Ecs
from dock.aws.elbv2 import Elbv2
from dock.aws.logs import Logs
from dock.aws.service import Service
from dock.home import Home
from tests.dock.conftest import call, running_cloud
from tests.dock.ecs.conftest import abandoned, daemon, found, furnished, until
from tests.dock.ecs.sides import Sides, may_shift, revision_at, sides, users

pytestmark = pytest.mark.dock

BREAKER = {"enable": True, "rollback": True, "thresholdConfiguration": {"type": "COUNT", "value": 2}}


SERVICES: list[type[Service]] = [CloudWatch, Logs, Ecr, Elbv2, Ecs]


@pytest.fixture
async def pair(home: Home, account: str, region: str) -> AsyncIterator[Sides]:
    async with running_cloud(home, SERVICES) as cloud:
        yield await sides(await furnished(cloud, account, region))


async def test_a_good_release_comes_to_and_fro_without_one_failed_request(pair: Sides) -> None:
    world = pair.world
    await pair.create(await world.register())
    assert await pair.weights() == [100, 0]
    with users(pair.url) as found:
        await world.update(taskDefinition=await world.register())
        shown = await pair.ended()
        assert (shown["status"], shown["lifecycleStage"]) == ("SUCCESSFUL", "CLEAN_UP")
        assert shown["targetServiceRevision"]["requestedProductionTrafficWeight"] == 100
        assert await pair.weights() == await pair.weights(pair.test) == [0, 100]
        assert await revision_at(pair.url) == "2"
        # The next one goes the other way.
        await world.update(taskDefinition=await world.register())
        assert (await pair.ended())["status"] == "SUCCESSFUL"
        assert await pair.weights() == [100, 0]
    print(f"\n{len(found.seen)} requests, {len(found.failures)} failed, {dict(found.revisions())}")
    assert len(found.seen) > 100
    assert found.failures == []
    assert set(found.revisions()) == {"1", "2", "3"}
    assert {task["taskDefinitionArn"].rpartition(":")[2] for task in await world.tasks()} == {"3"}


async def test_green_is_tested_before_users_get_it_and_a_rollback_takes_it_away_at_once(pair: Sides) -> None:
    world = pair.world
    await pair.create(await world.register(), desired=1)
    pause = {"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"]}
    await pair.configure(strategy="BLUE_GREEN", bakeTimeInMinutes=10, lifecycleHooks=[pause])
    with users(pair.url) as found:
        await world.update(taskDefinition=await world.register())
        paused = await pair.reached("POST_TEST_TRAFFIC_SHIFT")
        hook = (await until(lambda: _hooks(pair)))[0]
        assert (hook["status"], hook["timeoutAction"]) == ("AWAITING_ACTION", "ROLLBACK")
        assert (await revision_at(pair.url), await revision_at(pair.test_url)) == ("1", "2")
        assert paused["targetServiceRevision"]["requestedTestTrafficWeight"] == 100
        arn = paused["serviceDeploymentArn"]
        await call(
            world.ecs.continue_service_deployment, serviceDeploymentArn=arn, hookId=hook["hookId"], action="CONTINUE"
        )
        await pair.reached("BAKE_TIME")
        assert await revision_at(pair.url) == "2"
        began = time.monotonic()
        await call(world.ecs.stop_service_deployment, serviceDeploymentArn=arn, stopType="ROLLBACK")

        async def back() -> bool:
            return await pair.weights() == [100, 0]

        await until(back, 20)
        shifted = time.monotonic()
        shown = await pair.ended()
    assert shown["status"] == "ROLLBACK_SUCCESSFUL"
    assert shown["rollback"]["serviceRevisionArn"] == shown["sourceServiceRevisions"][0]["arn"]
    print(
        f"\nrollback: weights back after {shifted - began:.2f} s, the last answer of green after"
        f" {found.last_of('2') - began:.2f} s, {len(found.failures)} of {len(found.seen)} requests failed"
    )
    assert found.failures == []
    assert found.last_of("2") - began < 5
    assert await pair.weights(pair.test) == [100, 0]
    assert {task["taskDefinitionArn"].rpartition(":")[2] for task in await world.tasks()} == {"1"}
    with pytest.raises(ClientError, match="ConflictException"):
        await call(world.ecs.stop_service_deployment, serviceDeploymentArn=arn)


async def _hooks(pair: Sides) -> list[dict[str, str]]:
    return list((await pair.deployment())["lifecycleHookDetails"])


async def test_a_green_that_never_gets_healthy_is_taken_away_while_blue_serves(pair: Sides) -> None:
    world = pair.world
    await pair.create(await world.register(), desired=1, deploymentCircuitBreaker=BREAKER)
    with users(pair.url) as found:
        await world.update(taskDefinition=await world.register(mode="crash"))
        shown = await pair.ended()
        await world.stable(60)
    assert (shown["status"], shown["deploymentCircuitBreaker"]["status"]) == ("ROLLBACK_SUCCESSFUL", "TRIGGERED")
    assert found.failures == []
    assert set(found.revisions()) == {"1"}
    assert (await world.service())["taskDefinition"].endswith(":1")


async def _alarm(cloudwatch: Any, name: str) -> None:
    """An alarm over a minute, which rings when it is told to."""
    await call(
        cloudwatch.put_metric_alarm,
        AlarmName=name,
        Namespace="test",
        MetricName=name,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )


async def test_an_alarm_during_the_bake_brings_blue_back(pair: Sides) -> None:
    world = pair.world
    cloudwatch = world.cloud.client("cloudwatch", world.account, world.region)
    for name in ("errors", "old-trouble"):
        await _alarm(cloudwatch, name)
    await pair.create(await world.register(), desired=1)
    alarms = {"alarmNames": ["errors", "old-trouble"], "enable": True, "rollback": True}
    await pair.configure(strategy="BLUE_GREEN", bakeTimeInMinutes=10, alarms=alarms)
    await call(cloudwatch.set_alarm_state, AlarmName="old-trouble", StateValue="ALARM", StateReason="before")
    with users(pair.url) as found:
        await world.update(taskDefinition=await world.register(mode="wrong"))
        baking = await pair.reached("BAKE_TIME")
        assert baking["alarms"]["status"] == "MONITORING"
        began = time.monotonic()
        await call(cloudwatch.set_alarm_state, AlarmName="errors", StateValue="ALARM", StateReason="deliberate")
        shown = await pair.ended()
    assert (shown["status"], shown["alarms"]["status"]) == ("ROLLBACK_SUCCESSFUL", "TRIGGERED")
    assert shown["alarms"]["triggeredAlarmNames"] == ["errors"]
    wrong = [moment for moment, status, _ in found.seen if status == 500]
    print(f"\n{len(wrong)} of {len(found.seen)} requests failed, the last {max(wrong) - began:.2f} s after the alarm")
    assert max(wrong) - began < 5
    assert found.failures == [each for each in found.failures if each[1] == 500]
    assert await revision_at(pair.url) == "1"


async def test_tasks_are_replaced_and_counted_on_both_sides_while_green_bakes(pair: Sides) -> None:
    world = pair.world
    await pair.create(await world.register(), desired=1)
    await pair.configure(strategy="BLUE_GREEN", bakeTimeInMinutes=10)
    await world.update(taskDefinition=await world.register())
    await pair.reached("BAKE_TIME")
    blue = next(task for task in await world.tasks() if task["taskDefinitionArn"].endswith(":1"))
    await call(world.ecs.stop_task, cluster="chat-local", task=blue["taskArn"])
    await world.update(desiredCount=2)

    async def both() -> bool:
        running = [task for task in await world.tasks() if task["lastStatus"] == "RUNNING"]
        revisions = sorted(task["taskDefinitionArn"].rpartition(":")[2] for task in running)
        return revisions == ["1", "1", "2", "2"] and blue["taskArn"] not in [task["taskArn"] for task in running]

    await until(both, 60)
    # A third release while the second bakes: the second, which has the traffic, is its blue.
    first = (await pair.deployment())["serviceDeploymentArn"]
    await world.update(taskDefinition=await world.register(), deploymentConfiguration={"bakeTimeInMinutes": 0})
    with users(pair.url) as found:
        assert (await pair.ended())["status"] == "SUCCESSFUL"
    assert found.failures == []
    assert set(found.revisions()) <= {"2", "3"}
    assert await pair.weights() == [100, 0]
    answer = await call(world.ecs.describe_service_deployments, serviceDeploymentArns=[first])
    assert answer["serviceDeployments"][0]["status"] == "STOPPED"


async def test_a_role_that_may_not_change_the_rules_ends_the_deployment_and_blue_serves_on(pair: Sides) -> None:
    world = pair.world
    await pair.create(await world.register(), desired=1)
    iam = world.cloud.client("iam", world.account, world.region)
    await call(iam.delete_role_policy, RoleName="ecs-infrastructure", PolicyName="shift")
    await world.update(taskDefinition=await world.register())

    async def failed() -> bool:
        found = await pair.deployment()
        return bool(found["status"] == "ROLLBACK_IN_PROGRESS")

    await until(failed, 60)
    assert any("not authorized" in event["message"] for event in (await world.service())["events"])
    assert (await pair.weights(), await revision_at(pair.url)) == ([100, 0], "1")
    with pytest.raises(ClientError, match="Unable to assume role and validate"):
        await world.update(loadBalancers=[pair.load_balancer])
    await may_shift(iam)
    assert (await pair.ended())["status"] == "ROLLBACK_SUCCESSFUL"


async def test_killed_daemons_carry_a_deployment_on_and_users_notice_nothing(
    home: Home, account: str, region: str
) -> None:
    async with abandoned(home, SERVICES) as cloud:
        pair = await sides(await furnished(cloud, account, region))
        first, second = await pair.world.register(), await pair.world.register()
        await pair.create(first, desired=1)
        await pair.configure(strategy="BLUE_GREEN", bakeTimeInMinutes=10)
        await pair.world.update(taskDefinition=second)

    async def shifted() -> bool:
        return await revision_at(pair.url) == "2"

    with users(pair.url) as seen:
        # SIGKILL on the way, twice, then in the bake.
        for _ in range(2):
            async with daemon(home):
                await asyncio.sleep(random.uniform(0.0, 1.5))
        async with daemon(home):
            await until(shifted, 60)
        assert await shifted()
        async with running_cloud(home, SERVICES) as cloud:
            pair.world = await found(cloud, account, region)
            pair.elb = cloud.client("elbv2", account, region)
            baking = await pair.reached("BAKE_TIME")
            running = [task for task in await pair.world.tasks() if task["lastStatus"] == "RUNNING"]
            assert len(running) == 2
            arn = baking["serviceDeploymentArn"]
            await call(pair.world.ecs.stop_service_deployment, serviceDeploymentArn=arn, stopType="ROLLBACK")
            assert (await pair.ended())["status"] == "ROLLBACK_SUCCESSFUL"
            assert await pair.weights() == [100, 0]
            ended = len(seen.seen)
    # Without the dock, which is taken down at the end, nobody answers.
    assert ended > 100
    assert [each for each in seen.seen[:ended] if each[1] != 200] == []


async def test_an_alarm_rolls_a_rolling_deployment_back_even_after_the_old_tasks_are_gone(pair: Sides) -> None:
    world = pair.world
    cloudwatch = world.cloud.client("cloudwatch", world.account, world.region)
    await _alarm(cloudwatch, "errors")
    plain = {key: value for key, value in pair.load_balancer.items() if key != "advancedConfiguration"}
    await world.create_service(await world.register(), 1, balanced=False, loadBalancers=[plain])
    await world.stable(60)
    alarms = {"alarmNames": ["errors", "not-there-yet"], "enable": True, "rollback": True}
    await world.update(taskDefinition=await world.register(mode="wrong"), deploymentConfiguration={"alarms": alarms})

    async def replaced() -> bool:
        running = [task["taskDefinitionArn"] for task in await world.tasks() if task["lastStatus"] == "RUNNING"]
        return [arn.rpartition(":")[2] for arn in running] == ["2"]

    await until(replaced, 60)
    # The alarm looks a minute back: so long the deployment is still watched.
    shown = await pair.deployment()
    assert (shown["status"], shown["alarms"]["status"]) == ("IN_PROGRESS", "MONITORING")
    assert any("(alarm not-there-yet)" in event["message"] for event in (await world.service())["events"])
    await call(cloudwatch.set_alarm_state, AlarmName="errors", StateValue="ALARM", StateReason="deliberate")
    shown = await pair.ended()
    assert (shown["status"], shown["alarms"]["triggeredAlarmNames"]) == ("ROLLBACK_SUCCESSFUL", ["errors"])
    assert await revision_at(pair.url) == "1"


async def test_a_canary_gets_its_share_before_everybody_does(pair: Sides) -> None:
    world = pair.world
    await pair.create(await world.register(), desired=1)
    canary = {"canaryPercent": 12.5, "canaryBakeTimeInMinutes": 0}
    await pair.configure(strategy="CANARY", bakeTimeInMinutes=0, canaryConfiguration=canary)
    with users(pair.url) as found:
        await world.update(taskDefinition=await world.register())
        assert (await pair.ended())["status"] == "SUCCESSFUL"
    shares = [
        event["message"] for event in (await world.service())["events"] if "production traffic" in event["message"]
    ]
    assert ["12.5 %" in shares[1], "100 %" in shares[0]] == [True, True]
    assert (found.failures, await pair.weights()) == ([], [0, 100])


async def test_traffic_moves_by_rules_of_their_own_and_with_a_role_that_ecs_may_take_on(pair: Sides) -> None:
    world, advanced = pair.world, pair.load_balancer["advancedConfiguration"]
    rule = (await call(pair.elb.describe_rules, RuleArns=[pair.production]))["Rules"][0]
    listener = rule["RuleArn"].rpartition("/")[0].replace("listener-rule", "listener")
    rules = (await call(pair.elb.describe_rules, ListenerArn=listener))["Rules"]
    (default,) = [each["RuleArn"] for each in rules if each["IsDefault"]]
    for change, complaint in [
        ({"productionListenerRule": default}, "is a default rule"),
        ({"productionListenerRule": f"{pair.production[:-4]}0000"}, "not found"),
        ({"roleArn": f"arn:aws:iam::{world.account}:role/execution"}, "Unable to assume role"),
    ]:
        entry = {**pair.load_balancer, "advancedConfiguration": {**advanced, **change}}
        with pytest.raises(ClientError, match=complaint):
            await world.create_service(
                await world.register(),
                1,
                balanced=False,
                loadBalancers=[entry],
                deploymentConfiguration={"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0},
            )


async def test_an_aborted_deployment_stays_where_it_is_and_the_next_one_tidies_up(pair: Sides) -> None:
    world = pair.world
    await pair.create(await world.register(), desired=1)
    pause = {"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"]}
    await pair.configure(strategy="BLUE_GREEN", bakeTimeInMinutes=0, lifecycleHooks=[pause])
    await world.update(taskDefinition=await world.register())
    arn = (await pair.reached("POST_TEST_TRAFFIC_SHIFT"))["serviceDeploymentArn"]
    await call(world.ecs.stop_service_deployment, serviceDeploymentArn=arn, stopType="ABORT")
    stopped = await pair.ended()
    assert stopped["status"] == "STOPPED"
    assert stopped["stoppedAt"] == stopped["finishedAt"]
    assert (await revision_at(pair.url), await revision_at(pair.test_url)) == ("1", "2")
    with users(pair.url) as found:
        third = await world.register()
        await world.update(taskDefinition=third, deploymentConfiguration={"lifecycleHooks": []})
        assert (await pair.ended())["status"] == "SUCCESSFUL"
    assert (found.failures, set(found.revisions())) == ([], {"1", "3"})
    assert await revision_at(pair.test_url) == "3"
    assert {task["taskDefinitionArn"].rpartition(":")[2] for task in await world.tasks()} == {"3"}
