"""Auto Scaling as a client sees it, on an ECS service of real tasks and alarms of real measurements."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from dock.aws.application_autoscaling import ApplicationAutoScaling
from dock.aws.cloudwatch import CloudWatch, Datum
from dock.aws.service import Service
from dock.cloud import ACCOUNTS, REGIONS, Cloud
from dock.home import Home
from dock.store import Scope
from tests.dock.conftest import call, running_cloud
from tests.dock.ecs.conftest import CLUSTER, SERVICES, World, furnished, until

pytestmark = [pytest.mark.dock, pytest.mark.asyncio(loop_scope="module")]

TARGET = {
    "ServiceNamespace": "ecs",
    "ResourceId": f"service/{CLUSTER}/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
CPU = {
    "TargetValue": 60.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    "ScaleOutCooldown": 0,
    "ScaleInCooldown": 0,
}
KINDS: list[type[Service]] = [CloudWatch, *SERVICES, ApplicationAutoScaling]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud() -> AsyncIterator[Cloud]:
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    async with running_cloud(Home(root / "home"), KINDS) as cloud:
        yield cloud
    shutil.rmtree(root, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def furnished_world(cloud: Cloud) -> World:
    world = await furnished(cloud, ACCOUNTS[0], REGIONS[0])
    await world.create_service(await world.register(), desired=1, balanced=False)
    return world


@pytest_asyncio.fixture(loop_scope="module")
async def world(furnished_world: World) -> World:
    """One task and no scalable target, whatever the test before has left."""
    scaling = furnished_world.cloud.client("application-autoscaling", ACCOUNTS[0], REGIONS[0])
    with contextlib.suppress(ClientError):
        await call(scaling.deregister_scalable_target, **TARGET)
    for _, identifier, _ in furnished_world.cloud.service(ApplicationAutoScaling).activities.all():
        scope = Scope(ACCOUNTS[0], REGIONS[0])
        furnished_world.cloud.service(ApplicationAutoScaling).activities.delete(scope, identifier)
    await furnished_world.update(desiredCount=1)
    return furnished_world


@pytest.fixture
def scaling(world: World) -> Any:
    return world.cloud.client("application-autoscaling", world.account, world.region)


@pytest.fixture
def cloudwatch(world: World) -> Any:
    return world.cloud.client("cloudwatch", world.account, world.region)


async def registered(scaling: Any, low: int = 1, high: int = 3, **more: Any) -> None:
    await call(scaling.register_scalable_target, **TARGET, MinCapacity=low, MaxCapacity=high, **more)


async def tracking(scaling: Any, **changes: Any) -> dict[str, Any]:
    return dict(
        await call(
            scaling.put_scaling_policy,
            **TARGET,
            PolicyName="cpu",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={**CPU, **changes},
        )
    )


_minutes = itertools.count(-4)


def measured(world: World, percent: float) -> None:
    """The tasks' CPU as telemetry records it, each time a minute later than before: the newest counts."""
    dimensions = {"ClusterName": CLUSTER, "ServiceName": "web"}
    datum = Datum("CPUUtilization", dimensions, percent, "Percent", at=time.time() + 60 * next(_minutes))
    world.cloud.service(CloudWatch).record(Scope(world.account, world.region), "AWS/ECS", datum)


async def ring(cloudwatch: Any, answer: dict[str, Any], kind: str) -> None:
    name = next(alarm["AlarmName"] for alarm in answer["Alarms"] if kind in alarm["AlarmName"])
    await call(cloudwatch.set_alarm_state, AlarmName=name, StateValue="ALARM", StateReason="the test says so")


async def desired(world: World, count: int) -> None:
    async def there() -> bool:
        return bool((await world.service())["desiredCount"] == count)

    await until(there)


async def activities(scaling: Any, **more: Any) -> list[dict[str, Any]]:
    return list((await call(scaling.describe_scaling_activities, ServiceNamespace="ecs", **more))["ScalingActivities"])


async def test_registering_a_target_changes_no_count(world: World, scaling: Any) -> None:
    await registered(scaling, low=2)
    assert (await world.service())["desiredCount"] == 1
    (target,) = (await call(scaling.describe_scalable_targets, ServiceNamespace="ecs"))["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 3)
    await call(scaling.register_scalable_target, **TARGET, MaxCapacity=5)
    (target,) = (await call(scaling.describe_scalable_targets, ServiceNamespace="ecs"))["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 5)


async def test_target_tracking_makes_its_alarms_and_removes_them(scaling: Any, cloudwatch: Any) -> None:
    await registered(scaling)
    answer = await tracking(scaling)
    names = [alarm["AlarmName"] for alarm in answer["Alarms"]]
    found = {alarm["AlarmName"]: alarm for alarm in (await call(cloudwatch.describe_alarms))["MetricAlarms"]}
    high, low = (found[name] for name in names)
    assert (high["ComparisonOperator"], high["Threshold"], high["EvaluationPeriods"], high["Period"]) == (
        "GreaterThanThreshold",
        60.0,
        3,
        60,
    )
    assert (low["ComparisonOperator"], low["Threshold"], low["EvaluationPeriods"]) == ("LessThanThreshold", 54.0, 15)
    assert high["AlarmActions"] == low["AlarmActions"] == [answer["PolicyARN"]]
    assert [alarm["AlarmName"] for alarm in (await tracking(scaling, TargetValue=70.0))["Alarms"]] == names
    await call(scaling.delete_scaling_policy, **TARGET, PolicyName="cpu")
    assert (await call(cloudwatch.describe_alarms))["MetricAlarms"] == []


async def test_busy_tasks_get_more_beside_them_up_to_the_maximum(world: World, scaling: Any, cloudwatch: Any) -> None:
    await world.stable()
    await registered(scaling)
    answer = await tracking(scaling)
    measured(world, 110.0)
    await ring(cloudwatch, answer, "AlarmHigh")
    await desired(world, 2)

    async def fulfilled() -> Any:
        return [each for each in await activities(scaling) if each["StatusCode"] == "Successful"]

    (activity,) = await until(fulfilled)
    assert activity["Description"] == "Setting desired count to 2."
    assert "triggered policy cpu" in activity["Cause"]
    measured(world, 400.0)
    await call(cloudwatch.set_alarm_state, AlarmName=answer["Alarms"][0]["AlarmName"], StateValue="OK", StateReason="x")
    await ring(cloudwatch, answer, "AlarmHigh")
    await desired(world, 3)


async def test_idle_tasks_go_down_to_the_minimum_and_no_further(world: World, scaling: Any, cloudwatch: Any) -> None:
    await world.update(desiredCount=3)
    await registered(scaling, low=2)
    answer = await tracking(scaling)
    measured(world, 1.0)
    await ring(cloudwatch, answer, "AlarmLow")
    await desired(world, 2)
    await call(cloudwatch.set_alarm_state, AlarmName=answer["Alarms"][1]["AlarmName"], StateValue="OK", StateReason="x")
    await ring(cloudwatch, answer, "AlarmLow")

    async def refused() -> Any:
        return [
            each for each in await activities(scaling, IncludeNotScaledActivities=True) if "NotScaledReasons" in each
        ]

    (activity,) = await until(refused)
    assert activity["NotScaledReasons"][0]["Code"] == "AlreadyAtMinCapacity"
    assert (await world.service())["desiredCount"] == 2


async def test_a_suspended_target_is_left_alone(world: World, scaling: Any, cloudwatch: Any) -> None:
    await registered(scaling, SuspendedState={"DynamicScalingOutSuspended": True})
    answer = await tracking(scaling)
    measured(world, 200.0)
    await ring(cloudwatch, answer, "AlarmHigh")
    await world.cloud.service(CloudWatch).actions.settled()
    assert (await world.service())["desiredCount"] == 1
    assert await activities(scaling) == []


async def test_steps_scale_by_how_far_the_metric_is_beyond_its_alarm_and_cooldowns_hold(
    world: World, scaling: Any, cloudwatch: Any
) -> None:
    await registered(scaling, high=4)
    steps = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 2},
    ]
    configuration = {"AdjustmentType": "ChangeInCapacity", "Cooldown": 300, "StepAdjustments": steps}
    answer = await call(
        scaling.put_scaling_policy,
        **TARGET,
        PolicyName="queue",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration=configuration,
    )
    await call(
        cloudwatch.put_metric_alarm,
        AlarmName="queue",
        Namespace="own",
        MetricName="depth",
        Statistic="Maximum",
        Period=10,
        EvaluationPeriods=1,
        Threshold=50,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
        AlarmActions=[answer["PolicyARN"]],
    )
    record = world.cloud.service(CloudWatch).record
    scope = Scope(world.account, world.region)
    for depth, count in ((55.0, 2), (58.0, 2), (90.0, 3)):
        record(scope, "own", Datum("depth", {}, depth, at=time.time()))
        for state in ("OK", "ALARM"):
            await call(cloudwatch.set_alarm_state, AlarmName="queue", StateValue=state, StateReason="the test says so")
        await world.cloud.service(CloudWatch).actions.settled()
        # In its cooldown the first step counts as done: the same one adds nothing, a larger one the difference.
        assert (await world.service())["desiredCount"] == count


async def test_a_scheduled_action_moves_the_bounds_and_the_count_with_them(world: World, scaling: Any) -> None:
    await registered(scaling)
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1))
    await call(
        scaling.put_scheduled_action,
        **TARGET,
        ScheduledActionName="campaign",
        Schedule=f"at({soon})",
        ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 4},
    )
    await desired(world, 2)
    (activity,) = await activities(scaling)
    assert activity["Cause"] == "scheduled action name campaign was triggered"
    await call(scaling.deregister_scalable_target, **TARGET)
    assert (await call(scaling.describe_scheduled_actions, ServiceNamespace="ecs"))["ScheduledActions"] == []


async def test_what_can_not_be_scaled_is_refused(scaling: Any) -> None:
    wrong: list[dict[str, Any]] = [
        {"ResourceId": f"service/{CLUSTER}/nobody"},
        {"ServiceNamespace": "dynamodb", "ScalableDimension": "dynamodb:table:ReadCapacityUnits"},
        {"MinCapacity": 4},
    ]
    for changes in wrong:
        with pytest.raises(ClientError, match="ValidationException"):
            await call(scaling.register_scalable_target, **{**TARGET, "MinCapacity": 1, "MaxCapacity": 3, **changes})
    with pytest.raises(ClientError, match="ObjectNotFoundException"):
        await tracking(scaling)
