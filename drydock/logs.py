"""`drydock logs`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from dock.home import Home
from drydock.errors import DrydockError


def show(home: Home, name: str | None, *, follow: bool, lines: int) -> None:
    """List the logs, or print the end of those whose name starts with `name`."""
    found = {str(path.relative_to(home.logs)).removesuffix(".log"): path for path in sorted(home.logs.rglob("*.log"))}
    if not found:
        raise DrydockError(f"there are no logs in {home.logs} yet", "drydock up")
    if name is None:
        for label, path in found.items():
            print(f"{label}  ({path.stat().st_size:,} bytes)")
        return
    chosen: list[Path] = [path for label, path in found.items() if label == name] or [
        path for label, path in found.items() if label.startswith(name)
    ]
    if not chosen:
        raise DrydockError(f"no log is called {name!r}; there are {', '.join(found)}", "drydock logs")
    # `tail` follows rotation and many files at once better than anything we would write.
    command = ["tail", "-n", str(lines), *(["-F"] if follow else []), *map(str, chosen)]
    subprocess.run(command, check=False)
