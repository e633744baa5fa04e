"""Backup vaults and their locks."""

from __future__ import annotations

import re

from dock.aws.backup.base import Base
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

_NAME = re.compile(r"[A-Za-z0-9_-]{2,50}")
_DAY = 86400
# Of a compliance lock, as AWS has it: so long it can still be taken back.
_LEAST_GRACE_DAYS = 3


class Vaults(Base):
    @operation("CreateBackupVault", acts="BackupVaultName BackupVaultTags CreatorRequestId", records="EncryptionKeyArn")
    async def create_backup_vault(self, call: Call, request: Request) -> Response:
        name = request["BackupVaultName"]
        if not _NAME.fullmatch(name):
            raise AwsError(
                "InvalidParameterValueException", f"{name} is no name of a vault: 2 to 50 of A-Z a-z 0-9 _ -"
            )
        known = self.vaults.get(call.scope, name)
        if known is not None:
            token = request.get("CreatorRequestId")
            if token is not None and token == known.get("CreatorRequestId"):
                return _made(known)
            raise AwsError("AlreadyExistsException", f"Backup vault with the same name already exists: {name}")
        record: Record = {
            "BackupVaultName": name,
            "BackupVaultArn": call.arn(f"backup-vault:{name}"),
            "CreationDate": self.now(),
            "EncryptionKeyArn": request.get("EncryptionKeyArn"),
            "CreatorRequestId": request.get("CreatorRequestId"),
            "tags": request.get("BackupVaultTags") or {},
        }
        self.vaults.put(call.scope, name, record)
        return _made(record)

    @operation("DescribeBackupVault", acts="BackupVaultName")
    async def describe_backup_vault(self, call: Call, request: Request) -> Response:
        return _shown(self.vault(call, request["BackupVaultName"]))

    @operation("ListBackupVaults")
    async def list_backup_vaults(self, call: Call, request: Request) -> Response:
        return {"BackupVaultList": [_shown(record) for record in self.vaults.list(call.scope)]}

    @operation("DeleteBackupVault", acts="BackupVaultName")
    async def delete_backup_vault(self, call: Call, request: Request) -> Response:
        record = self.vault(call, request["BackupVaultName"])
        if self._is_final(record):
            raise AwsError(
                "InvalidRequestException", f"vault {record['BackupVaultName']} is locked in compliance mode, for good"
            )
        self.vaults.delete(call.scope, record["BackupVaultName"])
        return {}

    @operation(
        "PutBackupVaultLockConfiguration", acts="BackupVaultName ChangeableForDays MinRetentionDays MaxRetentionDays"
    )
    async def put_backup_vault_lock_configuration(self, call: Call, request: Request) -> Response:
        record = self.vault(call, request["BackupVaultName"])
        self._refuse_final(record)
        least, most = request.get("MinRetentionDays"), request.get("MaxRetentionDays")
        if least is not None and most is not None and least > most:
            raise AwsError("InvalidParameterValueException", f"MinRetentionDays {least} is more than {most}")
        grace = request.get("ChangeableForDays")
        if grace is not None and grace < _LEAST_GRACE_DAYS:
            raise AwsError("InvalidParameterValueException", f"ChangeableForDays is at least {_LEAST_GRACE_DAYS}")
        record["lock"] = {
            "MinRetentionDays": least,
            "MaxRetentionDays": most,
            "LockDate": None if grace is None else self.now() + grace * _DAY,
        }
        self.vaults.put(call.scope, record["BackupVaultName"], record)
        return {}

    @operation("DeleteBackupVaultLockConfiguration", acts="BackupVaultName")
    async def delete_backup_vault_lock_configuration(self, call: Call, request: Request) -> Response:
        record = self.vault(call, request["BackupVaultName"])
        self._refuse_final(record)
        record.pop("lock", None)
        self.vaults.put(call.scope, record["BackupVaultName"], record)
        return {}

    def _is_final(self, record: Record) -> bool:
        """A compliance lock whose grace is over is never changed again, by nobody."""
        until = (record.get("lock") or {}).get("LockDate")
        return until is not None and until <= self.now()

    def _refuse_final(self, record: Record) -> None:
        if self._is_final(record):
            raise AwsError(
                "InvalidRequestException", f"the lock of vault {record['BackupVaultName']} can't be changed any more"
            )


def _made(record: Record) -> Response:
    return {name: record[name] for name in ("BackupVaultName", "BackupVaultArn", "CreationDate")}


def _shown(record: Record) -> Response:
    lock = record.get("lock")
    return {
        **{name: value for name, value in record.items() if name not in ("tags", "lock")},
        "VaultType": "BACKUP_VAULT",
        "VaultState": "AVAILABLE",
        "NumberOfRecoveryPoints": 0,
        "Locked": lock is not None,
        **(lock or {}),
    }
