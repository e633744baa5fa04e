"""What the parts of AWS Backup share: their records, and how they are found."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dock.aws.service import AwsError, Call, Service
from dock.store import Record

if TYPE_CHECKING:
    from dock.cloud import Cloud


class Base(Service):
    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.vaults = cloud.store.table("backup/vault")
        self.plans = cloud.store.table("backup/plan")
        self.selections = cloud.store.table("backup/selection")

    def now(self) -> float:
        return time.time()

    def vault(self, call: Call, name: str) -> Record:
        found = self.vaults.get(call.scope, name)
        if found is None:
            raise AwsError("ResourceNotFoundException", f"Backup vault {name} does not exist in {call.region}")
        return found

    def plan(self, call: Call, identifier: str) -> Record:
        found = self.plans.get(call.scope, identifier)
        if found is None:
            raise AwsError("ResourceNotFoundException", f"Backup plan {identifier} does not exist in {call.region}")
        return found
