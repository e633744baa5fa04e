"""What stands between a person and an environment: dry run, plan, approvals, one run at a time, the record."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operations import control, migration, parameter_store, rollout
from operations import run as runs
from operations.errors import OperationError
from operations.run import ApprovalNeeded, DryRun, Run, RunRefused
from operations.runs import approvals, ledger
from operations.runs import store as stores
from operations.runs.journal import Kind, Status, Stored
from operations.runs.lease import Lease, LeaseHeld
from operations.runs.store import Store
from tests.operations.runs.deployment import Deployment
from tests.operations.runs.dock import BUCKET, Dock

pytestmark = [pytest.mark.dock, pytest.mark.timeout(240)]

DEPLOYED_ONCE = {"on": "chatvrm-ENV-web:1", "running": (1, 1), "registered": 2, "migrations": 1, "updates": 1}
BOB = "arn:aws:sts::000000000001:assumed-role/approver/bob"


@pytest.fixture(autouse=True)
def _here(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that is attached to the dock."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", dock.cloud.url)
    for name in (runs.RUN, runs.FOLDER, runs.DEADLINE):
        monkeypatch.delenv(name, raising=False)
    for module in (rollout, migration):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.1)


@pytest.fixture
def deployment(dock: Dock, tmp_path: Path, document: dict[str, Any]) -> Iterator[Deployment]:
    deployment = Deployment(dock, tmp_path, document)
    yield deployment
    deployment.tidy()


@pytest.fixture
def with_approval(dock: Dock, tmp_path: Path, document: dict[str, Any]) -> Iterator[Deployment]:
    document["policy"]["deploy_approvals"] = 1
    deployment = Deployment(dock, tmp_path, document)
    yield deployment
    deployment.tidy()


def opened(deployment: Deployment, said: list[str] | None = None, **more: Any) -> Run:
    progress = (said if said is not None else []).append
    return Run.open(deployment.parameters(**more), target=deployment.target, progress=progress)


def test_a_dry_run_plans_and_does_nothing_and_is_recorded(deployment: Deployment, store: Store) -> None:
    before = deployment.end()
    run = opened(deployment)
    assert "DRY RUN" in repr(run)
    plan = run.plan()
    assert isinstance(run.act(), DryRun)
    assert isinstance(run.verify(), DryRun)
    assert "nothing was done" in repr(run.finish())
    assert deployment.end() == before
    journal = Stored.read(store, run.id)
    assert journal.status is Status.PLANNED
    planned = journal.last(Kind.PLANNED)
    assert planned is not None
    assert planned.content["hash"] == plan.hash
    (line,) = ledger.read(store, run.environment)
    assert (line.run, line.status, line.dry_run, line.plan) == (run.id, "planned", True, plan.hash)


def test_a_run_that_applies_leaves_journal_ledger_and_locked_evidence(
    deployment: Deployment, store: Store, dock: Dock
) -> None:
    run = opened(deployment, dry_run=False)
    outcome = run.act()
    assert outcome.result == "deployed"
    assert "has succeeded" in repr(run.finish())
    journal = Stored.read(store, run.id)
    assert journal.status is Status.SUCCEEDED
    assert [entry.step for entry in journal.of(Kind.DONE)] == [
        "register migration",
        "migrate",
        "register release",
        "roll out",
    ]
    assert all(entry.token == "1.1" for entry in journal.of(Kind.INTENT))
    (line,) = ledger.read(store, run.environment)
    assert (line.status, line.details["result"], line.details["release"]) == ("succeeded", "deployed", "1.0.0")
    s3 = dock.client("s3")
    key = f"{run.environment}/{run.id}/journal.jsonl"
    version = s3.head_object(Bucket=BUCKET, Key=key)["VersionId"]
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=BUCKET, Key=key, VersionId=version)
    with pytest.raises(RunRefused, match="has acted"):
        run.act()
    assert opened(deployment).plan().empty, "the work is done: nothing is planned"


def test_nothing_is_changed_without_a_store_and_a_dry_run_says_that_it_is_not_recorded(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: Any) -> Any:
        refusal = parameter_store.Refusal("us-east-1", "there is no parameter", control.BOOTSTRAP, absent=True)
        raise parameter_store.Unread("this account has no store of runs", [refusal])

    monkeypatch.setattr(control, "load", absent)
    with pytest.raises(OperationError, match="has no store of runs") as refused:
        opened(deployment, dry_run=False)
    assert "drydock bootstrap" in refused.value.next
    said: list[str] = []
    run = opened(deployment, said)
    run.plan()
    run.act()
    assert "it was not recorded" in repr(run.finish())
    assert any(line.startswith("NOT RECORDED") for line in said)


def test_a_plan_waits_for_another_person_s_approval(with_approval: Deployment, store: Store) -> None:
    run = opened(with_approval, dry_run=False)
    plan = run.plan()
    with pytest.raises(ApprovalNeeded, match=r"0 of 1 approvals") as waiting:
        run.act()
    assert f"drydock approve {run.id}" in waiting.value.next
    assert with_approval.end()["updates"] == 0
    assert Stored.read(store, run.id).status is Status.WAITING
    approvals.approve(store, Stored.read(store, run.id), BOB, plan.hash)
    again = opened(with_approval, dry_run=False, resume=run.id)
    assert again.plan().hash == plan.hash
    again.act()
    again.finish()
    assert Stored.read(store, run.id).status is Status.SUCCEEDED


def test_an_approval_does_not_cover_what_has_changed_since(with_approval: Deployment, store: Store) -> None:
    run = opened(with_approval, dry_run=False)
    with pytest.raises(ApprovalNeeded):
        run.act()
    approvals.approve(store, Stored.read(store, run.id), BOB)
    _change(with_approval)
    said: list[str] = []
    again = opened(with_approval, said, dry_run=False, resume=run.id)
    again.plan()
    with pytest.raises(ApprovalNeeded, match="it is for an older plan"):
        again.act()
    assert any("the environment has changed" in line for line in said)
    assert with_approval.end()["updates"] == 0


def test_what_changes_between_plan_and_act_is_noticed_and_nothing_is_done(deployment: Deployment, store: Store) -> None:
    run = opened(deployment, dry_run=False)
    run.plan()
    _change(deployment)
    with pytest.raises(RunRefused, match="has changed since"):
        run.act()
    assert deployment.end()["updates"] == 0
    assert Stored.read(store, run.id).status is Status.REFUSED


def _change(deployment: Deployment) -> None:
    """Somebody registers a revision of the family that differs."""
    ecs = deployment.dock.client("ecs")
    template = deployment.document["services"]["web"]["template"]
    found = ecs.describe_task_definition(taskDefinition=template)["taskDefinition"]
    web = deployment.document["services"]["web"]
    definition = deployment.target.client("ecs")
    plan_input = {
        key: found[key] for key in ("networkMode", "cpu", "memory", "requiresCompatibilities", "executionRoleArn")
    }
    containers = [{**found["containerDefinitions"][0], "image": f"{web['repository_url']}@{deployment.digest}"}]
    definition.register_task_definition(family=web["family"], containerDefinitions=containers, **plan_input)


def test_two_operators_at_once_are_one_run_and_one_refusal(deployment: Deployment, store: Store) -> None:
    run = opened(deployment, dry_run=False)
    run.plan()
    lease = Lease.acquire(store, run.environment, "other-run", BOB, seconds=3)
    with pytest.raises(LeaseHeld, match="other-run"):
        run.act()
    lease.release()
    assert Stored.read(store, run.id).status is Status.REFUSED
    assert deployment.end()["updates"] == 0


def test_a_run_is_gone_on_with_under_its_own_parameters_only(deployment: Deployment) -> None:
    run = opened(deployment, dry_run=False)
    run.plan()
    with pytest.raises(RunRefused, match="it was opened for deploy with"):
        opened(deployment, dry_run=False, resume=run.id, desired_count=3)
    with pytest.raises(RunRefused, match="there is no run"):
        opened(deployment, dry_run=False, resume="no-such-run")


def test_a_failed_run_tries_the_failed_step_again_and_only_that(
    deployment: Deployment, store: Store, dock: Dock
) -> None:
    run = opened(deployment, dry_run=False)
    fault = dock.fault(
        "api-failing", service="ecs", operation="UpdateService", error="AccessDeniedException", status=400
    )
    with fault, pytest.raises(OperationError, match="AccessDenied"):
        run.act()
    assert Stored.read(store, run.id).status is Status.FAILED
    again = opened(deployment, dry_run=False, resume=run.id)
    again.act()
    again.finish()
    assert deployment.end() == DEPLOYED_ONCE


@pytest.mark.parametrize("kind", ["api-lost", "api-throttled"])
def test_an_effect_is_there_once_when_ecs_loses_answers_or_throttles(
    deployment: Deployment, dock: Dock, kind: str
) -> None:
    run = opened(deployment, dry_run=False)
    run.plan()
    with contextlib.ExitStack() as faults:
        for operation in ("RegisterTaskDefinition", "RunTask", "UpdateService"):
            faults.enter_context(dock.fault(kind, service="ecs", operation=operation, calls=1))
        run.act()
    run.finish()
    assert deployment.end() == DEPLOYED_ONCE


def test_a_plan_that_holds_a_secret_is_not_kept(deployment: Deployment, dock: Dock) -> None:
    web = deployment.document["services"]["web"]
    ecs = dock.client("ecs")
    found = ecs.describe_task_definition(taskDefinition=web["template"])["taskDefinition"]
    container = {**found["containerDefinitions"][0], "command": ["serve", "--password=canary-in-a-command"]}
    kept = {key: found[key] for key in ("networkMode", "cpu", "memory", "requiresCompatibilities", "executionRoleArn")}
    made = ecs.register_task_definition(family=found["family"], containerDefinitions=[container], **kept)
    services = dict(deployment.target.manifest.services)
    arn = made["taskDefinition"]["taskDefinitionArn"]
    services["web"] = services["web"].model_copy(update={"template": arn})
    deployment.target.manifest = deployment.target.manifest.model_copy(update={"services": services})
    run = opened(deployment, dry_run=False)
    with pytest.raises(RunRefused, match="holds what looks like a secret") as refused:
        run.plan()
    assert "containerDefinitions[0].command[1]" in refused.value.why
    assert "canary" not in json.dumps([entry.document() for entry in run.journal.entries]) + str(refused.value)


def test_a_run_waits_for_no_store_that_is_lost(
    deployment: Deployment, dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(deployment, dry_run=False)
    run.plan()
    monkeypatch.setattr(stores, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(stores.Store.create, "__kwdefaults__", {"patience": 0.3})
    with dock.fault("api-failing", service="dynamodb"), pytest.raises(OperationError):
        run.act()
    assert deployment.end()["updates"] == 0
