"""`make setup`: what this machine lacks, in the order in which it is needed. Standard library only.

Each step is skipped when it is done. Works as root and as an ordinary user; system packages need apt as root or sudo.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parents[1]
VENV = PROJECT / ".venv"
LOCK = PROJECT / "requirements.lock"


class SetupError(Exception):
    """Something is missing that can't be installed from here; the message says what to type."""


class ToldError(Exception):
    """The step's own program has said what is wrong already."""


def main() -> int:
    steps: list[tuple[str, Callable[[], None]]] = [
        ("system packages", system_packages),
        ("Python packages", python_packages),
        ("Pulumi's engine", engine),
        ("the emulator", emulator),
    ]
    for name, step in steps:
        began = time.monotonic()
        try:
            step()
        except ToldError:
            return 1
        except SetupError as problem:
            print(f"drydock: {name}: {problem}", file=sys.stderr)
            return 1
        except (subprocess.SubprocessError, OSError) as problem:
            print(f"drydock: {name} could not be installed: {problem}", file=sys.stderr)
            return 1
        if (took := time.monotonic() - began) > 5:
            print(f"drydock: {name}: done in {took:.0f} s", flush=True)
    return 0


def system_packages() -> None:
    """PostgreSQL 15 or newer, Redis or Valkey 7 or newer, and HAProxy, by the system's package manager."""
    missing = []
    if not any(_postgres_major(path) >= 15 for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        missing.append("postgresql")
    if not any(_server_major(name) >= 7 for name in ("redis-server", "valkey-server")):
        missing.append("redis-server")
    if not _on_path("haproxy"):
        missing.append("haproxy")
    if not _on_path("psql"):
        missing.append("postgresql-client")
    if not _venv_works():
        missing.append("python3-venv")
    if not missing:
        return
    names = " ".join(missing)
    by_hand = f"missing: {names}. As root: apt-get install {names}. Then: make up"
    if not _on_path("apt-get"):
        raise SetupError(f"{by_hand} (this system has no apt-get: install them its own way)")
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and (not _on_path("sudo") or subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode):
        raise SetupError(by_hand)
    print(f"drydock: installing {names} (about a minute, once)", flush=True)
    # RUNLEVEL=1 keeps the packages from starting servers of their own.
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    subprocess.run([*apt, "update"], check=False, timeout=300, stdout=subprocess.DEVNULL)
    done = subprocess.run(
        [*apt, "install", "--no-install-recommends", "-y", *missing], timeout=900, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SetupError(f"{(done.stderr or done.stdout).strip()[-1500:]}\n{by_hand}")


def python_packages() -> None:
    """`.venv` with the locked packages, each checked by its hash, and this project in it."""
    ready = VENV / ".ready"
    wanted = hashlib.sha256(LOCK.read_bytes() + (PROJECT / "pyproject.toml").read_bytes()).hexdigest()
    if ready.exists() and ready.read_text() == wanted:
        return
    if sys.version_info < (3, 11):  # noqa: UP036  (this runs on whatever python3 there is)
        raise SetupError(f"Python {sys.version.split()[0]} is too old: 3.11 or newer is needed (make up PYTHON=…)")
    print("drydock: installing Python packages (one to two minutes, once)", flush=True)
    if not (VENV / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True, timeout=120)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    for arguments in (
        ["--require-hashes", "--no-deps", "-r", str(LOCK)],
        ["--no-deps", "--no-build-isolation", "-e", "."],
    ):
        done = subprocess.run([*pip, *arguments], cwd=PROJECT, timeout=1200)
        if done.returncode != 0:
            raise SetupError("pip failed; the lines above say why. Then: make up")
    ready.write_text(wanted)


def engine() -> None:
    """Pulumi's CLI; `tools/engine` knows the ways to have it."""
    _run([sys.executable, str(PROJECT / "tools" / "engine" / "install.py")], 3600)


def emulator() -> None:
    """The emulator's environment in the cache."""
    _run([str(VENV / "bin" / "python"), str(PROJECT / "tools" / "emulator" / "install.py")], 900)


def _run(command: list[str], seconds: float) -> None:
    if subprocess.run(command, timeout=seconds).returncode != 0:
        raise ToldError


def _found(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")


def _on_path(program: str) -> bool:
    return _found(program) is not None


def _server_major(name: str) -> int:
    """The major version of a Redis or Valkey server; 0 where there is none. It says `… server v=7.0.15 …`."""
    path = _found(name)
    if path is None:
        return 0
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10).stdout
    version = re.search(r"v=(\d+)\.", said)
    return int(version[1]) if version else 0


def _postgres_major(path: Path) -> int:
    version = path.parents[1].name
    return int(version) if version.isdigit() else 0


def _venv_works() -> bool:
    return subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
