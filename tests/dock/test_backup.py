"""AWS Backup as a client sees it: what locks allow, and what plans and selections refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dock.aws.backup import Backup
from dock.cloud import Cloud
from dock.home import Home
from tests.dock.conftest import call, running_cloud

pytestmark = pytest.mark.dock
DAILY = {"RuleName": "daily", "TargetBackupVaultName": "vault", "ScheduleExpression": "cron(0 9 ? * * *)"}
SELECTION = {"SelectionName": "databases", "Resources": ["arn:aws:rds:*:*:db:*"]}


@pytest.fixture
async def cloud(home: Home) -> AsyncIterator[Cloud]:
    async with running_cloud(home, [Backup]) as running:
        yield running


@pytest.fixture
async def backup(cloud: Cloud, account: str, region: str) -> Any:
    client = cloud.client("backup", account, region)
    await call(client.create_backup_vault, BackupVaultName="vault", BackupVaultTags={"team": "chat"})
    return client


def plan(**rule: Any) -> dict[str, Any]:
    return {"BackupPlanName": "plan", "Rules": [{**DAILY, **rule}]}


async def refused(method: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as error:
        await call(method, **parameters)
    return f"{error.value.response['Error']['Code']}: {error.value.response['Error']['Message']}"


async def test_a_vault_is_made_once_seen_and_removed(backup: Any) -> None:
    assert (await refused(backup.create_backup_vault, BackupVaultName="vault")).startswith("AlreadyExistsException")
    found = await call(backup.describe_backup_vault, BackupVaultName="vault")
    assert (found["Locked"], found["NumberOfRecoveryPoints"]) == (False, 0)
    assert (await call(backup.list_tags, ResourceArn=found["BackupVaultArn"]))["Tags"] == {"team": "chat"}
    await call(backup.delete_backup_vault, BackupVaultName="vault")
    assert (await refused(backup.describe_backup_vault, BackupVaultName="vault")).startswith("ResourceNotFound")


async def test_regions_have_vaults_of_their_own(backup: Any, cloud: Cloud, account: str) -> None:
    elsewhere = cloud.client("backup", account, "us-west-2")
    assert (await call(elsewhere.list_backup_vaults))["BackupVaultList"] == []


async def test_a_lock_in_governance_mode_can_be_taken_back(backup: Any) -> None:
    await call(backup.put_backup_vault_lock_configuration, BackupVaultName="vault", MinRetentionDays=7)
    found = await call(backup.describe_backup_vault, BackupVaultName="vault")
    assert (found["Locked"], found["MinRetentionDays"], "LockDate" in found) == (True, 7, False)
    await call(backup.delete_backup_vault_lock_configuration, BackupVaultName="vault")
    assert (await call(backup.describe_backup_vault, BackupVaultName="vault"))["Locked"] is False


async def test_a_lock_in_compliance_mode_is_final_once_its_days_are_over(
    backup: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = {"BackupVaultName": "vault", "MinRetentionDays": 7, "ChangeableForDays": 3}
    assert "at least 3" in await refused(backup.put_backup_vault_lock_configuration, **{**lock, "ChangeableForDays": 2})
    await call(backup.put_backup_vault_lock_configuration, **lock)
    service = cloud.service(Backup)
    later = service.now() + 4 * 86400
    monkeypatch.setattr(service, "now", lambda: later)
    for method, parameters in (
        (backup.delete_backup_vault_lock_configuration, {"BackupVaultName": "vault"}),
        (backup.put_backup_vault_lock_configuration, lock),
        (backup.delete_backup_vault, {"BackupVaultName": "vault"}),
    ):
        assert (await refused(method, **parameters)).startswith("InvalidRequestException")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"TargetBackupVaultName": "nowhere"}, "Backup vault nowhere does not exist"),
        ({"ScheduleExpression": "every day"}, "is no schedule"),
        ({"Lifecycle": {"MoveToColdStorageAfterDays": 30, "DeleteAfterDays": 60}}, "90 more"),
        ({"EnableContinuousBackup": True, "Lifecycle": {"DeleteAfterDays": 60}}, "35 days at most"),
        ({"Lifecycle": {"DeleteAfterDays": 3}}, "keeps everything for 7 days at least, not 3"),
    ],
)
async def test_a_plan_that_could_not_be_kept_is_refused(backup: Any, rule: dict[str, Any], said: str) -> None:
    await call(backup.put_backup_vault_lock_configuration, BackupVaultName="vault", MinRetentionDays=7)
    assert said in await refused(backup.create_backup_plan, BackupPlan=plan(**rule))
    assert (await call(backup.list_backup_plans))["BackupPlansList"] == []


async def test_a_plan_goes_after_its_selections(backup: Any, account: str) -> None:
    made = await call(backup.create_backup_plan, BackupPlan=plan(Lifecycle={"DeleteAfterDays": 35}))
    identifier = made["BackupPlanId"]
    role = f"arn:aws:iam::{account}:role/backup"
    foreign = {**SELECTION, "IamRoleArn": "arn:aws:iam::999999999999:role/backup"}
    assert "is no role of account" in await refused(
        backup.create_backup_selection, BackupPlanId=identifier, BackupSelection=foreign
    )
    chosen = await call(
        backup.create_backup_selection, BackupPlanId=identifier, BackupSelection={**SELECTION, "IamRoleArn": role}
    )
    assert "must be deleted prior" in await refused(backup.delete_backup_plan, BackupPlanId=identifier)
    await call(backup.delete_backup_selection, BackupPlanId=identifier, SelectionId=chosen["SelectionId"])
    await call(backup.delete_backup_plan, BackupPlanId=identifier)
    assert (await refused(backup.get_backup_plan, BackupPlanId=identifier)).startswith("ResourceNotFound")


async def test_what_is_not_done_is_refused(backup: Any, account: str) -> None:
    said = await refused(
        backup.start_backup_job,
        BackupVaultName="vault",
        ResourceArn=f"arn:aws:rds:us-east-1:{account}:db:main",
        IamRoleArn=f"arn:aws:iam::{account}:role/backup",
    )
    assert said.startswith("UnsupportedOperation")
