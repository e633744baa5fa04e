"""The types of an account's control stack and of backups, under the real engine against a running dock: made, read,
changed, imported, removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.providers.project import Project

pytestmark = [pytest.mark.engine, pytest.mark.dock, pytest.mark.timeout(300)]

PROGRAM = """
    import json
    import pulumi
    import pulumi_aws as aws

    later = {later}

    def policy(statement):
        return json.dumps({{"Version": "2012-10-17", "Statement": [statement]}})

    key = aws.kms.Key("key", description="of the test")
    bucket = aws.s3.Bucket("bucket", bucket="the-tests-bucket", object_lock_enabled=True, force_destroy=True,
                           tags={{"noun": "bucket" if not later else "pail"}})
    versioning = aws.s3.BucketVersioning("versioning", bucket=bucket.bucket,
        versioning_configuration={{"status": "Enabled"}})
    aws.s3.BucketServerSideEncryptionConfiguration("encryption", bucket=bucket.bucket, rules=[{{
        "apply_server_side_encryption_by_default": {{"sse_algorithm": "aws:kms", "kms_master_key_id": key.arn}},
        "bucket_key_enabled": True}}])
    aws.s3.BucketPublicAccessBlock("block", bucket=bucket.bucket, block_public_acls=True, block_public_policy=later)
    aws.s3.BucketOwnershipControls("ownership", bucket=bucket.bucket,
        rule={{"object_ownership": "BucketOwnerEnforced" if later else "BucketOwnerPreferred"}})
    aws.s3.BucketPolicy("policy", bucket=bucket.bucket, policy=policy({{
        "Sid": "Later" if later else "First", "Effect": "Deny", "Principal": "*", "Action": "s3:GetBucketCORS",
        "Resource": "arn:aws:s3:::the-tests-bucket"}}))
    aws.s3.BucketLifecycleConfiguration("lifecycle", bucket=bucket.bucket, rules=[{{
        "id": "old", "status": "Enabled", "filter": {{"prefix": "logs/"}},
        "noncurrent_version_expiration": {{"noncurrent_days": 30 + later}},
        "abort_incomplete_multipart_upload": {{"days_after_initiation": 7}}}}])
    aws.s3.BucketObjectLockConfiguration("lock", bucket=bucket.bucket,
        rule={{"default_retention": {{"mode": "GOVERNANCE", "days": 1 + later}}}},
        opts=pulumi.ResourceOptions(depends_on=[versioning]))
    table = aws.dynamodb.Table("table", name="the-tests-table", billing_mode="PAY_PER_REQUEST",
        hash_key="run", range_key="entry",
        attributes=[{{"name": "run", "type": "S"}}, {{"name": "entry", "type": "S"}}],
        point_in_time_recovery={{"enabled": True}}, ttl={{"enabled": True, "attribute_name": "forget_after"}},
        stream_enabled=True, stream_view_type="NEW_AND_OLD_IMAGES",
        replicas=[{{"region_name": "us-west-2"}}], deletion_protection_enabled=not later and {protected},
        tags={{"noun": "table"}})
    trail = aws.cloudtrail.Trail("trail", name="the-tests-trail", s3_bucket_name=bucket.bucket,
        is_multi_region_trail=True, enable_log_file_validation=later, enable_logging=not later,
        tags={{"noun": "trail"}})
    vpc = aws.ec2.Vpc("vpc", cidr_block="10.77.0.0/16")
    flow = aws.ec2.FlowLog("flow", vpc_id=vpc.id, traffic_type="ALL" if later else "REJECT",
        log_destination_type="s3", log_destination=bucket.arn, tags={{"noun": "flow"}})
    aws.budgets.Budget("budget", name="the-tests-budget", budget_type="COST", time_unit="MONTHLY",
        limit_amount="200" if later else "100", limit_unit="USD", metrics="UnblendedCost",
        filter_expression={{"ands": [
            {{"tags": {{"key": "a", "values": ["b"]}}}}, {{"tags": {{"key": "c", "values": ["d"]}}}}]}},
        notifications=[{{
            "comparison_operator": "GREATER_THAN", "notification_type": "FORECASTED",
            "threshold": 90 if later else 80, "threshold_type": "PERCENTAGE",
            "subscriber_email_addresses": ["a@example.com"]}}])
    vault = aws.backup.Vault("vault", name="the-tests-vault", kms_key_arn=key.arn, tags={{"noun": "vault"}})
    aws.backup.VaultLockConfiguration("vault-lock", backup_vault_name=vault.name, min_retention_days=1 + later)
    plan = aws.backup.Plan("plan", name="the-tests-plan", tags={{"noun": "plan"}}, rules=[{{
        "rule_name": "daily", "target_vault_name": vault.name, "schedule": "cron(0 9 ? * * *)",
        "lifecycle": {{"delete_after": 35 + later}},
        "copy_actions": [{{"destination_vault_arn": vault.arn, "lifecycle": {{"delete_after": 35}}}}]}}])
    role = aws.iam.Role("role", name="the-tests-role", assume_role_policy=policy({{
        "Effect": "Allow", "Principal": {{"Service": "backup.amazonaws.com"}}, "Action": "sts:AssumeRole"}}))
    aws.backup.Selection("selection", name="the-tests-selection", plan_id=plan.id, iam_role_arn=role.arn,
        resources=["arn:aws:rds:*:*:db:*"],
        conditions=[{{"string_equals": [{{"key": "aws:ResourceTag/a", "value": "b" if later else "a"}}]}}])
"""
# Where an id alone doesn't say which resource is meant.
IMPORT_IDS = {"aws:backup/selection:Selection": lambda resource: f"{resource['inputs']['planId']}|{resource['id']}"}


def program(*, later: bool = False, protected: bool = True) -> str:
    return PROGRAM.format(later=later, protected=protected)


@pytest.fixture(scope="module")
def project(dock_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.make(tmp_path_factory.mktemp("account") / "project", dock_url)


def settled(project: Project) -> None:
    """Nothing is to be changed; what is, is shown."""
    project.pulumi("preview", "--diff", "--expect-no-changes")


def test_1_all_are_made_and_read_back_as_they_were_asked_for(project: Project) -> None:
    project.write(program())
    project.up()
    settled(project)
    project.refresh()
    settled(project)


def test_2_each_is_imported_as_it_is(project: Project, dock_url: str, tmp_path: Path) -> None:
    other = Project.make(tmp_path / "other", dock_url)
    wanted = [
        {"type": each["type"], "name": name, "id": IMPORT_IDS.get(each["type"], lambda one: one["id"])(each)}
        for name, each in project.resources().items()
        if each["type"].startswith("aws:") and each["custom"]
    ]
    assert len(wanted) == 19
    (tmp_path / "wanted.json").write_text(json.dumps({"resources": wanted}))
    other.pulumi("import", "--file", str(tmp_path / "wanted.json"), "--yes", "--skip-preview", "--generate-code=false")
    imported, made = other.resources(), project.resources()
    for each in wanted:
        name = each["name"]
        given = {key: value for key, value in made[name]["inputs"].items() if not key.startswith("__")}
        missing = {key for key in given if key not in imported[name]["inputs"]} - NOT_READ
        assert not missing, f"{name}: an import does not find {missing}"
        assert imported[name]["id"] == made[name]["id"]


# Instructions, and what the cloud doesn't give back: how people are told is a call for each notification.
NOT_READ = {"forceDestroy", "tags", "skipDestroy", "bypassPolicyLockoutSafetyCheck", "forceDetachPolicies"}


def test_3_each_is_changed_in_place_or_replaced(project: Project, api: Any) -> None:
    project.write(program(later=True))
    said = project.up()
    # A flow log and a selection can't be changed, nor can a vault's lock.
    assert "+-3 replaced" in said, said
    settled(project)
    project.refresh()
    settled(project)

    s3 = api("s3")
    assert s3.get_bucket_tagging(Bucket="the-tests-bucket")["TagSet"] == [{"Key": "noun", "Value": "pail"}]
    retention = s3.get_object_lock_configuration(Bucket="the-tests-bucket")["ObjectLockConfiguration"]["Rule"]
    assert retention["DefaultRetention"] == {"Mode": "GOVERNANCE", "Days": 2}
    assert api("cloudtrail").get_trail_status(Name="the-tests-trail")["IsLogging"] is False
    budgets = api("budgets")
    told = budgets.describe_notifications_for_budget(AccountId="000000000001", BudgetName="the-tests-budget")
    assert [each["Threshold"] for each in told["Notifications"]] == [90.0]
    assert api("dynamodb").describe_table(TableName="the-tests-table")["Table"]["DeletionProtectionEnabled"] is False


def test_4_a_bucket_that_may_go_goes_with_what_is_locked_in_it(project: Project, api: Any) -> None:
    s3 = api("s3")
    s3.put_object(Bucket="the-tests-bucket", Key="evidence", Body=b"1")
    s3.put_object(Bucket="the-tests-bucket", Key="evidence", Body=b"2")
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert "the-tests-bucket" not in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert "the-tests-table" not in api("dynamodb").list_tables()["TableNames"]
    assert api("dynamodb", "us-west-2").list_tables()["TableNames"] == []
    assert api("cloudtrail").list_trails()["Trails"] == []
    assert api("backup").list_backup_vaults()["BackupVaultList"] == []
    assert api("backup").list_backup_plans()["BackupPlansList"] == []
    assert api("ec2").describe_flow_logs()["FlowLogs"] == []
