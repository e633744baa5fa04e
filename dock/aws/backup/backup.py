"""AWS Backup, put together."""

from __future__ import annotations

from dock.aws.backup.plans import Plans
from dock.aws.backup.selections import Selections
from dock.aws.backup.tags import Tags
from dock.aws.backup.vaults import Vaults


class Backup(Vaults, Plans, Selections, Tags):
    """What is to be backed up, when, where to and for how long. Locks act; the plans' jobs don't run."""

    name = "backup"
