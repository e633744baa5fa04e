"""The stages of deployments with two sides, and what a deploymentConfiguration may say, without any dock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dock.aws.ecs import stages
from dock.aws.ecs.deployment_alarms import configured
from dock.aws.ecs.deployment_configuration import check_sides, deployment_configuration
from dock.aws.service import AwsError

PAUSE = {"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}
ENTRY = {
    "targetGroupArn": "a",
    "containerName": "web",
    "containerPort": 1,
    "advancedConfiguration": {
        "alternateTargetGroupArn": "b",
        "productionListenerRule": "p",
        "testListenerRule": "t",
        "roleArn": "r",
    },
}


def test_the_stages_come_in_ecs_order() -> None:
    seen = [stages.PRE_SCALE_UP]
    while seen[-1] != stages.CLEAN_UP:
        seen.append(stages.following(seen[-1]))
    assert seen.index("SCALE_UP") < seen.index("TEST_TRAFFIC_SHIFT") < seen.index("PRODUCTION_TRAFFIC_SHIFT")
    assert seen[-2:] == ["BAKE_TIME", "CLEAN_UP"]


@given(st.integers(30, 1000))
def test_linear_steps_grow_by_the_same_share_up_to_everything(tenths: int) -> None:
    step = tenths / 10
    shares = stages.shares({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": step}})
    percents = [percent for percent, _ in shares]
    assert percents == sorted(set(percents))
    assert percents[-1] == 100
    assert all(abs(after - before) <= step + 0.1 for before, after in zip([0.0, *percents], percents, strict=False))
    assert shares[-1][1] == 0


def test_a_canary_goes_first_and_alone() -> None:
    canary = {"canaryPercent": 20.0, "canaryBakeTimeInMinutes": 3}
    assert stages.shares({"strategy": "CANARY", "canaryConfiguration": canary}) == [(20.0, 3), (100.0, 0)]
    assert stages.shares({"strategy": "BLUE_GREEN"}) == [(100.0, 0)]


@given(st.integers(0, 1000))
def test_weights_are_what_a_rule_takes_and_give_the_share_exactly(tenths: int) -> None:
    here, there = stages.weights(tenths / 10)
    assert 0 <= here <= 999
    assert 0 <= there <= 999
    assert here * 1000 == tenths * (here + there)


@pytest.mark.parametrize(
    ("given_", "complaint"),
    [
        ({"strategy": "BLUE_GREEN"}, "bakeTimeInMinutes must be provided"),
        ({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1441}, "0 to 1440"),
        ({"strategy": "ROLLING", "bakeTimeInMinutes": 5}, "can not be used with the deployment strategy ROLLING"),
        ({"strategy": "ROLLING", "lifecycleHooks": [PAUSE]}, "can not be used"),
        ({"strategy": "LINEAR", "canaryConfiguration": {"canaryPercent": 5.0}}, "can not be used"),
        ({"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 0.05}}, "multiple of 0.1"),
        ({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 2.0}}, "from 3.0"),
        (
            {
                "strategy": "BLUE_GREEN",
                "bakeTimeInMinutes": 0,
                "lifecycleHooks": [{"hookTargetArn": "arn:aws:lambda:f", "lifecycleStages": ["POST_SCALE_UP"]}],
            },
            "has no Lambda",
        ),
        (
            {
                "strategy": "BLUE_GREEN",
                "bakeTimeInMinutes": 0,
                "lifecycleHooks": [{**PAUSE, "lifecycleStages": ["PRODUCTION_TRAFFIC_SHIFT"]}],
            },
            "can not be used at the stage",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(given_: dict[str, object], complaint: str) -> None:
    with pytest.raises(AwsError, match=complaint):
        deployment_configuration(given_, {})


def test_going_back_to_rolling_drops_what_only_two_sides_have() -> None:
    before = deployment_configuration({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5, "lifecycleHooks": [PAUSE]}, {})
    after = deployment_configuration({"strategy": "ROLLING"}, before)
    assert {"bakeTimeInMinutes", "lifecycleHooks"}.isdisjoint(after)


def test_two_sides_need_two_target_groups_and_a_rule() -> None:
    two_sided = deployment_configuration({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5}, {})
    check_sides(two_sided, [ENTRY])
    check_sides(two_sided, [])
    plain = {key: value for key, value in ENTRY.items() if key != "advancedConfiguration"}
    check_sides(deployment_configuration({}, {}), [plain])
    with pytest.raises(AwsError, match="advancedConfiguration must be provided"):
        check_sides(two_sided, [plain])
    same = {**ENTRY["advancedConfiguration"], "alternateTargetGroupArn": "a"}  # type: ignore[dict-item]
    with pytest.raises(AwsError, match="another target group"):
        check_sides(two_sided, [{**ENTRY, "advancedConfiguration": same}])


def test_alarms_that_are_not_enabled_are_not_listened_to() -> None:
    alarms = {"alarmNames": ["a"], "enable": True, "rollback": True}
    assert configured({"alarms": alarms}) == ["a"]
    assert configured({"alarms": {**alarms, "enable": False}}) == configured({}) == []
