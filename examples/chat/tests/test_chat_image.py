"""Images of the releases, and that each release behaves as its description says."""

import concurrent.futures
import importlib.util
import json
import os
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

CHAT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def image():
    spec = importlib.util.spec_from_file_location("chat_image", CHAT / "image.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["chat_image"] = module
    spec.loader.exec_module(module)
    return module


def blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


@pytest.fixture(scope="session")
def layout(image, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "layout"
    image.build(image.releases(), folder)
    return folder


def manifest_of(layout: Path, release: str) -> dict:
    index = json.loads((layout / "index.json").read_bytes())
    (entry,) = [m for m in index["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"] == release]
    return json.loads(blob(layout, entry["digest"]).read_bytes())


def config_of(layout: Path, release: str) -> dict:
    return json.loads(blob(layout, manifest_of(layout, release)["config"]["digest"]).read_bytes())


def names(layout: Path, release: str) -> list[str]:
    found = []
    for layer in manifest_of(layout, release)["layers"]:
        with tarfile.open(blob(layout, layer["digest"])) as tar:
            found += tar.getnames()
    return found


# Fast: an image without its dependencies


@pytest.fixture
def quick(image, monkeypatch, tmp_path):
    """The builder with a dependency layer of one file, so that no package is installed."""

    def install(target: Path) -> None:
        (target / "bin").mkdir(parents=True)
        (target / "bin" / "tool").write_text(f"#!{sys.executable}\n")
        (target / "some.dist-info").mkdir()
        (target / "some.dist-info" / "RECORD").write_text("../../bin/tool,sha256=x,1\nsome.py,,\n")
        (target / "some.py").write_text("VALUE = 1\n")

    monkeypatch.setattr(image, "_install", install)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))  # whoever runs the tests keeps their own
    return image


def test_the_same_inputs_give_the_same_image(quick, tmp_path):
    first = quick.build(["1.0.0"], tmp_path / "a", tmp_path / "cache-a")[0]
    os.utime(CHAT / "chat" / "api.py")
    second = quick.build(["1.0.0"], tmp_path / "b", tmp_path / "cache-b")[0]
    assert first.digest == second.digest
    assert (first.reused_dependencies, second.reused_dependencies) == (False, False)
    assert quick.build(["1.0.0"], tmp_path / "c", tmp_path / "cache-a")[0].reused_dependencies


def test_the_layout_is_whole_and_every_digest_is_true(quick, tmp_path):
    import gzip
    import hashlib

    folder = tmp_path / "layout"
    built = quick.build(["1.0.0", "1.1.0"], folder, tmp_path / "cache")
    assert json.loads((folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    for path in (folder / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    for done in built:
        manifest, config = manifest_of(folder, done.release), config_of(folder, done.release)
        assert [layer["size"] for layer in manifest["layers"]] == [
            blob(folder, layer["digest"]).stat().st_size for layer in manifest["layers"]
        ]
        contents = [gzip.decompress(blob(folder, layer["digest"]).read_bytes()) for layer in manifest["layers"]]
        assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(x).hexdigest()}" for x in contents]
        assert config["config"]["Cmd"] == ["python", "-m", "chat"]
        assert "Entrypoint" not in config["config"], "a migration's command could not replace it"
        assert config["config"]["Labels"]["dev.drydock.interpreter"].startswith("python3.")
        assert not any(str(CHAT.parent) in str(content) for content in contents)
    assert not [path for path in folder.rglob(".*") if path.name != ".lock"]


def test_layers_hold_no_scripts_no_dates_and_no_owner(quick, tmp_path):
    quick.build(["1.0.0"], tmp_path / "layout", tmp_path / "cache")
    for layer in manifest_of(tmp_path / "layout", "1.0.0")["layers"]:
        with tarfile.open(blob(tmp_path / "layout", layer["digest"])) as tar:
            for entry in tar:
                assert (entry.mtime, entry.uid, entry.gid) == (0, 0, 0), entry.name
                assert stat.S_IMODE(entry.mode) in (0o644, 0o755)
                assert "/bin/" not in entry.name
                assert not entry.name.startswith("app/") or "__pycache__" not in entry.name
                if entry.name.endswith("RECORD"):
                    assert tar.extractfile(entry).read() == b"some.py,,\n"


def test_a_good_release_carries_no_fault_and_no_later_migration(quick, tmp_path):
    quick.build(quick.releases(), tmp_path / "layout", tmp_path / "cache")
    assert "app/chat/faults.py" not in names(tmp_path / "layout", "1.0.0")
    assert "app/chat/faults.py" not in names(tmp_path / "layout", "1.1.0")
    assert "app/chat/faults.py" in names(tmp_path / "layout", "1.2.0-errors")
    assert "app/migrations/versions/0004_topics.py" not in names(tmp_path / "layout", "1.0.0")
    assert "app/migrations/versions/0004_topics.py" in names(tmp_path / "layout", "1.1.0")
    for release in quick.releases():
        environment = config_of(tmp_path / "layout", release)["config"]["Env"]
        assert f"RELEASE={release}" in environment
        assert any(entry.startswith("CHAT_FAULT=") for entry in environment) == release.startswith("1.2.")


def test_a_damaged_cache_is_built_anew(quick, tmp_path):
    first = quick.build(["1.0.0"], tmp_path / "a", tmp_path / "cache")[0]
    (kept,) = (tmp_path / "cache").glob("*.tar.gz")
    kept.write_bytes(kept.read_bytes()[:-20])
    second = quick.build(["1.0.0"], tmp_path / "b", tmp_path / "cache")[0]
    assert (second.reused_dependencies, second.digest) == (False, first.digest)


def test_two_builders_at_once_install_once(quick, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(4) as crowd:
        built = list(crowd.map(lambda _: quick.build(["1.0.0"], tmp_path / "layout", tmp_path / "cache")[0], range(4)))
    assert len({done.digest for done in built}) == 1
    assert sorted(done.reused_dependencies for done in built) == [False, True, True, True]


def test_what_can_not_be_built_is_refused_with_the_reason(quick, tmp_path, monkeypatch):
    with pytest.raises(quick.ImageError, match=r"no release 9\.9\.9: one of 1\.0\.0"):
        quick.build(["9.9.9"], tmp_path / "layout", tmp_path / "cache")
    with pytest.raises(quick.ImageError, match="no release"):
        quick.build(["../image"], tmp_path / "layout", tmp_path / "cache")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(quick.ImageError, match="holds other things"):
        quick.build(["1.0.0"], tmp_path / "mine", tmp_path / "cache")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(quick.shutil, "copyfile", full)
    assert quick.main(["1.0.0", "--output", str(tmp_path / "full")]) == 1
    assert not (tmp_path / "full" / "index.json").exists(), "no index before its blobs are there"


def test_the_lock_names_no_index_and_pins_everything():
    lock = (CHAT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index-url" not in lock
    pins = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert all("==" in line for line in pins)
    wanted = [line.split(">=")[0].split("[")[0] for line in (CHAT / "requirements.in").read_text().splitlines()]
    assert {name for name in wanted if name and not name.startswith("#")} <= {pin.split("==")[0] for pin in pins}


# Slow: the images as they are run


@pytest.fixture(scope="session")
def unpacked(layout, workplace) -> Callable[[str], Path]:
    """A release's root folder, as a host without a container engine unpacks it."""

    def unpack(release: str) -> Path:
        root = workplace / "roots" / release
        if not root.exists():
            for layer in manifest_of(layout, release)["layers"]:
                with tarfile.open(blob(layout, layer["digest"])) as tar:
                    tar.extractall(root, filter="data")
        return root

    return unpack


@pytest.fixture
def start_release(layout, unpacked, environment):
    started: list[subprocess.Popen[bytes]] = []

    def start(release: str, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        config = config_of(layout, release)["config"]
        own = dict(entry.split("=", 1) for entry in config["Env"])
        outside = {n: v for n, v in environment.items() if n not in ("PYTHONPATH", "RELEASE", "CHAT_FEATURES")}
        process = subprocess.Popen(
            [sys.executable, *(arguments or config["Cmd"][1:])],
            env=outside | own | more,
            cwd=unpacked(release) / config["WorkingDir"].lstrip("/"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def serve_release(start_release, wait_for_port, free_port_number):
    import httpx

    def serve(release: str) -> tuple[subprocess.Popen[bytes], httpx.Client]:
        port = free_port_number()
        # Nobody reads its output here: a line for each request would fill the pipe and stop it.
        process = start_release(release, PORT=str(port), LOG_LEVEL="WARNING")
        wait_for_port(port, process)
        return process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=15)

    return serve


@pytest.mark.dock
def test_the_real_image_is_the_same_when_it_is_built_again_elsewhere(image, layout, tmp_path):
    again = image.build(["1.1.0"], tmp_path / "layout", tmp_path / "cache")[0]
    index = json.loads((layout / "index.json").read_bytes())
    assert again.digest in [entry["digest"] for entry in index["manifests"]]
    assert not again.reused_dependencies


@pytest.mark.dock
@pytest.mark.parametrize(("release", "features"), [("1.0.0", []), ("1.1.0", ["topics"])])
def test_a_good_release_serves_from_its_own_files(serve_release, release, features):
    _, client = serve_release(release)
    version = client.get("/api/version").json()
    assert (version["release"], version["features"]) == (release, features)
    assert client.get("/api/health").status_code == 200
    assert {client.get("/api/ping").status_code for _ in range(100)} == {200}


@pytest.mark.dock
def test_a_good_release_refuses_to_be_given_a_fault(start_release):
    process = start_release("1.1.0", CHAT_FAULT="errors:0.10")
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert b"carries no faults" in output


@pytest.mark.dock
def test_the_release_with_errors_fails_one_request_in_ten_and_passes_its_health_checks(serve_release):
    _, client = serve_release("1.2.0-errors")
    statuses = [client.get("/").status_code for _ in range(1000)]
    assert set(statuses) == {200, 500}
    assert 60 < statuses.count(500) < 150
    assert {client.get("/api/health").status_code for _ in range(100)} == {200}
    assert 'status="500"' in client.get("/metrics").text


@pytest.mark.dock
def test_the_slow_release_takes_seconds_more_and_passes_its_health_checks(serve_release):
    _, client = serve_release("1.2.1-slow")
    started = time.monotonic()
    assert client.get("/api/version").status_code == 200
    assert 3.0 <= time.monotonic() - started < 4.0
    started = time.monotonic()
    assert client.get("/api/health").status_code == 200
    assert time.monotonic() - started < 1.0


@pytest.mark.dock
def test_the_crashing_release_ends_with_code_3_and_says_so(start_release):
    process = start_release("1.2.2-crash")
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 3
    assert b"crashing at start" in output


@pytest.mark.dock
def test_the_leaking_release_grows_second_by_second(serve_release):
    process, client = serve_release("1.2.3-leak")

    def resident() -> int:
        return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    time.sleep(3)
    assert resident() - before > 2 * 32 * 2**20
    assert client.get("/api/version").status_code == 200


@pytest.mark.dock
def test_the_migration_runs_from_the_image(start_release, master_credentials):
    process = start_release("1.1.0", "-m", "chat.migrate", **master_credentials)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert json.loads(output.splitlines()[-1])["event"] == "ready"
