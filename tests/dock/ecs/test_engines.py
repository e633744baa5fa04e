"""What containers are made of, each by itself: commands, output, memory, unpacked images."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dock.engines import images
from dock.engines.blobs import BlobError, Blobs, UploadError
from dock.engines.containers import CommandError, command, exit_status
from dock.engines.images import Image, ImageError, Layer
from dock.engines.interpreters import Interpreters
from dock.engines.memory import Limit, MemoryWatch
from dock.engines.output import MAX_LINE_BYTES, Output
from tests.dock.ecs import oci


@pytest.fixture
def image(tmp_path: Path) -> Image:
    root = tmp_path / "root"
    for name, content in {
        "app/main.py": "",
        "app/bin/start": "#!/bin/sh\n",
        "venv/bin/tool": "#!/usr/local/bin/python3.11\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)
    config = {
        "Env": ["PATH=/venv/bin:/usr/bin:/bin", "PYTHONPATH=/app:relative", "A=image"],
        "WorkingDir": "/app",
        "Entrypoint": ["python"],
        "Cmd": ["main.py"],
    }
    return Image("sha256:0", root, config)


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    folder = tmp_path / "python3.11"
    folder.mkdir()
    for name in ("python", "python3", "python3.11"):
        (folder / name).symlink_to(sys.executable)
    return folder


def built(image: Image, interpreter: Path, **overrides: Any) -> Any:
    given = {"entry_point": None, "arguments": None, "environment": {}, **overrides}
    return command(image, interpreter, **given)


def test_an_image_runs_with_its_own_command_and_environment(image: Image, interpreter: Path) -> None:
    made = built(image, interpreter, environment={"A": "task"})
    assert made.argv == [f"{interpreter}/python", "main.py"]
    assert made.cwd == image.root / "app"
    assert made.environment["A"] == "task"
    assert made.environment["PATH"] == f"{interpreter}:{image.root}/venv/bin:/usr/bin:/bin"
    assert made.environment["PYTHONPATH"] == f"{image.root}/app:relative"
    assert "task" not in repr(made)


def test_a_task_definition_overrides_as_docker_does(image: Image, interpreter: Path) -> None:
    assert built(image, interpreter, arguments=["x"]).argv[1:] == ["x"]
    # An entry point of its own drops the image's command.
    assert built(image, interpreter, entry_point=["/bin/sh"]).argv == ["/bin/sh"]


def test_programs_and_files_of_the_image_are_found_in_it(image: Image, interpreter: Path) -> None:
    assert built(image, interpreter, entry_point=["/app/bin/start"]).argv == [f"{image.root}/app/bin/start"]
    assert built(image, interpreter, entry_point=["bin/start"]).argv == [f"{image.root}/app/bin/start"]
    assert built(image, interpreter, arguments=["/app/main.py"]).argv[1] == f"{image.root}/app/main.py"
    assert built(image, interpreter, entry_point=["/usr/local/bin/python3.11"]).argv[0] == f"{interpreter}/python3.11"
    script = built(image, interpreter, entry_point=["tool", "-v"])
    assert script.argv == [f"{interpreter}/python", f"{image.root}/venv/bin/tool", "-v"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"entry_point": ["none"]}, "executable file not found"),
        ({"entry_point": ["python3.12"]}, "interpreter is python3.11"),
        ({"working_directory": "/none"}, "working directory"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused(
    image: Image, interpreter: Path, overrides: dict[str, Any], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        built(image, interpreter, **overrides)


def test_an_interpreter_is_found_once_and_has_its_usual_names(tmp_path: Path) -> None:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    found = Interpreters(tmp_path / "interpreters", None)
    folders: set[Path] = set()
    threads = [threading.Thread(target=lambda: folders.add(found.folder(version))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (folder,) = folders
    answer = subprocess.run([folder / "python", "-c", "print(1)"], capture_output=True, check=True)
    assert answer.stdout == b"1\n"
    for wrong in (None, "node20", "python3.99"):
        with pytest.raises(ImageError):
            found.folder(wrong)


def test_exit_codes_are_counted_as_a_container_runtime_does() -> None:
    assert [exit_status(code) for code in (None, 0, 3, -9, -15)] == [None, 0, 3, 137, 143]


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), min_size=1), max_size=40), st.data())
def test_lines_are_read_once_in_whatever_pieces_they_come(lines: list[str], data: st.DataObject) -> None:
    content = "".join(f"{line}\n" for line in lines).encode()
    seen: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        output, offset, written = Output(path), 0, 0
        while written < len(content):
            step = data.draw(st.integers(1, max(1, len(content) - written)))
            with path.open("ab") as file:
                file.write(content[written : written + step])
            written += step
            found, offset = output.read(offset, ended=False)
            seen += found
    assert seen == [line for line in lines if line.strip()]


def test_a_last_line_without_its_end_is_read_when_the_process_has_ended(tmp_path: Path) -> None:
    output = Output(tmp_path / "log")
    assert output.read(0, ended=True) == ([], 0)
    output.path.write_bytes(b"one\n\xff two")
    assert output.read(0, ended=False) == (["one"], 4)
    assert output.read(4, ended=True) == (["\ufffd two"], 9)


def test_an_endless_line_is_cut(tmp_path: Path) -> None:
    output = Output(tmp_path / "log")
    output.path.write_bytes(b"x" * (MAX_LINE_BYTES + 10))
    lines, offset = output.read(0, ended=False)
    assert (len(lines[0]), offset) == (MAX_LINE_BYTES, MAX_LINE_BYTES)


def test_what_was_read_is_given_back_to_the_disk_and_nothing_is_lost(tmp_path: Path) -> None:
    output = Output(tmp_path / "log")
    line = b"y" * 1023 + b"\n"
    count = 32 * 1024
    with output.path.open("ab") as file:
        for _ in range(count):
            file.write(line)
    offset, read = 0, 0
    while offset < output.size():
        lines, offset = output.read(offset, ended=False)
        read += len(lines)
        output.free(offset)
    assert read == count
    on_disk = output.path.stat().st_blocks * 512
    if on_disk > 24 << 20:
        pytest.skip("this file system can't punch holes")
    with output.path.open("ab") as file:
        file.write(b"after\n")
    assert output.read(offset, ended=False)[0] == ["after"]
    # A reader that lost its place finds the first byte that is still there.
    assert output.read(0, ended=False)[0]


async def test_a_process_above_its_memory_is_reported_and_forks_do_not_count_twice() -> None:
    script = "import os, time; held = b'x' * (60 << 20); os.fork(); os.fork(); print(1, flush=True); time.sleep(30)"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    for _ in range(4):
        await child.stdout.readline()
    watch, told = MemoryWatch(), asyncio.Event()
    running = asyncio.create_task(watch.run())
    try:
        watch.set("roomy", Limit(150 << 20, lambda: [child.pid], lambda _: pytest.fail("counted twice")))
        await asyncio.sleep(1.2)
        watch.set("narrow", Limit(40 << 20, lambda: [child.pid], lambda _: told.set()))
        await asyncio.wait_for(told.wait(), 5)
    finally:
        running.cancel()
        os.killpg(child.pid, 9)
        await child.wait()


def test_a_blob_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.create()
    upload = blobs.begin()
    with pytest.raises(UploadError):
        blobs.append(upload, 5, b"late")
    blobs.append(upload, 0, b"hello")
    with pytest.raises(BlobError):
        blobs.finish(upload, oci.digest(b"other"))
    assert blobs.received(upload) is None
    upload = blobs.begin()
    blobs.append(upload, 0, b"hello")
    assert blobs.finish(upload, oci.digest(b"hello")) == 5
    assert blobs.read(oci.digest(b"hello")) == b"hello"
    with pytest.raises(BlobError):
        blobs.path("sha256:../../etc")


def test_an_image_is_unpacked_whole_or_not_at_all(tmp_path: Path) -> None:
    good, bad = oci.layer({"a": b"1"}), b"no archive"
    for content in (good, bad):
        (tmp_path / oci.digest(content)[7:]).write_bytes(content)
    layers = [Layer(tmp_path / oci.digest(content)[7:], oci.digest(content)) for content in (good, bad)]
    into = tmp_path / "images"
    with pytest.raises(ImageError, match="not a tar archive"):
        images.unpack(into, "sha256:1", {}, layers)
    assert list(into.iterdir()) == []
    unpacked = images.unpack(into, "sha256:1", {"Cmd": ["x"]}, layers[:1])
    assert images.unpacked(into, "sha256:1") == unpacked
    assert not (unpacked.root / "a").stat().st_mode & 0o222
    images.remove_unused(into, {"sha256:1"}, keep=0)
    assert images.unpacked(into, "sha256:1") == unpacked
    images.remove_unused(into, set(), keep=0)
    assert images.unpacked(into, "sha256:1") is None
