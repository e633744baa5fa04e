import json

import pulumi

from components.manifest import Manifest, ManifestArgs
from tests.components.build import build
from tests.stacks.recording import record


def test_both_regions_have_the_same_document():
    primary, recovery = sorted(build("manifest", "Manifest").of("Parameter"), key=lambda each: each.name)
    assert "region" not in primary.inputs
    assert recovery.inputs["region"] == "us-west-2"
    assert primary.inputs["insecureValue"] == recovery.inputs["insecureValue"] == '{"a": 1}'
    assert primary.inputs["tier"] == recovery.inputs["tier"] == "Advanced"


def test_outputs_deep_inside_are_resolved():
    def program():
        document = {"services": {"web": {"subnets": [pulumi.Output.from_input("subnet-a")]}}}
        return Manifest("thing", ManifestArgs(parameter="/a", recovery_region="us-west-2", document=document))

    parameter = record(program).one("Parameter", "primary")
    assert json.loads(parameter.inputs["insecureValue"]) == {"services": {"web": {"subnets": ["subnet-a"]}}}


def test_a_secret_that_slipped_in_is_at_least_not_shown():
    def program():
        document = {"password": pulumi.Output.secret("canary")}
        return Manifest("thing", ManifestArgs(parameter="/a", recovery_region="us-west-2", document=document))

    assert record(program).one("Parameter", "primary").secret == {"insecureValue"}
