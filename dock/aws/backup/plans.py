"""Backup plans: which rules, into which vaults, kept for how long."""

from __future__ import annotations

import re
import uuid
from typing import Any

from dock.aws.backup.base import Base
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

_SCHEDULE = re.compile(r"cron\(\S+( \S+){5}\)|rate\(\d+ (hours?|days?)\)")
# What is moved to cold storage stays there for at least so long.
_LEAST_COLD_DAYS = 90
_MOST_CONTINUOUS_DAYS = 35
_HIDDEN = ("tags", "versions")


class Plans(Base):
    @operation("CreateBackupPlan", acts="BackupPlanTags CreatorRequestId", records="BackupPlan")
    async def create_backup_plan(self, call: Call, request: Request) -> Response:
        plan = request["BackupPlan"]
        token = request.get("CreatorRequestId")
        for known in self.plans.list(call.scope):
            if token is not None and token == known.get("CreatorRequestId"):
                return _made(known)
            if known["BackupPlan"] == plan:
                raise AwsError("AlreadyExistsException", "Backup plan with the same plan document already exists.")
        self._check(call, plan)
        identifier = str(uuid.uuid4())
        record: Record = {
            "BackupPlanId": identifier,
            "BackupPlanArn": call.arn(f"backup-plan:{identifier}"),
            "VersionId": uuid.uuid4().hex,
            "CreationDate": self.now(),
            "CreatorRequestId": token,
            "BackupPlan": plan,
            "tags": request.get("BackupPlanTags") or {},
        }
        self.plans.put(call.scope, identifier, record)
        return _made(record)

    @operation("GetBackupPlan", acts="BackupPlanId")
    async def get_backup_plan(self, call: Call, request: Request) -> Response:
        record = self.plan(call, request["BackupPlanId"])
        return {name: value for name, value in record.items() if name not in _HIDDEN}

    @operation("UpdateBackupPlan", acts="BackupPlanId", records="BackupPlan")
    async def update_backup_plan(self, call: Call, request: Request) -> Response:
        record = self.plan(call, request["BackupPlanId"])
        self._check(call, request["BackupPlan"])
        record |= {"BackupPlan": request["BackupPlan"], "VersionId": uuid.uuid4().hex}
        self.plans.put(call.scope, record["BackupPlanId"], record)
        return _made(record)

    @operation("DeleteBackupPlan", acts="BackupPlanId")
    async def delete_backup_plan(self, call: Call, request: Request) -> Response:
        record = self.plan(call, request["BackupPlanId"])
        if any(each["BackupPlanId"] == record["BackupPlanId"] for each in self.selections.list(call.scope)):
            raise AwsError(
                "InvalidRequestException",
                "Related backup plan selections must be deleted prior to backup plan deletion.",
            )
        self.plans.delete(call.scope, record["BackupPlanId"])
        return {
            **{name: record[name] for name in ("BackupPlanId", "BackupPlanArn", "VersionId")},
            "DeletionDate": self.now(),
        }

    @operation("ListBackupPlans")
    async def list_backup_plans(self, call: Call, request: Request) -> Response:
        return {
            "BackupPlansList": [
                {**_made(record), "BackupPlanName": record["BackupPlan"]["BackupPlanName"]}
                for record in self.plans.list(call.scope)
            ]
        }

    def _check(self, call: Call, plan: dict[str, Any]) -> None:
        names = [rule["RuleName"] for rule in plan["Rules"]]
        if not names or len(set(names)) != len(names):
            raise AwsError("InvalidParameterValueException", "a plan has rules, each with a name of its own")
        for rule in plan["Rules"]:
            lock = self.vault(call, rule["TargetBackupVaultName"]).get("lock") or {}
            for problem in _problems(rule, lock):
                raise AwsError("InvalidParameterValueException", f"rule {rule['RuleName']}: {problem}")


def _problems(rule: dict[str, Any], lock: dict[str, Any]) -> list[str]:
    found = []
    schedule = rule.get("ScheduleExpression")
    if schedule is not None and not _SCHEDULE.fullmatch(schedule):
        found.append(f"{schedule!r} is no schedule; write cron(0 5 ? * * *), for example")
    lifecycle = rule.get("Lifecycle") or {}
    kept, cold = lifecycle.get("DeleteAfterDays"), lifecycle.get("MoveToColdStorageAfterDays")
    if cold is not None and kept is not None and kept < cold + _LEAST_COLD_DAYS:
        found.append(f"DeleteAfterDays must be {_LEAST_COLD_DAYS} more than MoveToColdStorageAfterDays")
    if rule.get("EnableContinuousBackup") and (kept is None or kept > _MOST_CONTINUOUS_DAYS):
        found.append(f"continuous backups are kept for {_MOST_CONTINUOUS_DAYS} days at most")
    least, most = lock.get("MinRetentionDays"), lock.get("MaxRetentionDays")
    if least is not None and kept is not None and kept < least:
        found.append(f"the vault's lock keeps everything for {least} days at least, not {kept}")
    if most is not None and (kept is None or kept > most):
        found.append(f"the vault's lock keeps nothing longer than {most} days")
    return found


def _made(record: Record) -> Response:
    return {name: record[name] for name in ("BackupPlanId", "BackupPlanArn", "CreationDate", "VersionId")}
