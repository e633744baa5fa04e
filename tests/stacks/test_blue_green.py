"""An environment whose deployments have two sides: production's figures, with another strategy."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import pytest

from operations.manifest import parse as parse_manifest
from stacks import platforms, settings
from stacks.environment import Environment
from stacks.problems import SettingsError
from stacks.settings import Settings
from tests.stacks.files import stack_file
from tests.stacks.recording import Recording, record
from tests.stacks.sdk_types import complaints

DEPLOYMENT = {
    "strategy": "blue_green",
    "bake_minutes": 5,
    "test_header": {"name": "X-Release-Side", "value": "test"},
    "alarms": ["error-rate", "nobody-serves"],
}


def parsed(deployment: dict[str, Any]) -> Settings:
    document = copy.deepcopy(stack_file("production")["config"]["drydock:settings"])
    document["service"]["deployment"] = deployment
    found = settings.parse(json.dumps(document), "production")
    assert isinstance(found, Settings)
    return found


@cache
def recorded() -> Recording:
    found = parsed(DEPLOYMENT)
    return record(lambda: Environment(found, platforms.load(found.platform)), "production", lambda made: made.outputs)


def test_the_service_goes_between_the_load_balancers_two_target_groups():
    run = recorded()
    groups = [f"{each.name}" for each in run.of("TargetGroup")]
    assert groups == ["chatvrm-production-web-targets", "chatvrm-production-web-alternate-targets"]
    (entry,) = run.one("Service", "web-service").inputs["loadBalancers"]
    assert entry["targetGroupArn"] != entry["advancedConfiguration"]["alternateTargetGroupArn"]


def test_the_alarms_of_deployments_are_alarms_of_the_environment():
    run = recorded()
    wanted = run.one("Service", "web-service").inputs["alarms"]["alarmNames"]
    assert wanted == ["chatvrm-production-error-rate", "chatvrm-production-nobody-serves"]
    assert set(wanted) <= {each.inputs["name"] for each in run.of("MetricAlarm")}


def test_every_input_is_one_that_the_sdk_knows():
    assert [line for each in recorded().custom() for line in complaints(each.type, each.inputs)] == []


def test_the_manifest_tells_operations_where_the_other_side_is():
    (document,) = {
        each.inputs["insecureValue"] for each in recorded().of("Parameter") if "manifest" in each.inputs["name"]
    }
    service = parse_manifest(document, "chatvrm", "production").services["web"]
    deployment = service.deployment
    assert deployment.strategy == "blue_green"
    assert deployment.alternate_target_group != service.target_group
    assert deployment.production_rule != deployment.test_rule


@pytest.mark.parametrize(
    ("deployment", "complaint"),
    [
        ({"strategy": "blue_green"}, "bake_minutes"),
        ({"strategy": "rolling", "bake_minutes": 5}, "for the strategy blue_green"),
        ({"strategy": "BLUE_GREEN"}, "strategy"),
        ({"strategy": "rolling", "alarms": ["eror-rate"]}, "alarms"),
    ],
)
def test_a_contradiction_is_refused(deployment, complaint):
    with pytest.raises(SettingsError) as caught:
        parsed(deployment)
    assert complaint in "\n".join(caught.value.problems)
