"""The state of a stack after an engine that was killed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drydock import program
from drydock.errors import DrydockError

DEAD = 2**22 + 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the engine is asked to do; it does nothing."""
    asked: list[list[str]] = []

    def answer(arguments: list[str], environment: object) -> str:
        asked.append(arguments)
        return ""

    monkeypatch.setattr(program, "pulumi", answer)
    return asked


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    """A backend whose lock a dead engine has."""
    lock = tmp_path / ".pulumi" / "locks" / "organization" / "drydock" / "local" / "1.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"pid": DEAD}))
    (tmp_path / ".pulumi" / "stacks" / "drydock").mkdir(parents=True)
    return tmp_path


def state(backend: Path, name: str = "local.json") -> Path:
    return backend / ".pulumi" / "stacks" / "drydock" / name


def test_a_state_that_was_cut_off_is_replaced_by_the_one_before_it(backend: Path, asked: list[list[str]]) -> None:
    state(backend).write_text('{"version": 3, "checkp')
    state(backend, "local.json.bak").write_text('{"version": 3}')
    program.release(backend, "local", {})
    assert json.loads(state(backend).read_text()) == {"version": 3}
    assert asked == [["cancel", "--yes", "--stack", "local"]]


def test_an_empty_state_is_cut_off_too(backend: Path, asked: list[list[str]]) -> None:
    state(backend).touch()
    state(backend, "local.json.bak").write_text('{"version": 3}')
    program.release(backend, "local", {})
    assert json.loads(state(backend).read_text()) == {"version": 3}


def test_a_whole_state_stays_as_it_is(backend: Path, asked: list[list[str]]) -> None:
    state(backend).write_text('{"version": 3, "new": true}')
    state(backend, "local.json.bak").write_text('{"version": 3}')
    program.release(backend, "local", {})
    assert json.loads(state(backend).read_text()) == {"version": 3, "new": True}
    assert len(asked) == 1


def test_without_a_whole_backup_nothing_is_touched_and_the_next_command_is_named(
    backend: Path, asked: list[list[str]]
) -> None:
    state(backend).touch()
    with pytest.raises(DrydockError, match="no whole backup") as caught:
        program.release(backend, "local", {})
    assert "mv " in str(caught.value.next_command)
    assert asked == []
