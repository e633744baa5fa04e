"""Which Redis or Valkey servers this machine has."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SERVER_VARIABLE = "DRYDOCK_REDIS_SERVER"
OLDEST_MAJOR = 7
_PROGRAMS = ("redis-server", "valkey-server")
_VERSION = re.compile(r"(?i)\b(redis|valkey)?\s*server\s+v=(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Server:
    """An installed server program. `engine` is `redis` or `valkey`, `version` for example `7.0.15`."""

    path: Path
    engine: str
    version: str

    @property
    def release(self) -> str:
        """Major and minor version, for example `7.0`."""
        return self.version.rpartition(".")[0]

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


def installed() -> list[Server]:
    """The servers that can be used: the one that DRYDOCK_REDIS_SERVER names, else those on PATH. Older ones than 7
    are left out."""
    named = os.environ.get(SERVER_VARIABLE)
    candidates = [named] if named else [found for program in _PROGRAMS if (found := shutil.which(program))]
    servers: dict[str, Server] = {}
    for candidate in candidates:
        server = _examine(Path(candidate))
        if server is not None:
            servers.setdefault(server.engine, server)
    return list(servers.values())


def what_is_missing() -> str:
    """What a person does about it when `installed` finds none."""
    if named := os.environ.get(SERVER_VARIABLE):
        return f"{SERVER_VARIABLE} names {named}, which is no Redis or Valkey server of version {OLDEST_MAJOR} or later"
    return (
        f"this machine has no Redis or Valkey server of version {OLDEST_MAJOR} or later: install the package "
        f"redis-server, or name a server in {SERVER_VARIABLE}"
    )


def _examine(path: Path) -> Server | None:
    try:
        return _ask(path, path.stat().st_mtime_ns)
    except OSError:
        return None


@functools.cache
def _ask(path: Path, _changed: int) -> Server | None:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer)
    if match is None or int(match[2]) < OLDEST_MAJOR:
        return None
    engine = (match[1] or ("valkey" if "valkey" in path.name else "redis")).lower()
    return Server(path, engine, ".".join(match.group(2, 3, 4)))
