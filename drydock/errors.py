"""How the command fails: what went wrong, why, and what to type next."""

from __future__ import annotations


class DrydockError(Exception):
    """An error for a person. `what` says what failed and why, `next_command` what to do about it."""

    def __init__(self, what: str, next_command: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.next_command = next_command
