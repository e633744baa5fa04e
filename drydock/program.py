"""Pulumi in the dock: a home, a backend and a passphrase of its own, and the program's stacks in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil
import yaml

from dock.certificates import write_private
from dock.home import Home
from dock.providers.install import install
from drydock.errors import DrydockError
from drydock.shell import PROJECT, attach

UP_SECONDS = 900

# It goes with the salts in Pulumi.*.yaml (docs/adr/0006): a random one would have the engine rewrite those files. What
# keeps the dock's state private is its folder, which only its owner may enter.
PASSPHRASE = b"dock"


def prepare(home: Home) -> None:
    """Lay out the Pulumi home (our plugins), the backend and the passphrase, and make every stack known to it, so
    that any of them can be previewed. Idempotent; nothing of the user's own Pulumi home is touched."""
    for folder in (home.pulumi / "home", home.pulumi / "state"):
        folder.mkdir(parents=True, exist_ok=True)
    write_private(home.pulumi / "passphrase", PASSPHRASE)
    install(home.pulumi / "home")
    project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["name"]
    environment = attach(home)
    for stack in stacks():
        if not (home.pulumi / "state" / ".pulumi" / "stacks" / project / f"{stack}.json").exists():
            pulumi(["stack", "init", stack, "--no-select"], environment)


def stacks() -> list[str]:
    """The stacks that have a settings file at the root."""
    return sorted(path.name.split(".")[1] for path in PROJECT.glob("Pulumi.*.yaml"))


def pulumi(arguments: list[str], environment: Mapping[str, str]) -> str:
    """Run the engine to its end and return what it printed. Raises DrydockError with its last lines."""
    try:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=PROJECT,
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DrydockError(
            f"pulumi {' '.join(arguments)} did not end within {UP_SECONDS} s", "drydock status"
        ) from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        raise DrydockError(f"pulumi {' '.join(arguments)} failed:\n{said}", 'eval "$(drydock env)" && pulumi up')
    return done.stdout


def apply(home: Home, stack: str, log: Path) -> None:
    """`pulumi up` for a stack; the engine's own progress goes to the terminal and to `log`."""
    environment = attach(home)
    _release(home, stack, environment)
    command = ["pulumi", "up", "--yes", "--skip-preview", "--suppress-permalink", "--stack", stack, "--non-interactive"]
    with (
        log.open("a") as kept,
        subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            kept.write(line)
            if line.strip():
                print(f"  {line.rstrip()}", flush=True)
    if process.returncode != 0:
        raise DrydockError(
            f"pulumi up --stack {stack} failed; the lines above and {log} say why",
            f'eval "$(drydock env)" && pulumi up --stack {stack}',
        )


def _release(home: Home, stack: str, environment: Mapping[str, str]) -> None:
    """Take away the lock of an engine that was killed. One that is alive keeps it, and `pulumi up` then says so."""
    for lock in (home.pulumi / "state" / ".pulumi" / "locks").rglob("*.json"):
        if lock.parent.name != stack:
            continue
        try:
            holder = int(json.loads(lock.read_text())["pid"])
        except (OSError, ValueError, KeyError):
            continue
        if not _runs(holder):
            pulumi(["cancel", "--yes", "--stack", stack], environment)
            return


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
