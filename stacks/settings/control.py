"""What outlives the environments of an account: state, runs, audit, budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from stacks.domain import Account, Expected, LogRetention, Part, Region, whole
from stacks.problems import UNFIT
from stacks.settings.money import Budget

StackName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]{1,39}$"), Expected("a stack's name, in lower case", "control")
]
KeyId = Annotated[
    str,
    Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    Expected("the id of a KMS key", "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9"),
]


class Protection(Part):
    """What keeps state, runs, evidence and the audit trail from being deleted."""

    data: bool = True
    """Neither Pulumi nor AWS deletes tables, buckets and keys."""
    acknowledgement: str | None = None
    """Must be said to turn `data` off: `account <account> may lose its runs and its audit trail`."""
    key_deletion_days: whole(7, 30, "days", 30)  # type: ignore[valid-type]
    """How long a deleted KMS key can still be restored."""

    def contradictions(self) -> Iterator[str]:
        if self.data and self.acknowledgement is not None:
            yield "acknowledgement is for data: false; remove it"


class State(Part):
    """Pulumi's state of every stack of the account."""

    old_versions_days: whole(1, 3650, "days", 365)  # type: ignore[valid-type]
    """How far back a state can be restored."""
    adopted_key: KeyId | None = None
    """`drydock bootstrap` sets it for its own run: the key that it made before there was a place for any state."""


class Runs(Part):
    evidence_days: whole(1, 3650, "days", 400)  # type: ignore[valid-type]
    """How long nobody deletes what a run left behind, but a role that may bypass governance."""


class Audit(Part):
    keep_days: whole(1, 3650, "days", 400)  # type: ignore[valid-type]
    """How long log files of calls are kept, and locked."""
    log_retention_days: LogRetention
    """How long they can also be searched in CloudWatch Logs."""


class Control(Part):
    """One account's control stack."""

    kind: Literal["control"]
    """What the stack is."""
    name: StackName
    """The stack's own name."""
    account: Account
    region: Region
    recovery_region: Region
    """Where runs can be looked up when `region` is lost."""
    protection: Protection
    state: State
    runs: Runs
    audit: Audit
    budget: Budget

    @field_validator("name")
    @classmethod
    def _is_the_stack(cls, name: str, info: ValidationInfo) -> str:
        stack = (info.context or {}).get("stack", name)
        if name != stack:
            raise PydanticCustomError(UNFIT, f"is not the stack's name, {stack}")
        return name

    @property
    def state_bucket(self) -> str:
        """S3's names are shared by everybody, an account's number is its own."""
        return f"drydock-state-{self.account}-{self.region}"

    @property
    def state_key_alias(self) -> str:
        return "alias/drydock-state"

    @property
    def tags(self) -> dict[str, str]:
        return {"stack": self.name, "managed-by": "drydock"}

    def contradictions(self) -> Iterator[str]:
        sentence = f"account {self.account} may lose its runs and its audit trail"
        if not self.protection.data and self.protection.acknowledgement != sentence:
            yield f'protection.data is false: confirm it with protection.acknowledgement: "{sentence}"'
        if self.protection.data:
            for name, days in (
                ("runs.evidence_days", self.runs.evidence_days),
                ("audit.keep_days", self.audit.keep_days),
            ):
                if days < 30:
                    yield f"{name} is {days} although data are protected: give 30 at least"
        if self.recovery_region == self.region:
            yield "recovery_region must be another region than region"
