"""The rehearsal of runbooks/verify.ipynb: papermill executes it on a small environment of real engines."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.operations.conftest import document  # noqa: F401  (a fixture)
from tests.operations.environment import CANARY, Environment, running

ROOT = Path(__file__).parents[2]
OUTCOME = "application/vnd.drydock.outcome+json"


@pytest.fixture
def environment(document: dict[str, Any]) -> Iterator[Environment]:  # noqa: F811
    with running(document) as environment:
        yield environment


def papermill(into: Path, url: str, ca: Path | None = None, parameters: str = "{}") -> subprocess.CompletedProcess[str]:
    """What a person types, in a shell that is attached to the account."""
    shell = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PG", "SSL_"))}
    shell |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "000000000001",
        "AWS_SECRET_ACCESS_KEY": "test",
        "IPYTHONDIR": str(into / "ipython"),
    }
    if ca is not None:
        shell |= {"PGSSLROOTCERT": str(ca), "SSL_CERT_FILE": str(ca)}
    command = [sys.executable, "-m", "papermill", "runbooks/verify.ipynb", str(into / "out.ipynb"), "-y", parameters]
    return subprocess.run(command, cwd=ROOT, env=shell, capture_output=True, text=True, timeout=120)


def outputs(folder: Path) -> dict[str, list[Any]]:
    """The executed notebook's outputs by cell."""
    notebook: Any = nbformat.read(folder / "out.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def record(folder: Path) -> dict[str, Any]:
    """What a program reads of the verdict."""
    (found,) = [output.data[OUTCOME] for output in outputs(folder)["verdict"] if OUTCOME in output.get("data", {})]
    return dict(found)


@pytest.mark.dock
def test_it_ends_well_on_a_healthy_environment(environment: Environment, tmp_path: Path) -> None:
    with environment.cloud.serve() as url:
        ended = papermill(tmp_path, url, environment.ca)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert record(tmp_path)["verdict"] == "passed"
    seen = outputs(tmp_path)
    assert "image/png" in seen["latency"][0].data
    assert "chatvrm local: PASSED" in seen["verdict"][0].data["text/html"]
    said, shown = seen["preflight"]
    assert said.text.startswith("NOT RECORDED"), "there is no store of runs here, and a verification goes on"
    assert "read from us-east-1" in shown.data["text/html"]
    assert CANARY not in (tmp_path / "out.ipynb").read_text()


@pytest.mark.dock
def test_it_ends_with_an_error_after_the_table_when_a_critical_check_fails(
    environment: Environment, tmp_path: Path
) -> None:
    environment.processes["postgres"].kill()
    environment.processes["postgres"].wait(10)
    with environment.cloud.serve() as url:
        ended = papermill(tmp_path, url, environment.ca)
    assert ended.returncode != 0
    assert "ChecksFailed" in ended.stderr
    found = record(tmp_path)
    assert found["verdict"] == "failed"
    assert [area for area, verdict in found["areas"].items() if verdict == "failed"] == ["database"]
    assert CANARY not in (tmp_path / "out.ipynb").read_text() + ended.stderr + ended.stdout


@pytest.mark.dock
def test_it_says_when_the_dock_is_not_running(tmp_path: Path) -> None:
    ended = papermill(tmp_path, "http://127.0.0.1:9")
    assert ended.returncode != 0
    assert "is the dock running? `drydock up`" in ended.stderr


@pytest.mark.dock
def test_it_refuses_a_number_that_is_a_string_before_it_looks_at_anything(tmp_path: Path) -> None:
    ended = papermill(tmp_path, "http://127.0.0.1:9", parameters="{probes: '200'}")
    assert ended.returncode != 0
    assert "Input should be a valid integer" in ended.stderr
