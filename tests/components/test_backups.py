import pytest

from tests.components.build import build
from tests.stacks.recording import policy


def test_days_weeks_and_months_are_kept_here_and_elsewhere():
    rules = build("backups", "Backups").one("backup/plan:Plan").inputs["rules"]
    assert {rule["ruleName"]: rule["lifecycle"]["deleteAfter"] for rule in rules} == {
        "daily": 35,
        "weekly": 90,
        "monthly": 400,
    }
    assert len({rule["schedule"] for rule in rules}) == 3
    for rule in rules:
        (copied,) = rule["copyActions"]
        assert copied["lifecycle"] == rule["lifecycle"]
        assert copied["destinationVaultArn"] == "arn:aws:backup:us-east-1:123456789012:thing-recovery-vault"


def test_no_rule_owns_what_the_database_owns_itself():
    """Point-in-time recovery goes by the instance's own retention; a continuous rule would change it."""
    rules = build("backups", "Backups").one("backup/plan:Plan").inputs["rules"]
    assert not any(rule.get("enableContinuousBackup") for rule in rules)


def test_the_vaults_are_in_two_regions_and_encrypted_with_keys_of_their_own():
    run = build("backups", "Backups")
    here, there = run.one("Vault", "thing-vault").inputs, run.one("Vault", "recovery-vault").inputs
    assert (here.get("region"), there["region"]) == (None, "us-west-2")
    assert here["kmsKeyArn"] != there["kmsKeyArn"]


@pytest.mark.parametrize("final", [None, 14])
def test_both_vaults_are_locked_as_the_settings_say(final):
    locks = build("backups", "Backups", final_after_days=final).of("VaultLockConfiguration")
    assert [(lock.inputs["minRetentionDays"], lock.inputs.get("changeableForDays")) for lock in locks] == [
        (7, final)
    ] * 2
    assert {lock.inputs.get("region") for lock in locks} == {None, "us-west-2"}


def test_without_a_lock_there_is_none():
    assert build("backups", "Backups", least_days=None).of("VaultLockConfiguration") == []


def test_only_databases_with_every_tag_are_chosen():
    selection = build("backups", "Backups").one("Selection").inputs
    assert selection["resources"] == ["arn:aws:rds:*:*:db:*"]
    assert selection["conditions"] == [
        {
            "stringEquals": [
                {"key": "aws:ResourceTag/environment", "value": "test"},
                {"key": "aws:ResourceTag/platform", "value": "chatvrm"},
            ]
        }
    ]
    assert "selectionTags" not in selection


def test_its_role_deletes_no_database():
    statements = policy(build("backups", "Backups").one("RolePolicy").inputs["policy"])
    actions = {
        action
        for each in statements
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    }
    assert {action for action in actions if "Delete" in action} == {"rds:DeleteDBSnapshot"}
    assert [each["Sid"] for each in statements if each["Resource"] == "*"] == ["Tagged"]
