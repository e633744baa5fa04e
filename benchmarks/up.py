"""`drydock up`, from nothing and when all is up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figure import Figure, seconds
from drydock.shell import PROJECT


def measure() -> list[Figure]:
    """In a home of its own, which is removed afterwards; what set-up installs and the cached image layers are there."""
    folder = Path(tempfile.mkdtemp(prefix="drydock-benchmark-"))
    folder.chmod(0o711)
    environment = {**os.environ, "DRYDOCK_HOME": str(folder / "home")}
    try:
        nothing = seconds(lambda: _drydock("up", environment))
        again = seconds(lambda: _drydock("up", environment))
        down = seconds(lambda: _drydock("down", environment))
        resumed = seconds(lambda: _drydock("up", environment))
    finally:
        _drydock("down", environment)
        shutil.rmtree(folder, ignore_errors=True)
    return [
        Figure("drydock up from nothing", f"{nothing:.1f} s", "", None, "≤ 60 s", nothing <= 60),
        Figure("drydock up when all is up", f"{again:.1f} s", "", again / nothing, "≤ 15 s", again <= 15),
        Figure("drydock up after drydock down", f"{resumed:.1f} s", f"down {down:.1f} s", resumed / nothing, "", True),
    ]


def _drydock(command: str, environment: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "drydock", command],
        cwd=PROJECT,
        env=environment,
        check=True,
        capture_output=True,
        timeout=600,
    )
