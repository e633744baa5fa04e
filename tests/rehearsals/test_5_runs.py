"""Runbooks on the real local environment: they act once, whatever is killed, and say how they ended."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import psutil
import pytest
from nbclient import NotebookClient

from operations import push_image
from tests.rehearsals.environment import PROJECT, Environment

pytestmark = [pytest.mark.dock, pytest.mark.engine, pytest.mark.timeout(900)]

SECONDS = 240


def released(environment: Environment, release: str) -> str:
    """Push a release of the chat application; its digest."""
    layout = environment.home / "images" / release
    command = [sys.executable, "image.py", release, "--output", str(layout)]
    subprocess.run(command, cwd=PROJECT / "examples" / "chat", check=True, stdout=subprocess.DEVNULL, timeout=SECONDS)
    repository = environment.manifest.services["web"].repository
    return push_image.push(environment.client("ecr"), layout, repository, release).digest


def run(environment: Environment, arguments: str, code: int = 0) -> dict[str, Any]:
    """`drydock … --json`: its document, after checking the exit code."""
    done = environment.run(f"drydock {arguments} --json", check=False)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def acts(environment: Environment) -> dict[str, int]:
    """How often each call that deploys had its effect, as the dock has counted."""
    lines = environment.run("drydock calls --service ecs --acted --lines 100000 --json").stdout.splitlines()
    names = [json.loads(line)["operation"] for line in lines]
    return {name: names.count(name) for name in ("RegisterTaskDefinition", "RunTask", "UpdateService")}


@contextlib.contextmanager
def typed(environment: Environment, arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec drydock {arguments}"],
            cwd=PROJECT,
            env=environment.variables,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


def until(log: Path, text: str) -> None:
    end = time.monotonic() + SECONDS
    while text not in log.read_text():
        assert time.monotonic() < end, f"{text!r} is not in:\n{log.read_text()}"
        time.sleep(0.05)


def test_verify_passes_and_leaves_its_evidence_in_the_locked_bucket(environment: Environment) -> None:
    ended = run(environment, "run verify --env local")
    assert (ended["status"], ended["recorded"]) == ("succeeded", True)
    names = {Path(key).name for key in ended["evidence"]}
    assert names == {"attempt-1.ipynb", "attempt-1.html", "journal.jsonl", "measurements.json"}
    control = environment.client("ssm").get_parameter(Name="/drydock/control/manifest")["Parameter"]["Value"]
    bucket, s3 = json.loads(control)["runs"]["evidence_bucket"], environment.client("s3")
    for key in ended["evidence"]:
        retention = s3.get_object_retention(Bucket=bucket, Key=key)["Retention"]
        assert retention["Mode"] == "GOVERNANCE"
    shown = run(environment, f"show {ended['run']}")
    assert shown["journal"][-1]["status"] == "succeeded"
    (newest, *_) = run(environment, "runs")["runs"]
    assert (newest["run"], newest["status"]) == (ended["run"], "succeeded")


def test_verify_of_what_is_broken_ends_red_and_says_so_last(environment: Environment) -> None:
    environment.run("drydock fault add api throttled --service rds --for 60s", check=False)
    cluster = environment.manifest.services["web"].cluster
    service = environment.manifest.services["web"].service
    ecs = environment.client("ecs")
    ecs.update_service(cluster=cluster, service=service, desiredCount=0)
    try:
        ended = run(environment, "run verify --env local -p probes=20", code=1)
    finally:
        environment.run("drydock fault clear --all", check=False)
        ecs.update_service(cluster=cluster, service=service, desiredCount=2)
        ecs.get_waiter("services_stable").wait(
            cluster=cluster, services=[service], WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
    assert ended["status"] == "failed"
    assert "0 running of 0 desired" in ended["why"]
    assert ended["evidence"], "also of a run that failed"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("verify -p probes=many", "valid integer; expected: int"),
        ("verify -p probe=1", "did you mean probes"),
        ("deploy", "image_digest: missing"),
        ("deploy -p image_digest=sha256:x -p dry_run=false", "dry_run: use --apply"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_starts(
    environment: Environment, typed: str, expected: str
) -> None:
    before = set((environment.home / "runs").iterdir())
    done = environment.run(f"drydock run {typed}", check=False)
    assert done.returncode == 2
    assert expected in done.stderr
    assert set((environment.home / "runs").iterdir()) == before


def test_a_deployment_whose_kernel_and_whose_runner_are_killed_acts_once(
    environment: Environment, tmp_path: Path
) -> None:
    digest = released(environment, "1.1.0")
    planned = run(environment, f"run deploy -p image_digest={digest}")
    assert planned["status"] == "planned"
    before = acts(environment)
    log = tmp_path / "one.log"
    with typed(environment, f"run deploy -p image_digest={digest} --apply", log) as runner:
        until(log, "] run the migration\n")
        (kernel,) = [
            child for child in psutil.Process(runner.pid).children() if "ipykernel_launcher" in child.cmdline()
        ]
        os.kill(kernel.pid, signal.SIGKILL)
        assert runner.wait(SECONDS) == 5, log.read_text()
    identifier = next(line.split()[1].rstrip(",") for line in log.read_text().splitlines() if line.startswith("run "))
    notebook = nbformat.read(environment.home / "runs" / identifier / "attempt-1.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    errors = [output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"]
    assert [error.ename for error in errors] == ["DeadKernelError"]

    registered = log.read_text().count("registered chatvrm-local-web")
    log = tmp_path / "two.log"
    with typed(environment, f"resume {identifier}", log) as runner:
        until(log, "] roll 1.1.0 out")
        runner.send_signal(signal.SIGKILL)
        runner.wait(30)
    ended = run(environment, f"resume {identifier}")
    assert ended["status"] == "succeeded"
    after = acts(environment)
    assert {name: after[name] - before[name] for name in after} == {
        # Where an earlier deployment has registered the same, it is taken.
        "RegisterTaskDefinition": registered + log.read_text().count("registered chatvrm-local-web"),
        "RunTask": 1,
        "UpdateService": 1,
    }
    environment.run("pulumi preview --stack local --expect-no-changes")
    refused = environment.run(f"drydock resume {identifier}", check=False)
    assert refused.returncode == 2


def test_a_release_that_crashes_ends_red_and_users_stay_on_the_one_before(environment: Environment) -> None:
    digest = released(environment, "1.2.2-crash")
    url = environment.manifest.services["web"].url
    before = httpx.get(f"{url}/api/version").json()["release"]
    ended = run(environment, f"run deploy -p image_digest={digest} -p migrate=false --apply", code=1)
    assert ended["status"] == "failed"
    assert "the rollout of chatvrm-local-web:" in ended["why"]
    assert "again (2 of 2 tasks)" in ended["why"]
    assert httpx.get(f"{url}/api/version").json()["release"] == before
    shown = run(environment, f"show {ended['run']}")
    assert [entry["kind"] for entry in shown["journal"]][-2:] == ["failed", "finished"]


def test_a_run_that_is_stopped_stops_where_that_is_safe_and_goes_on_later(
    environment: Environment, tmp_path: Path
) -> None:
    digest = released(environment, "1.0.0")
    log = tmp_path / "stopped.log"
    with typed(environment, f"run deploy -p image_digest={digest} -p migrate=false --apply", log) as runner:
        until(log, "] roll 1.0.0 out")
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(SECONDS) == 5, log.read_text()
    identifier = next(line.split()[1].rstrip(",") for line in log.read_text().splitlines() if line.startswith("run "))
    shown = run(environment, f"show {identifier}")
    assert shown["status"] == "interrupted"
    assert shown["journal"][-1]["kind"] == "stopped"
    assert run(environment, f"resume {identifier}")["status"] == "succeeded"


def test_the_same_notebook_in_a_kernel_of_jupyter_s_own_has_the_same_guards(environment: Environment) -> None:
    """As JupyterLab runs it: no runner, only the cells."""
    digest = released(environment, "1.1.0")
    notebook = nbformat.read(PROJECT / "runbooks" / "deploy.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    cell.source = cell.source.replace("image_digest = None", f'image_digest = "{digest}"')
    before = acts(environment)
    with variables({**environment.variables, "PYTHONPATH": str(PROJECT)}):
        NotebookClient(notebook, timeout=SECONDS, kernel_name="python3").execute()
    assert acts(environment) == before, "a dry run first"
    (newest, *_) = run(environment, "runs")["runs"]
    assert (newest["operation"], newest["status"], newest["dry_run"]) == ("deploy", "planned", True)


@contextlib.contextmanager
def variables(wanted: dict[str, str]) -> Iterator[None]:
    kept = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def test_no_secret_is_in_anything_that_a_run_leaves(environment: Environment) -> None:
    manifest = environment.manifest
    secrets = {
        environment.secret(manifest.database.application_secret)["password"],
        environment.secret(manifest.database.master_secret)["password"],
        environment.secret(manifest.cache.secret)["auth_token"],
    }
    files = [path for path in (environment.home / "runs").rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        content = path.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in content], path


def test_the_procedure_by_hand_names_this_environment(environment: Environment) -> None:
    page = environment.run("drydock runbook print deploy --env local").stdout
    manifest = environment.manifest.services["web"]
    for name in (manifest.cluster, manifest.template, manifest.repository_url):
        assert f"={shlex.quote(name)}" in page
    for command in ("aws ecs run-task", "aws ecs update-service", "aws ecs wait services-stable"):
        assert command in page
