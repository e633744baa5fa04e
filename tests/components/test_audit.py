from tests.components.build import build
from tests.stacks.recording import policy

TRAIL = "arn:aws:cloudtrail:us-east-1:123456789012:trail/thing"


def test_the_trail_sees_every_region_and_its_files_prove_themselves():
    trail = build("audit", "Audit").one("Trail").inputs
    assert trail["isMultiRegionTrail"] is trail["includeGlobalServiceEvents"] is trail["enableLogging"] is True
    assert trail["enableLogFileValidation"] is True
    assert trail["cloudWatchLogsGroupArn"].endswith(":*")


def test_only_this_trail_writes_into_the_bucket():
    _, looks, writes = policy(build("audit", "Audit").one("BucketPolicy").inputs["policy"])
    assert looks["Action"], writes["Action"] == ("s3:GetBucketAcl", "s3:PutObject")
    for statement in (looks, writes):
        assert statement["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
        assert statement["Condition"]["StringEquals"]["aws:SourceArn"] == TRAIL
    assert writes["Resource"] == "arn:aws:s3:::audit-123456789012/AWSLogs/123456789012/*"


def test_files_are_locked_for_as_long_as_they_are_kept():
    run = build("audit", "Audit", keep_days=60)
    assert run.one("BucketObjectLockConfiguration").inputs["rule"]["defaultRetention"]["days"] == 60
    (rule,) = run.one("BucketLifecycleConfiguration").inputs["rules"]
    assert rule["expiration"] == {"days": 60}
    assert run.one("LogGroup").inputs["retentionInDays"] == 90


def test_its_role_can_only_write_to_its_own_log():
    run = build("audit", "Audit")
    (statement,) = policy(run.one("RolePolicy").inputs["policy"])
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"].endswith(":log-stream:*")
    (trust,) = policy(run.one("iam/role:Role").inputs["assumeRolePolicy"])
    assert trust["Condition"] == {"StringEquals": {"aws:SourceArn": TRAIL}}
