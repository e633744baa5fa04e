"""Containers as processes: what an image and a task definition say, turned into a process of this host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dock.engines.images import Image
from dock.engines.supervisor import MARK, Process, Spec, Supervisor

# Docker's own, for an image that sets none.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Variables that are lists of paths: an entry that exists in the image means the image's.
_PATH_LISTS = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_LIMITS = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "memlock": resource.RLIMIT_MEMLOCK,
    "nofile": resource.RLIMIT_NOFILE,
    "stack": resource.RLIMIT_STACK,
}
# Fargate's default.
OPEN_FILES = 65535
ULIMITS = frozenset(_LIMITS)


class CommandError(Exception):
    """The command of a container can't be run; the message is what a container runtime would say."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, where, and with which environment (which may hold secrets: it is kept nowhere)."""

    argv: list[str]
    environment: dict[str, str] = field(repr=False)
    cwd: Path


def command(
    image: Image,
    interpreter: Path,
    *,
    entry_point: Sequence[str] | None,
    arguments: Sequence[str] | None,
    environment: Mapping[str, str],
    working_directory: str | None = None,
) -> Command:
    """Combine an image with what a task definition overrides, as a container runtime does.

    `interpreter` is a folder with `python` and its other names. Paths are taken relative to the image's root: the
    working directory, the program, entries of PATH and PYTHONPATH, and arguments that name a file of the image.
    Raises CommandError when there is nothing to run.
    """
    if entry_point is not None:
        argv = [*entry_point, *(arguments or [])]
    else:
        argv = [*image.entry_point, *(arguments if arguments is not None else image.command)]
    if not argv:
        raise CommandError("no command specified: the image has neither Entrypoint nor Cmd")
    merged = {"PATH": DEFAULT_PATH, **image.environment, **environment}
    for name in _PATH_LISTS:
        if name in merged:
            merged[name] = ":".join(_inside(image.root, entry) or entry for entry in merged[name].split(":") if entry)
    merged["PATH"] = f"{interpreter}:{merged['PATH']}"
    folder = image.root / (working_directory or image.working_directory).lstrip("/")
    if not folder.is_dir():
        raise CommandError(
            f"the working directory {working_directory or image.working_directory!r} is not in the image"
        )
    program = _program(image.root, argv[0], merged["PATH"], interpreter, folder)
    rest = [_file_inside(image.root, argument) or argument for argument in argv[1:]]
    return Command([*program, *rest], merged, folder)


def _inside(root: Path, entry: str) -> str | None:
    path = root / entry.lstrip("/")
    return str(path) if entry.startswith("/") and entry != "/" and path.exists() else None


def _file_inside(root: Path, argument: str) -> str | None:
    found = _inside(root, argument)
    return found if found is not None and Path(found).is_file() else None


def _program(root: Path, name: str, path: str, interpreter: Path, cwd: Path) -> list[str]:
    found = _file_inside(root, name) if name.startswith("/") else None
    if found is None and _PYTHON.fullmatch(Path(name).name) and not Path(name).is_file():
        named = interpreter / Path(name).name
        if not named.exists():
            raise CommandError(f"{name}: the image's interpreter is {interpreter.name}")
        return [str(named)]
    if found is None:
        found = shutil.which(str(cwd / name) if "/" in name and not name.startswith("/") else name, path=path)
    if found is None:
        raise CommandError(f'runtime create failed: exec: "{name}": executable file not found in $PATH')
    # A script of the image may name the Python of the image that it was built on.
    with contextlib.suppress(OSError), Path(found).open("rb") as file:
        if file.read(2) == b"#!":
            line = file.readline(256).decode("utf-8", "replace").split()
            if line and _PYTHON.fullmatch(Path(line[0]).name) and not Path(line[0]).is_file():
                return [str(interpreter / "python"), *line[1:], found]
    return [found]


class Containers:
    """Starts and ends containers through the supervisor. Names read `ecs/<task>/<container>`."""

    def __init__(self, supervisor: Supervisor, user: tuple[int, int] | None) -> None:
        self._supervisor = supervisor
        self.user = user

    def find(self, name: str) -> Process | None:
        """The container's main process if it runs."""
        return self._supervisor.find(name)

    def start(self, name: str, what: Command, log: Path, limits: Mapping[str, tuple[int, int]]) -> Process:
        """Start a container; its output goes to `log`. `limits` are (soft, hard) by ulimit name; those above the
        daemon's own hard limits are cut to them.

        Raises CommandError when the program can't be executed.
        """
        try:
            process = self._supervisor.start(
                Spec(
                    name=name,
                    argv=[*_limiting(limits), *what.argv],
                    log=log,
                    cwd=what.cwd,
                    environment=what.environment,
                    user=self.user,
                )
            )
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or str(problem)
            raise CommandError(f"runtime create failed: {what.argv[0]}: {reason}") from None
        return process

    async def stop(self, name: str, stop_signal: str, grace: float) -> int | None:
        """Ask, wait `grace` seconds, kill; ends whatever the container started too. Returns the exit code as a
        container runtime counts it, None when it isn't known."""
        process = self.find(name)
        code = None
        if process is not None:
            code = await process.stop(_signal(stop_signal), grace)
        await self.sweep(name, process)
        return exit_status(code)

    async def sweep(self, name: str, process: Process | None) -> None:
        """End what a container left behind when its main process ended, as the end of process 1 does."""
        if process is not None:
            process.kill_group()
        for pid in await asyncio.to_thread(_marked, name):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        await self._supervisor.stop(name, grace=5)


def _limiting(limits: Mapping[str, tuple[int, int]]) -> list[str]:
    """The beginning of a command that runs the rest of it with these limits."""
    options = []
    for name, (soft, hard) in {"nofile": (OPEN_FILES, OPEN_FILES), **limits}.items():
        highest = resource.getrlimit(_LIMITS[name])[1]
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        options.append(f"--{name}={soft}:{hard}")
    return ["prlimit", *options, "--"]


def exit_status(code: int | None) -> int | None:
    """128 + n for a process that signal n ended."""
    return code if code is None or code >= 0 else 128 - code


def _signal(name: str) -> signal.Signals:
    try:
        return signal.Signals(int(name)) if name.isdigit() else signal.Signals["SIG" + name.upper().removeprefix("SIG")]
    except (KeyError, ValueError):
        return signal.SIGTERM


def _marked(name: str) -> list[int]:
    """Processes that carry this container's mark, whatever session they put themselves into."""
    suffix = f":{name}".encode()
    mark = MARK.encode() + b"="
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError), Path(f"/proc/{entry.name}/environ").open("rb") as file:
                if any(item.startswith(mark) and item.endswith(suffix) for item in file.read().split(b"\0")):
                    found.append(int(entry.name))
    return found


async def execute(process: Process, argv: Sequence[str], user: tuple[int, int] | None, seconds: float) -> int | None:
    """Run a command beside a container: same environment, folder and user. Returns its exit code, None when it took
    longer than `seconds` (it is then killed) or could not be run. The environment is read from the process itself, so
    that no secret is kept for it."""
    try:
        raw = await asyncio.to_thread(Path(f"/proc/{process.pid}/environ").read_bytes)
        cwd = Path(f"/proc/{process.pid}/cwd").readlink()
    except OSError:
        return None
    environment = dict(
        item.decode("utf-8", "surrogateescape").split("=", 1) for item in raw.split(b"\0") if b"=" in item
    )
    try:
        child = await asyncio.create_subprocess_exec(
            shutil.which(argv[0], path=environment.get("PATH", DEFAULT_PATH)) or argv[0],
            *argv[1:],
            env=environment,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            user=user[0] if user else None,
            group=user[1] if user else None,
            extra_groups=[] if user else None,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(seconds):
            return await child.wait()
    except TimeoutError:
        return None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
