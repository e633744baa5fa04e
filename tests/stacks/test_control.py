"""An account's whole control stack, as the program asks for it."""

from __future__ import annotations

import json
from functools import cache

import pytest

from stacks.control import ControlStack
from stacks.problems import SettingsError
from stacks.settings import parse
from tests.stacks.files import CONTROLS, control_of, stack_file
from tests.stacks.golden import PLACE, graph
from tests.stacks.recording import Recording, policy, record
from tests.stacks.sdk_types import complaints

every_control = pytest.mark.parametrize("stack", CONTROLS)


@cache
def recorded(stack: str) -> Recording:
    return record(lambda: ControlStack(control_of(stack)), stack, lambda made: made.outputs)


def changed(stack: str, **groups: object) -> str:
    document = json.loads(json.dumps(stack_file(stack)["config"]["drydock:settings"]))
    for name, value in groups.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
    return json.dumps(document)


def test_there_is_one_for_the_dock_and_one_for_aws():
    assert CONTROLS == ["control", "control-production"]


@every_control
def test_the_graph_is_the_reviewed_one(stack):
    """After a wanted change: `python -m tests.stacks.golden`, and review the difference."""
    assert graph(recorded(stack)) == (PLACE / f"{stack}.txt").read_text()


@every_control
def test_every_input_is_one_that_the_sdk_knows(stack):
    assert [line for each in recorded(stack).custom() for line in complaints(each.type, each.inputs)] == []


@every_control
def test_every_resource_names_the_accounts_own_provider(stack):
    run = recorded(stack)
    provider = run.one("aws")
    assert {each.name for each in run.custom() if not each.provider.startswith(f"{provider.urn}::")} == set()
    assert json.loads(provider.inputs["allowedAccountIds"]) == [control_of(stack).account]


@every_control
def test_it_keeps_no_secret_in_its_state(stack):
    assert [(each.name, each.secret) for each in recorded(stack).resources if each.secret] == []


@every_control
def test_data_are_protected_as_the_settings_say(stack):
    run, protect = recorded(stack), control_of(stack).protection.data
    data = [each for each in run.custom() if each.type.split(":")[-1] in ("Table", "Bucket", "Key")]
    assert {each.protect for each in data} == {protect}
    assert {each.inputs["deletionProtectionEnabled"] for each in run.of("Table")} == {protect}


@every_control
def test_every_bucket_is_private_encrypted_versioned_and_reached_over_tls(stack):
    run = recorded(stack)
    buckets = {each.inputs["bucket"] for each in run.of("s3/bucket:Bucket")}
    assert len(buckets) == 3
    for kind in ("BucketPublicAccessBlock", "BucketServerSideEncryptionConfiguration", "BucketVersioning"):
        assert {each.inputs["bucket"] for each in run.of(kind)} == buckets
    for each in run.of("BucketPolicy"):
        assert policy(each.inputs["policy"])[0]["Sid"] == "TlsOnly"


@every_control
def test_the_manifest_names_everything_in_both_regions(stack):
    settings = control_of(stack)
    primary, recovery = sorted(recorded(stack).of("Parameter"), key=lambda each: each.name)
    assert primary.inputs["insecureValue"] == recovery.inputs["insecureValue"]
    assert recovery.inputs["region"] == settings.recovery_region
    document = json.loads(primary.inputs["insecureValue"])
    assert document["schema_version"] == 1
    assert document["state"]["bucket"] == settings.state_bucket
    assert set(document["runs"]) == {
        "journal", "leases", "approvals", "ledger", "evidence_bucket", "evidence_days",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"protection": {"data": False}}, "account 123456789012 may lose its runs and its audit trail"),
        ({"runs": {"evidence_days": 5}}, "runs.evidence_days is 5 although data are protected"),
        ({"audit": {"keep_days": 5}}, "audit.keep_days is 5 although data are protected"),
        ({"protection": {"acknowledgement": "x"}}, "acknowledgement is for data: false"),
        ({"recovery_region": "us-east-1"}, "recovery_region must be another region"),
        ({"name": "control"}, 'drydock:settings.name: is "control", which is not the stack\'s name'),
        ({"budget": {"emails": []}}, "drydock:settings.budget.emails: has 0 entries"),
        ({"budget": {"emails": ["nobody"]}}, "drydock:settings.budget.emails[0]"),
        ({"state": {"old_version_days": 1}}, "did you mean old_versions_days?"),
    ],
)
def test_what_takes_protection_away_or_makes_no_sense_is_refused(groups, said):
    with pytest.raises(SettingsError) as error:
        parse(changed("control-production", **groups), "control-production")
    assert said in str(error.value)


def test_a_kind_that_there_isnt_is_refused_with_those_there_are():
    with pytest.raises(
        SettingsError, match=r'drydock:settings\.kind: is "contorl"; expected what the stack is: environment or control'
    ):
        parse(changed("control", kind="contorl"), "control")
