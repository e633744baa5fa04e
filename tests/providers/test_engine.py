"""Which way the engine is had, with fake executables on a PATH of the test's own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "engine" / "install.py"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def engine() -> Any:
    spec = importlib.util.spec_from_file_location("engine_install", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bin(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mkdir", "cat", "chmod", "dirname", "sleep"):
        (folder / name).symlink_to(Path("/bin") / name)
    return folder


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def pulumi(folder: Path, version: str) -> None:
    executable(folder / "pulumi", f"echo v{version}")


def fake_go(folder: Path, version: str = "go1.26.1", engine_version: str = "3.259.0", marks: str = "") -> None:
    """A Go whose `build -o PATH` leaves an executable there."""
    executable(
        folder / "go",
        f"""
case "$1" in
version) echo "go version {version} linux/amd64" ;;
list) ;;
build)
    {marks}
    while [ "$1" != "-o" ]; do shift; done
    mkdir -p "$(dirname "$2")"
    printf '#!/bin/sh\\necho v{engine_version}\\n' > "$2"
    chmod 755 "$2" ;;
esac""",
    )


def environment(bin: Path) -> dict[str, str]:
    return {"PATH": str(bin), "HOME": str(bin.parent)}


@pytest.mark.parametrize("version", ["3.259.0", "3.260.1", "3.1000.0"])
def test_an_engine_on_path_that_is_new_enough_is_taken(engine: Any, bin: Path, tmp_path: Path, version: str) -> None:
    pulumi(bin, version)
    assert engine.provide(environment(bin), tmp_path / "cache", NOWHERE) == bin
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("version", ["3.258.9", "2.300.0", "4.0.0", "nonsense"])
def test_an_engine_on_path_that_does_not_fit_is_passed_over_and_said(
    engine: Any, bin: Path, tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pulumi(bin, version)
    fake_go(bin)
    assert engine.provide(environment(bin), tmp_path / "cache", NOWHERE) == tmp_path / "cache" / "v3.259.0" / "bin"
    assert "3.259.0 or newer is needed" in capsys.readouterr().err


def test_the_one_in_the_cache_is_not_built_again(engine: Any, bin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "v3.259.0" / "bin"
    folder.mkdir(parents=True)
    pulumi(folder, "3.259.0")
    assert engine.provide(environment(bin), tmp_path / "cache", NOWHERE) == folder


def test_a_broken_one_in_the_cache_is_built_again(engine: Any, bin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "v3.259.0" / "bin"
    folder.mkdir(parents=True)
    executable(folder / "pulumi", "exit 139")
    fake_go(bin)
    engine.provide(environment(bin), tmp_path / "cache", NOWHERE)
    assert engine.version_of(folder / "pulumi") == (3, 259, 0)


@pytest.fixture
def installer() -> Iterator[Any]:
    """A site that serves an installer's script: `script` is what it answers with."""

    class Site(BaseHTTPRequestHandler):
        script = ""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.script.encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Site.url = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
    yield Site
    server.shutdown()


INSTALLS = """
while [ $# -gt 0 ]; do case "$1" in --version) version=$2; shift ;; --install-root) root=$2; shift ;; esac; shift; done
mkdir -p "$root/bin"
printf '#!/bin/sh\\necho v%s\\n' "$version" > "$root/bin/pulumi"
printf '#!/bin/sh\\n' > "$root/bin/pulumi-language-python"
chmod 755 "$root/bin/pulumi"
"""


def test_pulumis_own_installer_comes_before_a_build(engine: Any, bin: Path, tmp_path: Path, installer: Any) -> None:
    installer.script = INSTALLS
    fake_go(bin, engine_version="0.0.0")
    folder = engine.provide(environment(bin), tmp_path / "cache", installer.url)
    assert (folder / "pulumi-language-python").exists()


@pytest.mark.parametrize("script", ["exit 1", "true"])
def test_an_installer_that_fails_is_followed_by_a_build(
    engine: Any, bin: Path, tmp_path: Path, installer: Any, script: str
) -> None:
    installer.script = script
    fake_go(bin)
    assert engine._new_enough(engine.provide(environment(bin), tmp_path / "cache", installer.url) / "pulumi")


def test_without_go_it_says_what_to_install(engine: Any, bin: Path, tmp_path: Path) -> None:
    with pytest.raises(engine.EngineError, match=r"there is no Go.*install Pulumi 3.259.0 or newer .* or Go"):
        engine.provide(environment(bin), tmp_path / "cache", NOWHERE)


def test_a_go_that_is_too_old_is_named(engine: Any, bin: Path, tmp_path: Path) -> None:
    fake_go(bin, version="go1.19.8")
    with pytest.raises(engine.EngineError, match=r"is go1\.19, older than 1\.21"):
        engine.provide(environment(bin), tmp_path / "cache", NOWHERE)


def test_a_build_that_fails_shows_what_the_compiler_said(engine: Any, bin: Path, tmp_path: Path) -> None:
    fake_go(bin, marks="echo 'no space left on device' >&2; exit 2")
    with pytest.raises(engine.EngineError, match="no space left on device"):
        engine.provide(environment(bin), tmp_path / "cache", NOWHERE)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_two_at_once_build_once(engine: Any, bin: Path, tmp_path: Path) -> None:
    fake_go(bin, marks=f"echo built >> {tmp_path}/builds; sleep 0.5")
    threads = [
        threading.Thread(target=engine.provide, args=(environment(bin), tmp_path / "cache", NOWHERE)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert (tmp_path / "builds").read_text() == "built\n"


def test_the_command_prints_the_folder_alone_and_leaves_a_note(bin: Path, tmp_path: Path) -> None:
    pulumi(bin, "3.259.0")
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={**environment(bin), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{bin}\n", "")
    assert (tmp_path / "cache" / "drydock" / "engine" / "path").read_text() == f"{bin}\n"


def test_the_command_ends_with_one_line_when_there_is_no_way(bin: Path, tmp_path: Path) -> None:
    settings = {**environment(bin), "XDG_CACHE_HOME": str(tmp_path / "cache"), "https_proxy": NOWHERE}
    done = subprocess.run([sys.executable, str(SCRIPT)], env=settings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("drydock: Pulumi's site can't be reached and there is no Go")
    assert "Traceback" not in done.stderr


def test_the_version_is_the_sdks_and_the_modules(engine: Any) -> None:
    checkout = SCRIPT.parents[2]
    assert f"pulumi=={engine.VERSION}" in (checkout / "requirements.lock").read_text()
    module = (SCRIPT.parent / "go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{engine.VERSION}" in module
    assert os.linesep.join(["tool " + engine.PACKAGE]) in module
