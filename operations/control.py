"""The control manifest: where an account keeps its runs. `drydock bootstrap` writes it (stacks/control.py)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from operations import parameter_store
from operations.manifest import Name

PARAMETER = "/drydock/control/manifest"
BOOTSTRAP = "create the account's store of runs with `drydock bootstrap`"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class State(_Part):
    bucket: Name
    key_alias: Name


class Runs(_Part):
    """Four tables, each with a copy in the recovery region, and the bucket of evidence."""

    journal: Name
    leases: Name
    approvals: Name
    ledger: Name
    evidence_bucket: Name
    evidence_days: Annotated[int, Field(ge=1)]


class Audit(_Part):
    trail: Name
    bucket: Name
    log_group: Name


class Control(_Part):
    schema_version: Literal[1]
    account: Annotated[str, Field(pattern=r"^\d{12}$")]
    region: Name
    recovery_region: Name
    state: State
    runs: Runs
    audit: Audit


def load(region: str | None = None, recovery_region: str | None = None) -> Control:
    """The control manifest of the account that this process is attached to. Raises `parameter_store.Unread`, whose
    `absent` says that the account has none; OperationError when it is malformed."""
    found, _ = parameter_store.read(
        PARAMETER,
        parameter_store.regions(region, recovery_region),
        what="this account has no store of runs",
        create=BOOTSTRAP,
    )
    return parameter_store.parse(found, Control, PARAMETER, "write it anew with `drydock bootstrap`")
