"""Where one cluster lives, and what it is made with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dock.certificates import Certificate
from dock.engines.postgres.binaries import Binaries
from dock.engines.supervisor import Supervisor

# Linux: sizeof(sockaddr_un.sun_path) - 1.
_LONGEST_SOCKET_PATH = 107
PORT = 5432


@dataclass(frozen=True, slots=True)
class Site:
    """`name` reads like a path and is unique in the dock (`rds/db-ABC`); processes are named after it.

    `addresses` are those of the nodes `a` and `b`; both listen on port 5432. `user` is who the servers run as
    (uid, gid); None: as the daemon. `sockets` is a folder with a short path.
    """

    name: str
    folder: Path
    sockets: Path
    logs: Path
    addresses: dict[str, str]
    certificate: Certificate
    user: tuple[int, int] | None
    binaries: Binaries
    supervisor: Supervisor

    def __post_init__(self) -> None:
        longest = len(str(self.sockets / "a" / f".s.PGSQL.{PORT}").encode())
        if longest > _LONGEST_SOCKET_PATH:
            raise ValueError(
                f"{self.sockets} is {longest - _LONGEST_SOCKET_PATH} bytes too long for a Unix socket:"
                " set DRYDOCK_HOME to a shorter path"
            )

    @property
    def archive(self) -> Path:
        """The archived WAL of every timeline."""
        return self.folder / "archive"

    @property
    def backups(self) -> Path:
        """The automated base backups."""
        return self.folder / "backups"

    def log(self, node: str) -> Path:
        """The server log of one node."""
        return self.logs / f"{self.name.replace('/', '-')}-{node}.log"
