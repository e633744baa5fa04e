from tests.components.build import build
from tests.components.samples import KEY
from tests.stacks.recording import policy


def test_topics_are_encrypted_with_the_environments_key():
    run = build("notifications", "Notifications")
    assert {each.inputs["name"]: each.inputs["kmsMasterKeyId"] for each in run.of("Topic")} == {
        "thing-page": KEY,
        "thing-ticket": KEY,
    }


def test_only_alarms_of_this_account_and_region_publish_and_nobody_without_tls():
    for each in build("notifications", "Notifications").of("TopicPolicy"):
        alarms, unsafe = policy(each.inputs["policy"])
        assert (alarms["Effect"], alarms["Principal"]) == ("Allow", {"Service": "cloudwatch.amazonaws.com"})
        assert alarms["Condition"] == {
            "StringEquals": {"aws:SourceAccount": "123456789012"},
            "ArnLike": {"aws:SourceArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:*"},
        }
        assert (unsafe["Effect"], unsafe["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_each_address_is_asked_to_subscribe_to_its_severity():
    (subscription,) = build("notifications", "Notifications").of("TopicSubscription")
    assert (subscription.name, subscription.inputs["endpoint"]) == ("thing-page-1", "a@example.org")
