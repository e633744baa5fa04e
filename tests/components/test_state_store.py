import json

import pytest

from components.state_store import DESCRIPTION, key_policy
from tests.components.build import build

KEY_ID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9"


def test_bucket_and_key_outlive_the_stack_whose_state_they_hold():
    run = build("state_store", "StateStore")
    assert {each.retain for each in run.custom()} == {True}
    assert {each.type.split(":")[-1] for each in run.custom() if each.protect} == {"Key", "Bucket"}


def test_the_bucket_is_encrypted_with_the_key():
    run = build("state_store", "StateStore")
    (rule,) = run.one("BucketServerSideEncryptionConfiguration").inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {
        "sseAlgorithm": "aws:kms",
        "kmsMasterKeyId": "arn:aws:kms:us-east-1:123456789012:thing-key",
    }


@pytest.mark.parametrize(
    ("adopted", "imported"),
    [(KEY_ID, {"Key": KEY_ID, "Alias": "alias/state", "Bucket": "state-123456789012"}), (None, {})],
)
def test_what_bootstrap_made_is_adopted(adopted, imported):
    run = build("state_store", "StateStore", adopted_key=adopted)
    assert {each.type.split(":")[-1]: each.import_id for each in run.custom() if each.import_id} == imported


def test_the_key_is_as_bootstrap_makes_it_or_it_could_not_be_adopted():
    key = build("state_store", "StateStore").one("Key").inputs
    assert json.loads(key.pop("policy")) == json.loads(key_policy("123456789012"))
    assert key == {"description": DESCRIPTION, "enableKeyRotation": True}
