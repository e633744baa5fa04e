from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dock.engines.supervisor import MARK, Spec, Supervisor
from dock.store import Store


def spec(folder: Path, *argv: str, **environment: str) -> Spec:
    return Spec(name="test/sleeper", argv=argv, log=folder / "log", cwd=folder, environment=environment)


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(Store(tmp_path / "dock.sqlite"), tmp_path)


async def test_the_end_of_a_process_is_noticed_with_its_exit_code(supervisor: Supervisor, tmp_path: Path) -> None:
    process = supervisor.start(spec(tmp_path, "sh", "-c", "echo hello; exit 7"))
    assert await asyncio.wait_for(process.wait(), 10) == 7
    assert (tmp_path / "log").read_text() == "hello\n"
    assert supervisor.find("test/sleeper") is None


async def test_a_second_process_of_the_same_name_is_refused(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(spec(tmp_path, "sleep", "60"))
    with pytest.raises(RuntimeError, match="runs already"):
        supervisor.start(spec(tmp_path, "sleep", "60"))
    await supervisor.stop("test/sleeper")
    assert supervisor.running() == []


async def test_a_process_that_ignores_sigterm_is_killed_with_its_children(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    process = supervisor.start(spec(tmp_path, "sh", "-c", "trap '' TERM; echo up; sleep 60 & wait; sleep 60"))
    while "up" not in (tmp_path / "log").read_text():
        await asyncio.sleep(0.01)
    await process.stop(grace=0.2)
    assert not process.alive
    async with asyncio.timeout(10):
        while group_exists(process.pid):
            await asyncio.sleep(0.01)


async def test_a_later_daemon_finds_the_process_and_notices_its_end(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from dock.store import Store\n"
        "from dock.engines.supervisor import Spec, Supervisor\n"
        "folder = Path(sys.argv[1])\n"
        "process = Supervisor(Store(folder / 'dock.sqlite'), folder).start(\n"
        "    Spec('test/sleeper', ['sleep', '60'], folder / 'log', folder))\n"
        "print(process.pid, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    dead = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    adopted = Supervisor(Store(tmp_path / "dock.sqlite"), tmp_path).find("test/sleeper")
    assert adopted is not None
    assert adopted.pid == int(dead.stdout)
    waiting = asyncio.create_task(adopted.wait())
    await asyncio.sleep(0)
    adopted.send(signal.SIGKILL)
    assert await asyncio.wait_for(waiting, 10) is None
    assert not adopted.alive


async def test_a_process_that_was_never_recorded_is_ended_before_another_takes_its_name(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    stray = subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: f"{tmp_path}:test/sleeper"})
    process = supervisor.start(spec(tmp_path, "sleep", "60"))
    # Not the exit code: the supervisor, in the same process here, has collected it.
    stray.wait(10)
    assert process.alive
    await supervisor.stop("test/sleeper")


async def test_the_daemons_own_environment_does_not_leak(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_DAEMON", "canary")
    process = supervisor.start(spec(tmp_path, "env", GIVEN="yes"))
    await asyncio.wait_for(process.wait(), 10)
    printed = (tmp_path / "log").read_text()
    assert "GIVEN=yes" in printed
    assert "canary" not in printed
