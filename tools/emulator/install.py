"""Make the emulator's environment in the cache: `python tools/emulator/install.py`. Done once for each lock file."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from dock.emulator.process import environment_folder

LOCK = Path(__file__).with_name("requirements.lock")


def main() -> int:
    folder = environment_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "complete").exists():
            return 0
        print("drydock: installing the emulator (about 20 s, once)", flush=True)
        # A virtual environment can't be moved, so an unfinished one is thrown away instead.
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, "install", "--require-hashes", "--no-deps", "-r", str(LOCK)], check=False, timeout=600
        )
        if done.returncode != 0:
            print(
                "drydock: the emulator could not be installed; the lines above say why. Then: make up", file=sys.stderr
            )
            return 1
        (folder / "complete").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
