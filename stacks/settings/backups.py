"""What is kept of an environment's data besides the database's own recovery, and what is kept of its traffic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from stacks.domain import LogRetention, Part, whole


class Lock(Part):
    """What keeps backups from being deleted before their time, by whomever."""

    least_days: whole(1, 36500, "days", 7)  # type: ignore[valid-type]
    """Nothing in a vault goes earlier."""
    final_after_days: whole(3, 36500, "days", 14) | None = None  # type: ignore[valid-type]
    """Compliance mode: the lock can be taken back for so long, and by nobody ever after. Unset: governance mode."""
    acknowledgement: str | None = None
    """Must be said with `final_after_days`: `nobody can delete backups of <platform> <environment>`."""

    def contradictions(self) -> Iterator[str]:
        if self.final_after_days is None and self.acknowledgement is not None:
            yield "acknowledgement is for final_after_days; remove it"


class Backups(Part):
    """Snapshots of the database, each with a copy in the recovery region."""

    daily_days: whole(1, 36500, "days", 35)  # type: ignore[valid-type]
    """How long a day's snapshot is kept."""
    weekly_days: whole(1, 36500, "days", 90)  # type: ignore[valid-type]
    monthly_days: whole(1, 36500, "days", 400)  # type: ignore[valid-type]
    lock: Lock | None = None
    acknowledgement: str | None = None
    """Must be said when data are protected and there is no lock: `backups of <platform> <environment> have no lock`."""

    def contradictions(self) -> Iterator[str]:
        if not self.daily_days <= self.weekly_days <= self.monthly_days:
            yield "daily_days, weekly_days and monthly_days must not become shorter"
        if self.lock is not None and self.lock.least_days > self.daily_days:
            yield f"lock.least_days is {self.lock.least_days}, longer than daily_days: AWS refuses such a plan"
        if self.lock is not None and self.acknowledgement is not None:
            yield "acknowledgement is for backups without a lock; remove it"

    def against(self, environment: str, protected: bool) -> Iterator[str]:
        """What doesn't fit the environment, named `<platform> <environment>`, whose data are protected or not."""
        sentence = f"backups of {environment} have no lock"
        if self.lock is None and protected and self.acknowledgement != sentence:
            yield f'backups.lock is missing: data are protected. Or say backups.acknowledgement: "{sentence}"'
        if self.lock is not None and self.lock.final_after_days is not None:
            sentence = f"nobody can delete backups of {environment}"
            if self.lock.acknowledgement != sentence:
                yield f'backups.lock.final_after_days: confirm it with backups.lock.acknowledgement: "{sentence}"'
            if not protected:
                yield "backups.lock.final_after_days: an environment that may lose its data could never be removed"


class Audit(Part):
    """What is written down of the network's connections. Calls of the API are the account's control stack's matter."""

    flow_logs: Literal["ACCEPT", "REJECT", "ALL"]
    log_retention_days: LogRetention
