"""Where a dock keeps what must outlive it."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

# Root's own home is closed to the unprivileged users that PostgreSQL and tasks run as.
ROOT_HOME = Path("/var/lib/drydock")


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one dock, below `root`. `create()` makes them; nothing else here touches the disk."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """`DRYDOCK_HOME`, else `/var/lib/drydock` for root, else `$XDG_STATE_HOME/drydock`."""
        if named := os.environ.get("DRYDOCK_HOME"):
            return cls(Path(named).absolute())
        if os.geteuid() == 0:
            return cls(ROOT_HOME)
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return cls(Path(state).absolute() / "drydock")

    @property
    def database(self) -> Path:
        return self.root / "dock.sqlite"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Sockets, pid files and the lock files of `up` and of the daemon."""
        return self.root / "run"

    @property
    def keys(self) -> Path:
        """Private keys, mode 0700: the CA's key and the key that the emulator's state is encrypted with."""
        return self.root / "keys"

    @property
    def certificate_authority(self) -> Path:
        return self.root / "ca.pem"

    @property
    def trust_bundle(self) -> Path:
        """The dock's CA and the system's: what SSL_CERT_FILE names, so that real hosts stay trusted too."""
        return self.root / "trust.pem"

    @property
    def pulumi(self) -> Path:
        return self.root / "pulumi"

    def data(self, engine: str) -> Path:
        """The folder of one engine or service, for example `rds`."""
        return self.root / engine

    def create(self) -> None:
        """Make the folders. Others may walk through (0711), so that engines reach their own below; keys are closed."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)
        for folder, mode in ((self.logs, 0o711), (self.run, 0o711), (self.keys, 0o700), (self.pulumi, 0o700)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)


def unprivileged_user(preferred: str) -> pwd.struct_passwd | None:
    """The user that an engine runs as when the dock itself is root; None when it isn't (the engine then is us).

    `preferred` is the package's own user, for example `postgres`; `nobody` stands in where it doesn't exist.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(preferred)
    except KeyError:
        return pwd.getpwnam("nobody")
