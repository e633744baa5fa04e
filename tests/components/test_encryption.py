from tests.components.build import build
from tests.stacks.recording import policy


def test_the_key_rotates_and_waits_before_it_is_deleted():
    run = build("encryption", "Encryption", deletion_window_days=14)
    key = run.one("Key").inputs
    assert (key["enableKeyRotation"], key["deletionWindowInDays"]) == (True, 14)
    assert run.one("Alias").inputs == {"name": "alias/thing", "targetKeyId": "thing-key-key-id"}


def test_only_the_account_and_its_logs_may_use_the_key():
    account, logs = policy(build("encryption", "Encryption").one("Key").inputs["policy"])
    assert account["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert logs["Principal"] == {"Service": "logs.us-east-1.amazonaws.com"}
    assert logs["Condition"] == {
        "ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:us-east-1:123456789012:log-group:*"}
    }
