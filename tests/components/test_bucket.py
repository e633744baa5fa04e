import pytest

from tests.components.build import build
from tests.stacks.recording import policy


def test_nobody_outside_sees_it_and_every_object_is_its_owners():
    run = build("bucket", "Bucket")
    private = {name: value for name, value in run.one("BucketPublicAccessBlock").inputs.items() if name != "bucket"}
    assert private == dict.fromkeys(
        ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
    )
    assert run.one("BucketOwnershipControls").inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_nobody_reaches_it_without_tls():
    (statement,) = policy(build("bucket", "Bucket").one("BucketPolicy").inputs["policy"])
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [
        "arn:aws:s3:us-east-1:123456789012:thing",
        "arn:aws:s3:us-east-1:123456789012:thing/*",
    ]


def test_statements_of_its_owner_join_the_policy():
    more = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": "s3:PutObject"}
    statements = policy(build("bucket", "Bucket", statements=[more]).one("BucketPolicy").inputs["policy"])
    assert statements[1:] == [more]


def test_old_versions_and_abandoned_uploads_go_and_nothing_else():
    (rule,) = build("bucket", "Bucket", old_versions_days=9).one("BucketLifecycleConfiguration").inputs["rules"]
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 9}
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert "expiration" not in rule


def test_what_expires_is_told():
    (rule,) = build("bucket", "Bucket", expire_days=400).one("BucketLifecycleConfiguration").inputs["rules"]
    assert rule["expiration"] == {"days": 400}


def test_a_lock_is_there_from_the_beginning_and_a_teardown_stays_possible():
    run = build("bucket", "Bucket", lock_days=30)
    assert run.one("s3/bucket:Bucket").inputs["objectLockEnabled"] is True
    rule = run.one("BucketObjectLockConfiguration").inputs["rule"]
    assert rule == {"defaultRetention": {"mode": "GOVERNANCE", "days": 30}}


def test_without_a_lock_there_is_none():
    run = build("bucket", "Bucket")
    assert "objectLockEnabled" not in run.one("s3/bucket:Bucket").inputs
    assert run.of("BucketObjectLockConfiguration") == []


@pytest.mark.parametrize(("adopt", "imported"), [(True, "thing-123456789012"), (False, "")])
def test_one_that_exists_is_adopted_by_its_name(adopt, imported):
    assert build("bucket", "Bucket", adopt=adopt).one("s3/bucket:Bucket").import_id == imported


@pytest.mark.parametrize("retain", [True, False])
def test_a_bucket_that_stays_keeps_what_makes_it_safe(retain):
    run = build("bucket", "Bucket", retain=retain, lock_days=1)
    assert {each.retain for each in run.custom() if not each.type.startswith("pulumi:")} == {retain}
