"""Interpreters of the host that an image may ask for, since a task has no root file system of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from dock.engines.images import ImageError

LABEL = "dev.drydock.interpreter"
_WANTED = re.compile(r"python3\.\d{1,2}")
_PROBE = "import sys, ssl; print(f'python{sys.version_info[0]}.{sys.version_info[1]}')"


class Interpreters:
    """Finds each wanted interpreter once, and gives it a folder for PATH where it has the names that images use."""

    def __init__(self, folder: Path, user: tuple[int, int] | None) -> None:
        self._folder = folder
        self._user = user
        self._found: dict[str, Path] = {}
        self._preparing = threading.Lock()

    def folder(self, label: str | None) -> Path:
        """A folder with `python`, `python3` and `python3.N`. Blocks for a moment the first time.

        Raises ImageError when the image names no interpreter, or one that this host lacks.
        """
        if label is None:
            raise ImageError(
                f"the image needs a root file system of its own: it has no label {LABEL}, and the dock runs tasks as"
                f" processes of this host; build it with `LABEL {LABEL}=python3.11` (docs/architecture.md)"
            )
        if not _WANTED.fullmatch(label):
            raise ImageError(f"the image's label {LABEL} is {label!r}, expected for example python3.11")
        with self._preparing:
            if label not in self._found:
                self._found[label] = self._prepare(label)
            return self._found[label]

    def _prepare(self, label: str) -> Path:
        program = self._search(label)
        folder = self._folder / label
        folder.mkdir(parents=True, exist_ok=True)
        for path in (self._folder, folder):
            path.chmod(0o755)
        for name in ("python", "python3", label):
            link = folder / f".{name}"
            link.unlink(missing_ok=True)
            link.symlink_to(program)
            link.replace(folder / name)
        return folder

    def _search(self, label: str) -> Path:
        # The distribution's first: one below root's home can't be run by the user that tasks run as.
        base: str = getattr(sys, "_base_executable", sys.executable)
        named = [f"/usr/bin/{label}", f"/usr/local/bin/{label}", shutil.which(label), base, sys.executable]
        for candidate in dict.fromkeys(path for path in named if path):
            if self._runs(candidate, label):
                return Path(candidate)
        raise ImageError(
            f"the image wants {label}, and this host has none that a task may run: install it"
            f" (for example `apt-get install {label}`), or build the image for another version"
        )

    def _runs(self, program: str, label: str) -> bool:
        try:
            answer = subprocess.run(
                [program, "-I", "-c", _PROBE],
                cwd="/",
                env={},
                user=self._user[0] if self._user else None,
                group=self._user[1] if self._user else None,
                extra_groups=[] if self._user else None,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return answer.returncode == 0 and answer.stdout.decode().strip() == label
