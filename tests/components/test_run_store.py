import pytest

from tests.components.build import build

TABLES = {
    "journal": ("run", "entry"),
    "leases": ("environment", None),
    "approvals": ("run", "approver"),
    "ledger": ("environment", "run"),
}


@pytest.mark.parametrize("noun", TABLES)
def test_a_table_is_encrypted_recoverable_and_copied(noun):
    table = build("run_store", "RunStore").one("Table", noun).inputs
    assert table["name"] == f"thing-{noun}"
    assert (table["hashKey"], table.get("rangeKey")) == TABLES[noun]
    assert table["billingMode"] == "PAY_PER_REQUEST"
    assert table["pointInTimeRecovery"] == {"enabled": True}
    assert table["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k"}
    assert table["replicas"] == [{"regionName": "us-west-2", "kmsKeyArn": "arn:aws:kms:us-west-2:123456789012:key/k"}]


@pytest.mark.parametrize("protect", [True, False])
def test_deletion_protection_is_as_the_settings_say(protect):
    run = build("run_store", "RunStore", protect=protect)
    assert {each.inputs["deletionProtectionEnabled"] for each in run.of("Table")} == {protect}


def test_neither_a_fencing_token_nor_the_ledger_is_ever_forgotten():
    run = build("run_store", "RunStore")
    expiring = {each.inputs["name"] for each in run.of("Table") if "ttl" in each.inputs}
    assert expiring == {"thing-journal", "thing-approvals"}


def test_evidence_is_locked():
    rule = build("run_store", "RunStore", evidence_days=90).one("BucketObjectLockConfiguration").inputs["rule"]
    assert rule["defaultRetention"] == {"mode": "GOVERNANCE", "days": 90}
