"""Where runs of runbooks are kept: their journal, leases, approvals, ledger and evidence."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.bucket import Bucket, BucketArgs

# What a record says of the second after which DynamoDB may forget it (seconds since the epoch).
EXPIRY = "forget_after"


@dataclass(frozen=True, kw_only=True)
class RunStoreArgs:
    """`evidence_bucket`: its name. `evidence_days`: how long evidence can't be deleted. `recovery_key_arn`: a key of
    `recovery_region`, for the copies there. `protect`: neither Pulumi nor AWS deletes what is recorded."""

    evidence_bucket: str
    evidence_days: pulumi.Input[int]
    old_versions_days: pulumi.Input[int]
    key_arn: pulumi.Input[str]
    recovery_region: pulumi.Input[str]
    recovery_key_arn: pulumi.Input[str]
    protect: bool


class RunStore(pulumi.ComponentResource):
    """Each table has a copy in the recovery region, so that a run can be looked up there when its home is lost.

    Copies are last-writer-wins: a lease or an approval counts in the home region alone, until a failover takes it over
    under a new epoch.

    journal: (`run`, `entry`), every step of every run. leases: (`environment`), who may change an environment, with a
    fencing token that only grows; a lease that has expired is kept for its token, so nothing in it is ever forgotten.
    approvals: (`run`, `approver`). ledger: (`environment`, `run`), one line for each run, for ever.
    """

    journal: pulumi.Output[str]
    leases: pulumi.Output[str]
    approvals: pulumi.Output[str]
    ledger: pulumi.Output[str]
    evidence: pulumi.Output[str]

    def __init__(self, name: str, args: RunStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:RunStore", name, None, opts)
        self._name = name
        self._args = args
        self.journal = self._table("journal", "run", "entry", expires=True)
        self.leases = self._table("leases", "environment")
        self.approvals = self._table("approvals", "run", "approver", expires=True)
        self.ledger = self._table("ledger", "environment", "run")
        self.evidence = Bucket(
            f"{name}-evidence",
            BucketArgs(
                bucket=args.evidence_bucket,
                key_arn=args.key_arn,
                old_versions_days=args.old_versions_days,
                lock_days=args.evidence_days,
                protect=args.protect,
            ),
            pulumi.ResourceOptions(parent=self),
        ).bucket
        self.register_outputs(
            {
                "journal": self.journal,
                "leases": self.leases,
                "approvals": self.approvals,
                "ledger": self.ledger,
                "evidence": self.evidence,
            }
        )

    def _table(self, noun: str, key: str, sort: str | None = None, *, expires: bool = False) -> pulumi.Output[str]:
        table = aws.dynamodb.Table(
            f"{self._name}-{noun}",
            name=f"{self._name}-{noun}",
            billing_mode="PAY_PER_REQUEST",
            hash_key=key,
            range_key=sort,
            attributes=[
                aws.dynamodb.TableAttributeArgs(name=attribute, type="S")
                for attribute in (key, sort)
                if attribute is not None
            ],
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(
                enabled=True, kms_key_arn=self._args.key_arn
            ),
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            ttl=aws.dynamodb.TableTtlArgs(enabled=True, attribute_name=EXPIRY) if expires else None,
            stream_enabled=True,
            stream_view_type="NEW_AND_OLD_IMAGES",
            replicas=[
                aws.dynamodb.TableReplicaArgs(
                    region_name=self._args.recovery_region, kms_key_arn=self._args.recovery_key_arn
                )
            ],
            deletion_protection_enabled=self._args.protect,
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        )
        return table.name
