"""How the command fails: what went wrong, why, and what to type next."""

from __future__ import annotations


class DrydockError(Exception):
    """An error for a person. `what` says what failed and why, `next_command` what to do about it."""

    exit_code = 1

    def __init__(self, what: str, next_command: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.next_command = next_command


class UsageError(DrydockError):
    """The command itself was wrong; nothing was started."""

    exit_code = 2


class RefusedError(DrydockError):
    """What had to hold before the first step does not; nothing was done."""

    exit_code = 3
