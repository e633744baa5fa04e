"""Pulumi in the dock: a home, a backend and a passphrase of its own, and the program's stacks in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
import yaml

from dock.certificates import write_private
from dock.home import Home
from dock.providers.install import install
from drydock.errors import DrydockError
from drydock.shell import PROJECT, attach

UP_SECONDS = 900
# Raised whenever a service of the dock takes over records that another kept before.
GENERATION = 2

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
    """The environments that have a settings file at the root. An account's control stack keeps its state elsewhere."""
    return [
        path.name.split(".")[1]
        for path in sorted(PROJECT.glob("Pulumi.*.yaml"))
        if "\n    kind: control\n" not in path.read_text()
    ]


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
    """`pulumi up` for a stack of the dock, after the lock of an engine that was killed.

    A state that an older dock made is refreshed once: some of its records have moved, and what is gone is made anew.
    """
    environment = attach(home)
    release(home.pulumi / "state", stack, environment)
    seen = home.pulumi / f"{stack}.generation"
    current = seen.exists() and seen.read_text() == str(GENERATION)
    up(stack, environment, log, () if current else ("--refresh",))
    seen.write_text(str(GENERATION))


def up(
    stack: str,
    environment: Mapping[str, str],
    log: Path,
    more: Sequence[str] = (),
    *,
    next_command: str | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """`pulumi up`; the engine's own progress goes to the terminal (or `say`) and to `log`. Raises DrydockError."""
    show = say or (lambda line: print(f"  {line}", flush=True))
    command = ["pulumi", "up", "--yes", "--skip-preview", "--suppress-permalink", "--stack", stack, "--non-interactive"]
    with (
        log.open("a") as kept,
        subprocess.Popen(
            [*command, *more],
            cwd=PROJECT,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            # With a bucket it is a link that lets whoever has it read the state.
            if line.startswith("Permalink:"):
                continue
            kept.write(line)
            if line.strip():
                show(line.rstrip())
    if process.returncode != 0:
        raise DrydockError(
            f"pulumi up --stack {stack} failed; the lines above and {log} say why",
            next_command or f'eval "$(drydock env)" && pulumi up --stack {stack}',
        )


def release(backend: Path, stack: str, environment: Mapping[str, str]) -> None:
    """Take away the lock of an engine that was killed. One that is alive keeps it, and `pulumi up` then says so.

    An engine that was killed while it wrote the state leaves half a file: the one before it takes its place.
    """
    for lock in (backend / ".pulumi" / "locks").rglob("*.json"):
        if lock.parent.name != stack:
            continue
        try:
            holder = int(json.loads(lock.read_text())["pid"])
        except (OSError, ValueError, KeyError):
            continue
        if not runs(holder):
            _mend(backend, stack)
            pulumi(["cancel", "--yes", "--stack", stack], environment)
            return


def _mend(backend: Path, stack: str) -> None:
    """Put the engine's own backup in the place of a state that can't be read. Raises DrydockError without one."""
    for state in (backend / ".pulumi" / "stacks").rglob(f"{stack}.json"):
        if _is_whole(state):
            continue
        backup = state.with_name(f"{state.name}.bak")
        if not _is_whole(backup):
            raise DrydockError(
                f"the state {state} was cut off while it was written, and there is no whole backup beside it",
                f"mv {state} {state}.broken && drydock up --stack {stack}",
            )
        backup.replace(state)


def _is_whole(state: Path) -> bool:
    try:
        json.loads(state.read_bytes())
    except (OSError, ValueError):
        return False
    return True


def runs(pid: int) -> bool:
    """Whether there is such a process on this machine."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
