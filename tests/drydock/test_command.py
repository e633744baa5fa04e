"""The command as a person types it, with no dock running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def drydock(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drydock", *arguments],
        env={**os.environ, "DRYDOCK_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_status_of_a_dock_that_was_never_started_says_down_and_what_to_type(tmp_path: Path) -> None:
    done = drydock(tmp_path / "home", "status")
    assert done.returncode == 1
    assert "down" in done.stdout
    assert "drydock up" in done.stdout


def test_status_as_json_has_its_schema_version(tmp_path: Path) -> None:
    done = drydock(tmp_path / "home", "status", "--json")
    assert json.loads(done.stdout) == {"schema_version": 2, "state": "down", "home": str(tmp_path / "home")}


@pytest.mark.parametrize("command", [["env"], ["logs"]])
def test_without_a_dock_the_next_command_is_named(tmp_path: Path, command: list[str]) -> None:
    done = drydock(tmp_path / "home", *command)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "next:" in done.stderr
    assert "Traceback" not in done.stderr


def test_down_without_a_dock_is_no_error(tmp_path: Path) -> None:
    done = drydock(tmp_path / "home", "down")
    assert (done.returncode, done.stdout) == (0, "the dock was not running.\n")


def test_an_unknown_stack_is_refused_with_those_there_are(tmp_path: Path) -> None:
    done = drydock(tmp_path / "home", "up", "--stack", "produktion")
    assert done.returncode == 1
    assert "no stack 'produktion'" in done.stderr
    assert "local" in done.stderr
    assert not (tmp_path / "home").exists()


def test_help_names_every_command(tmp_path: Path) -> None:
    said = drydock(tmp_path, "--help").stdout
    assert all(name in said for name in ("up", "down", "status", "logs", "env"))


def test_the_environment_names_no_secret_and_unsets_what_would_win_over_the_dock(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    published = {"endpoint_url": "http://127.65.0.1:4566", "account": "000000000001", "region": "us-east-1"}
    (run / "endpoint.json").write_text(json.dumps(published))
    done = drydock(tmp_path, "env")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("unset AWS_PROFILE")
    assert "export AWS_ENDPOINT_URL=http://127.65.0.1:4566" in done.stdout
    assert "PULUMI_CONFIG_PASSPHRASE=" not in done.stdout
