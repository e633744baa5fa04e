"""The control stack of an account, from its settings: what outlives the environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from components.audit import Audit, AuditArgs
from components.budget import Budget, BudgetArgs
from components.encryption import Encryption, EncryptionArgs
from components.manifest import Manifest, ManifestArgs
from components.run_store import RunStore, RunStoreArgs
from components.state_store import StateStore, StateStoreArgs
from stacks.settings.control import Control

SCHEMA_VERSION = 1
MANIFEST = "/drydock/control/manifest"
# An account has one control stack, so what is in it needs no longer name.
_PREFIX = "drydock"


class ControlStack:
    """Builds everything when it is made; `outputs` are what the stack exports."""

    outputs: Mapping[str, pulumi.Input[Any]]

    def __init__(self, settings: Control) -> None:
        self.settings = settings
        self.opts = pulumi.ResourceOptions(
            providers=[
                aws.Provider(
                    settings.name,
                    region=settings.region,
                    allowed_account_ids=[settings.account],
                    default_tags=aws.ProviderDefaultTagsArgs(tags=settings.tags),
                )
            ]
        )
        self.state = StateStore(
            f"{_PREFIX}-state",
            StateStoreArgs(
                account=settings.account,
                bucket=settings.state_bucket,
                key_alias=settings.state_key_alias,
                adopted_key=settings.state.adopted_key,
                old_versions_days=settings.state.old_versions_days,
                protect=settings.protection.data,
            ),
            self.opts,
        )
        self.encryption = self._key(f"{_PREFIX}-control", settings.region)
        self.recovery_encryption = self._key(f"{_PREFIX}-control-recovery", settings.recovery_region)
        self.runs = RunStore(
            f"{_PREFIX}-runs",
            RunStoreArgs(
                evidence_bucket=f"{_PREFIX}-evidence-{settings.account}-{settings.region}",
                evidence_days=settings.runs.evidence_days,
                old_versions_days=settings.runs.evidence_days,
                key_arn=self.encryption.key_arn,
                recovery_region=settings.recovery_region,
                recovery_key_arn=self.recovery_encryption.key_arn,
                protect=settings.protection.data,
            ),
            self.opts,
        )
        self.audit = Audit(
            f"{_PREFIX}-audit",
            AuditArgs(
                account=settings.account,
                region=settings.region,
                bucket=f"{_PREFIX}-audit-{settings.account}-{settings.region}",
                keep_days=settings.audit.keep_days,
                log_retention_days=settings.audit.log_retention_days,
                key_arn=self.encryption.key_arn,
                protect=settings.protection.data,
            ),
            self.opts,
        )
        Budget(
            f"{_PREFIX}-account",
            BudgetArgs(
                monthly_usd=settings.budget.monthly_usd,
                actual_percent=settings.budget.actual_percent,
                forecast_percent=settings.budget.forecast_percent,
                emails=settings.budget.emails,
                tags={},
            ),
            self.opts,
        )
        self.manifest = Manifest(
            f"{_PREFIX}-control-manifest",
            ManifestArgs(parameter=MANIFEST, recovery_region=settings.recovery_region, document=self._document()),
            self.opts,
        )
        self.outputs = {
            "account": settings.account,
            "manifest": self.manifest.parameter,
            "state_bucket": self.state.bucket,
            "state_key": self.state.key_alias,
            "evidence_bucket": self.runs.evidence,
            "trail": self.audit.trail,
        }

    def _key(self, name: str, region: str) -> Encryption:
        return Encryption(
            name,
            EncryptionArgs(
                account=self.settings.account,
                region=region,
                deletion_window_days=self.settings.protection.key_deletion_days,
                protect=self.settings.protection.data,
                trails=True,
            ),
            self.opts,
        )

    def _document(self) -> dict[str, Any]:
        """What runs need to know, wherever they start: docs/architecture.md shows it."""
        settings = self.settings
        return {
            "schema_version": SCHEMA_VERSION,
            "account": settings.account,
            "region": settings.region,
            "recovery_region": settings.recovery_region,
            "state": {"bucket": self.state.bucket, "key_alias": self.state.key_alias},
            "runs": {
                "journal": self.runs.journal,
                "leases": self.runs.leases,
                "approvals": self.runs.approvals,
                "ledger": self.runs.ledger,
                "evidence_bucket": self.runs.evidence,
                "evidence_days": settings.runs.evidence_days,
            },
            "audit": {
                "trail": self.audit.trail,
                "bucket": self.audit.bucket,
                "log_group": self.audit.log_group,
            },
        }
