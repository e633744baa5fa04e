"""`drydock fault` and `drydock calls` without a dock, or with one that doesn't answer."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drydock.cli import app
from drydock.errors import DrydockError
from drydock.status import faults_line

runner = CliRunner()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DRYDOCK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def refused(*arguments: str) -> DrydockError:
    result = runner.invoke(app, list(arguments))
    assert isinstance(result.exception, DrydockError), result.output
    return result.exception


def test_every_kind_of_fault_has_help() -> None:
    for group, kinds in {
        "api": ["throttled", "slow", "failing", "lost"],
        "engine": ["down", "hung", "killed", "full"],
        "network": ["refused", "blackhole", "slow"],
    }.items():
        for kind in kinds:
            assert runner.invoke(app, ["fault", "add", group, kind, "--help"]).exit_code == 0
    for kind in ("zone", "region", "account"):
        assert "--for" in runner.invoke(app, ["fault", "add", kind, "--help"]).output


def test_a_fault_needs_a_dock_that_runs() -> None:
    assert refused("fault", "add", "zone", "us-east-1a").next_command == "drydock up"
    assert refused("fault", "list").what == "the dock is not running"
    assert "no length of time" in refused("fault", "add", "zone", "us-east-1a", "--for", "soon").what


def test_clear_says_which_and_leaves_a_note_for_a_dock_that_does_not_answer(home: Path) -> None:
    assert refused("fault", "clear").next_command == "drydock fault list"
    assert refused("fault", "clear", "f-1", "--all").next_command == "drydock fault list"
    assert refused("fault", "clear", "--all").next_command == "make up"
    (home / "run").mkdir(parents=True)
    assert runner.invoke(app, ["fault", "clear", "f-1"]).exit_code == 0
    assert json.loads((home / "run" / "faults.clear").read_text()) == {"ids": ["f-1"]}
    assert "ends the fault as soon as it runs again" in runner.invoke(app, ["fault", "clear", "--all"]).output
    assert json.loads((home / "run" / "faults.clear").read_text()) == {"all": True}


def test_calls_are_read_from_their_files_and_a_broken_line_is_left_out(home: Path) -> None:
    (home / "logs").mkdir(parents=True)
    one = {
        "time": time.time(), "service": "ecs", "operation": "UpdateService", "account": "1", "region": "r",
        "principal": "p", "acted": True, "status": 200, "error": None, "milliseconds": 2.0, "request_id": "x",
    }  # fmt: skip
    lines = [{**one, "operation": "ListClusters", "acted": False}, one, {**one, "time": 1.0}]
    (home / "logs" / "calls.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"time":')
    result = runner.invoke(app, ["calls", "--json", "--operation", "Update*", "--acted", "--since", "1h"])
    assert [json.loads(line)["operation"] for line in result.output.splitlines()] == ["UpdateService"]
    assert "ListClusters" in runner.invoke(app, ["calls"]).output


def test_faults_that_are_on_are_one_line_of_the_status() -> None:
    fault = {"id": "f-1", "kind": "zone-down", "about": "us-east-1a", "seconds_left": 12.3}
    assert faults_line([fault]) == "1 fault on: f-1 zone-down us-east-1a (12 s left); drydock fault clear --all"
    assert faults_line([fault] * 5).endswith("and 2 more; drydock fault clear --all")
