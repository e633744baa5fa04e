"""Full disks: real ones, and only where nobody else's data lie."""

from __future__ import annotations

import os
from pathlib import Path

from dock.faults.engines import Engine
from dock.faults.model import Fault, FaultError

_BALLAST = "drydock-fault.ballast"
_STEPS = (16 * 1024 * 1024, 1024 * 1024, 64 * 1024, 4096)


class Volumes:
    """Fills the file system of an engine's data with one file, and removes that again."""

    def check(self, engine: Engine) -> None:
        """Raises FaultError when the engine's data are not on a file system of their own."""
        if engine.volume is None:
            raise FaultError(f"a {engine.kind} keeps nothing on a disk that could be full; a database does")
        folder = Path(engine.volume)
        if not folder.exists():
            raise FaultError(f"{engine.name} has no data yet")
        if _mount(folder) is None:
            raise FaultError(
                f"the data of {engine.name} lie on this machine's own disk, and filling that would stop everything;"
                f" give it a file system of its own: mount one at {folder.parent} before the database is created"
            )

    def fill(self, fault: Fault, engine: Engine) -> None:
        """Write until there is no space. Blocks. Done again, it takes what has become free since."""
        self.check(engine)
        assert engine.volume is not None
        mount = _mount(Path(engine.volume))
        assert mount is not None
        with (mount / f"{_BALLAST}.{fault.id}").open("ab", buffering=0) as file:
            for step in _STEPS:
                try:
                    while True:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
                except OSError:
                    continue

    def release(self, fault: Fault) -> None:
        """Give the space back, wherever it was taken. Blocks."""
        for line in Path("/proc/self/mounts").read_text().splitlines():
            mount = line.split()[1].encode().decode("unicode_escape")
            ballast = Path(mount) / f"{_BALLAST}.{fault.id}"
            if ballast.exists():
                ballast.unlink(missing_ok=True)


def _mount(folder: Path) -> Path | None:
    """The mount point that holds a folder, if it isn't the one of the dock's own home; None otherwise."""
    device = folder.stat().st_dev
    place = folder
    while place.parent != place and place.parent.stat().st_dev == device:
        place = place.parent
    # The dock's home is two above `rds/<resource>`; data on the same device are on everybody's disk.
    home = folder.parent.parent
    return place if place.parent != place and home.stat().st_dev != device else None
