"""Finds the PostgreSQL that is installed on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OLDEST_MAJOR = 15
DEBIAN = Path("/usr/lib/postgresql")
_NEEDED = ("postgres", "initdb", "pg_basebackup", "pg_rewind", "pg_verifybackup", "pg_controldata")


class MissingBinariesError(RuntimeError):
    """No usable PostgreSQL is installed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with PostgreSQL's programs, and what version they are (`15.18`)."""

    folder: Path
    version: str

    @classmethod
    def find(cls) -> Binaries:
        """The newest of Debian's packages and of PATH; DRYDOCK_POSTGRES_BIN names a folder and overrules both.

        Raises MissingBinariesError when none is complete and new enough.
        """
        named = os.environ.get("DRYDOCK_POSTGRES_BIN")
        found = [binaries for folder in _folders(named) if (binaries := _inspect(folder)) is not None]
        usable = [binaries for binaries in found if binaries.major >= OLDEST_MAJOR]
        if usable:
            return max(usable, key=lambda binaries: [int(part) for part in binaries.version.split(".")])
        seen = ", ".join(f"{binaries.version} in {binaries.folder}" for binaries in found) or "none"
        where = f"DRYDOCK_POSTGRES_BIN={named}" if named else f"{DEBIAN} and PATH"
        raise MissingBinariesError(
            f"no complete PostgreSQL {OLDEST_MAJOR} or newer in {where} (found: {seen});"
            " install it with `apt-get install postgresql`, or set DRYDOCK_POSTGRES_BIN"
        )

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def program(self, name: str) -> str:
        """The path of one program, for example `initdb`."""
        return str(self.folder / name)


def _folders(named: str | None) -> list[Path]:
    if named:
        return [Path(named)]
    folders = sorted(DEBIAN.glob("*/bin"))
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).resolve().parent)
    return folders


def _inspect(folder: Path) -> Binaries | None:
    if not all(os.access(folder / name, os.X_OK) for name in _NEEDED):
        return None
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)+)", answer.stdout)
    return Binaries(folder, match[1]) if match else None
