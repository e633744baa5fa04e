from tests.components.build import build
from tests.stacks.recording import policy


def test_the_key_rotates_and_waits_before_it_is_deleted():
    run = build("encryption", "Encryption", deletion_window_days=14)
    key = run.one("Key").inputs
    assert (key["enableKeyRotation"], key["deletionWindowInDays"]) == (True, 14)
    assert run.one("Alias").inputs == {"name": "alias/thing", "targetKeyId": "thing-key-key-id", "region": "us-east-1"}


def test_only_the_account_its_logs_and_its_alarms_may_use_the_key():
    account, logs, alarms = policy(build("encryption", "Encryption").one("Key").inputs["policy"])
    assert account["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert logs["Principal"] == {"Service": "logs.us-east-1.amazonaws.com"}
    assert logs["Condition"] == {
        "ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:us-east-1:123456789012:log-group:*"}
    }
    assert alarms["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert alarms["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert alarms["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_a_key_for_trails_lets_this_accounts_trails_encrypt_and_nobody_elses():
    *_, trails = policy(build("encryption", "Encryption", trails=True).one("Key").inputs["policy"])
    assert trails["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
    assert trails["Condition"]["ArnLike"]["aws:SourceArn"] == "arn:aws:cloudtrail:*:123456789012:trail/*"


def test_a_key_is_made_in_the_region_that_it_is_for():
    assert build("encryption", "Encryption", region="us-west-2").one("Key").inputs["region"] == "us-west-2"
