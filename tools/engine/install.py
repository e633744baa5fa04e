"""Pulumi's engine: `python3 tools/engine/install.py` has it there afterwards and prints its folder.

The ways, in order: the `pulumi` on PATH when it is new enough; the one in the cache; Pulumi's own installer; a build
of its Go module, which `go.mod` and `go.sum` beside this file pin by hash. The folder is also written to
`~/.cache/drydock/engine/path`, where `drydock env` looks. Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# The SDK's version in requirements.lock: an older engine may not know what the SDK asks for.
VERSION = "3.259.0"
MODULE = Path(__file__).resolve().parent
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
INSTALLER = "https://get.pulumi.com"
# Go 1.21 and later fetch the Go that a module asks for.
OLDEST_GO = (1, 21)

ASK_SECONDS = 30
REACH_SECONDS = 5
INSTALL_SECONDS = 300
BUILD_SECONDS = 3000
# A build says that it is alive this often.
PROGRESS_SECONDS = 20.0


class EngineError(Exception):
    """There is no way to have the engine; the message says what to install."""


def say(line: str) -> None:
    """Progress: standard output is the folder alone."""
    print(f"drydock: {line}", file=sys.stderr, flush=True)


def cache_folder(environment: Mapping[str, str]) -> Path:
    cache = environment.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "drydock" / "engine"


def provide(environment: Mapping[str, str], cache: Path, installer: str = INSTALLER) -> Path:
    """The folder with an engine that is new enough. Raises EngineError; two at once do the work once."""
    if (found := _on_path(environment)) is not None:
        return found
    home = cache / f"v{VERSION}"
    if _new_enough(home / "bin" / "pulumi"):
        return home / "bin"
    cache.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(cache / "lock"):
        if _new_enough(home / "bin" / "pulumi"):
            return home / "bin"
        for way in (lambda into: _by_installer(into, environment, installer), lambda into: _by_go(into, environment)):
            if _made(home, way):
                return home / "bin"
    raise EngineError(f"the engine that was just installed in {home} does not run")


def version_of(pulumi: Path) -> tuple[int, ...] | None:
    """What the executable says of itself; None when it doesn't run or says nothing."""
    try:
        done = subprocess.run(
            [str(pulumi), "version"],
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=False,
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v?(\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(int(part) for part in match.groups()) if match and done.returncode == 0 else None


def _new_enough(pulumi: Path) -> bool:
    wanted = tuple(int(part) for part in VERSION.split("."))
    found = version_of(pulumi) if pulumi.is_file() else None
    return found is not None and found[0] == wanted[0] and found >= wanted


def _on_path(environment: Mapping[str, str]) -> Path | None:
    found = shutil.which("pulumi", path=environment.get("PATH", os.defpath))
    if found is None:
        return None
    if _new_enough(Path(found)):
        return Path(found).absolute().parent
    version = version_of(Path(found))
    known = ".".join(map(str, version)) if version else "of an unknown version"
    say(f"the pulumi at {found} is {known}; {VERSION} or newer is needed, so another is installed beside it")
    return None


def _made(home: Path, way: Callable[[Path], bool]) -> bool:
    """Whether this way made an engine. It appears in the cache whole or not at all."""
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="new-") as staging:
        staged = Path(staging) / "engine"
        if not way(staged) or not _new_enough(staged / "bin" / "pulumi"):
            return False
        shutil.rmtree(home, ignore_errors=True)
        staged.rename(home)
        return True


def _by_installer(into: Path, environment: Mapping[str, str], installer: str) -> bool:
    """Pulumi's own, where its site can be reached; it brings the language hosts along."""
    try:
        with urllib.request.urlopen(installer, timeout=REACH_SECONDS) as answer:  # noqa: S310  (our own constant)
            script = answer.read()
    except (urllib.error.URLError, OSError):
        return False
    say(f"installing Pulumi {VERSION} by its own installer")
    command = ["sh", "-s", "--", "--version", VERSION, "--install-root", str(into), "--no-edit-path"]
    try:
        done = subprocess.run(
            command, input=script, env=dict(environment), capture_output=True, timeout=INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        say("Pulumi's installer did not come to an end; building the engine instead")
        return False
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-500:]
        say(f"Pulumi's installer failed; building the engine instead ({said})")
    return done.returncode == 0


def _by_go(into: Path, environment: Mapping[str, str]) -> bool:
    """The same program, built from its Go module. Raises EngineError without a Go that can, or when the build fails."""
    go = shutil.which("go", path=environment.get("PATH", os.defpath))
    remedy = f"install Pulumi {VERSION} or newer (https://www.pulumi.com/docs/install), or Go (https://go.dev/dl)"
    if go is None:
        raise EngineError(f"Pulumi's site can't be reached and there is no Go to build its engine with: {remedy}")
    said = subprocess.run([go, "version"], capture_output=True, text=True, timeout=ASK_SECONDS, check=False).stdout
    match = re.search(r"go(\d+)\.(\d+)", said)
    if match is None or tuple(int(part) for part in match.groups()) < OLDEST_GO:
        known = match.group(0) if match else "an unknown Go"
        oldest = ".".join(map(str, OLDEST_GO))
        raise EngineError(f"Pulumi's site can't be reached and {go} is {known}, older than {oldest}: {remedy}")
    settings = {**environment, "GOFLAGS": "-mod=readonly -buildvcs=false", "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto"}
    # Without its version, the engine is refused by the Automation API.
    stamp = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{VERSION}"
    # Not `go mod download`: that asks for modules that only the engine's tests need.
    _run("fetching the engine's modules (about a minute, once)", [go, "list", "-deps", PACKAGE], settings)
    binary = into / "bin" / "pulumi"
    build = [go, "build", "-trimpath", "-ldflags", stamp, "-o", str(binary), PACKAGE]
    _run("building Pulumi's engine (about five minutes, once)", build, settings)
    return True


def _run(what: str, command: list[str], environment: Mapping[str, str]) -> None:
    say(what)
    began = time.monotonic()
    finished = threading.Event()

    def tell() -> None:
        while not finished.wait(PROGRESS_SECONDS):
            say(f"{what}: {time.monotonic() - began:.0f} s so far")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        done = subprocess.run(
            command,
            cwd=MODULE,
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"`{' '.join(command[:3])}` did not end within {BUILD_SECONDS} s") from error
    finally:
        finished.set()
        teller.join()
    if done.returncode != 0:
        raise EngineError(f"`{' '.join(command[:3])}` failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is installing the engine: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    cache = cache_folder(os.environ)
    try:
        folder = provide(os.environ, cache)
        cache.mkdir(parents=True, exist_ok=True)
        note = cache / f".path.{os.getpid()}"
        note.write_text(f"{folder}\n")
        note.replace(cache / "path")
    except EngineError as problem:
        say(str(problem))
        return 1
    except OSError as problem:
        say(f"the engine can't be kept in {cache}: {problem}")
        return 1
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
