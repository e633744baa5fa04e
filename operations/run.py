"""A run: one execution of an operation, from its parameters to the last entry of its journal.

The guards are here and not in whatever starts a run, so a notebook in JupyterLab, one that `drydock run` executes, and
a program that calls this have the same: dry run first, the plan's hash, approvals, one run at a time, the journal.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from operations import catalogue, control
from operations.errors import OperationError
from operations.operation import Operation, Outcome, Plan
from operations.parameters import Changing, Where
from operations.redaction import clean
from operations.runs import approvals, evidence, kernel, ledger, store
from operations.runs.identity import whoami
from operations.runs.journal import FINAL, Journal, Kind, Status, Stored
from operations.runs.lease import SECONDS, Lease, LeaseHeld
from operations.steps import Stopped, Unanswered
from operations.target import Target

#: Set by `drydock run`: the run's id, its folder on this machine, when it must be over (by the monotonic clock).
RUN, FOLDER, DEADLINE = "DRYDOCK_RUN", "DRYDOCK_RUN_FOLDER", "DRYDOCK_RUN_DEADLINE"


class RunRefused(OperationError):
    """The run can't do this; nothing was done."""


class ApprovalNeeded(OperationError):
    """The plan is frozen, and waits for others to approve it."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """In place of an outcome where nothing was done."""

    plan: str

    def summary_document(self) -> dict[str, Any]:
        return {"result": "dry run"}

    def figures(self) -> dict[str, float]:
        return {}

    def require_passed(self) -> None:
        pass

    def __repr__(self) -> str:
        return f"dry run: nothing was done (plan {self.plan})"


def new_id(operation: str, now: datetime) -> str:
    """An id that sorts by time and can be said aloud."""
    return f"{now:%Y%m%d-%H%M%S}-{operation}-{secrets.token_hex(2)}"


class Run:
    """Made by `Run.open`. In this order: `preflight`, `plan`, `act`, `verify`, `finish`; each shows what it returns."""

    def __init__(
        self,
        operation: Operation[Any, Any, Any, Any],
        parameters: Where,
        target: Target,
        journal: Journal,
        kept: store.Store | None,
        by: str,
        progress: Callable[[str], None],
    ) -> None:
        self.operation = operation
        self.parameters = parameters
        self.target = target
        self.journal = journal
        self.outcome: Outcome | None = None
        self._store = kept
        self._by = by
        self._progress = progress
        self._facts: Any = None
        self._verdicts: list[Outcome] = []
        self._line: ledger.Line | None = None
        self._stop = kernel.StopSignal()
        self._deadline = float(os.environ.get(DEADLINE, "inf"))

    @classmethod
    def open(cls, parameters: Where, *, target: Target | None = None, progress: Callable[[str], None] = print) -> Self:
        """Open a run of the operation that takes these parameters, or go on with the one that `resume` names.

        Raises OperationError: no manifest; a store of runs that can't be used, unless nothing is to be changed; a run
        that is over, or that had other parameters.
        """
        kernel.guard_outputs()
        operation = catalogue.of(parameters)
        opened = target or Target.open(parameters)
        acts = operation.changes and not _dry(parameters)
        run, why = _named(parameters), ""
        kept: store.Store | None = None
        try:
            kept = store.open(control.load(parameters.region, parameters.recovery_region))
            journal: Journal = Stored.read(kept, run, _folder()) if run else Stored(kept, "", [], _folder())
            by = whoami(opened.client("sts"))
        except OperationError as error:
            if acts or _resumes(parameters):
                raise
            kept, journal, by, why = None, Journal(run, [], _folder()), "unknown", error.why
        if not journal.entries:
            if run and _resumes(parameters):
                raise RunRefused(f"there is no run {run}", "its journal is empty", "drydock runs lists them")
            journal.run = run or new_id(operation.name, journal.now())
        made = cls(operation, parameters, opened, journal, kept, by, progress)
        if why:
            progress(f"NOT RECORDED, for there is no store of runs: {why}")
        made._begin()
        return made

    @property
    def id(self) -> str:
        return self.journal.run

    @property
    def environment(self) -> str:
        return f"{self.target.manifest.platform}/{self.target.manifest.environment}"

    @property
    def dry_run(self) -> bool:
        return self.operation.changes and _dry(self.parameters)

    def preflight(self) -> Any:
        """What is there, and what the operation checks before it starts."""
        self._facts = self.operation.gather(self.target, self.parameters)
        if self.operation.preflight is None:
            return self.target
        return self.operation.preflight(self._facts, self.parameters)

    def plan(self) -> Any:
        """What `act` would do. In a run that is gone on with after its first step: what it was doing, frozen."""
        frozen = self.journal.last(Kind.PLANNED)
        if frozen is not None and self.journal.begun:
            return self.operation.plan_type.thaw(frozen.content["plan"])
        plan = self._plan()
        if frozen is None or frozen.content["hash"] != plan.hash:
            if frozen is not None:
                self._progress(
                    f"the environment has changed: plan {plan.hash} takes the place of {frozen.content['hash']}"
                )
            self._freeze(plan)
        self._progress(f"plan {plan.hash}")
        return plan

    def act(self) -> Any:
        """Do what the plan says, under the environment's lease, and return how it ended.

        Raises OperationError: a plan that is refused or no longer fits, approvals that are missing, a lease that is
        another run's, a step that failed or can't be judged, a stop. All of it is in the journal by then.
        """
        if self.journal.status in FINAL or self.outcome is not None:
            raise RunRefused(f"run {self.id} has acted", f"it is {self.journal.status.value}", "open a new run")
        plan = self._frozen()
        try:
            if plan.refusals:
                self._finish(Status.REFUSED, why="; ".join(plan.refusals))
                raise RunRefused(
                    f"{self.operation.name} is refused here",
                    "; ".join(plan.refusals),
                    "remove these reasons, then plan again",
                )
            if self.dry_run:
                self.outcome = DryRun(plan.hash)
            elif not self.operation.changes:
                self.outcome = self._execute(plan)
            else:
                self.outcome = self._under_lease(plan)
        except Unanswered:
            self._tell()
            raise
        except Stopped as stopped:
            self._interrupted(stopped.why)
            raise
        except LeaseHeld as error:
            if self.journal.begun:
                self._interrupted(f"{error.what}, {error.why}")
            else:
                self._finish(Status.REFUSED, why=f"{error.what}, {error.why}", next=error.next)
            raise
        except store.StoreAway:
            raise  # nothing can be written down; the last entry says how far it came
        except KeyboardInterrupt:
            self._interrupted("broken off in the middle of a step")
            raise
        except (RunRefused, ApprovalNeeded):
            raise
        except OperationError as error:
            self._finish(Status.FAILED, why=f"{error.what}: {error.why}", next=error.next)
            raise
        return self.outcome

    def verify(self, **settings: Any) -> Any:
        """The environment's verification as a part of this run: `finish` needs it to have passed."""
        if self.dry_run:
            return DryRun(self._frozen().hash)
        verify = catalogue.named("verify")
        request = verify.parameters(**{name: getattr(self.parameters, name) for name in Where.model_fields}, **settings)
        plan = verify.plan(verify.gather(self.target, request), request)
        found = verify.execute(plan, self.target, self.journal)
        self.journal.append(Kind.VERIFIED, **found.summary_document())
        self._verdicts.append(found)
        return found

    def finish(self) -> Report:
        """The last entry, which alone says whether the run succeeded. Raises OperationError unless it did."""
        if self.journal.status not in FINAL:
            if self.outcome is None:
                raise RunRefused(
                    f"run {self.id} is not over", f"it is {self.journal.status.value}", "run its act first"
                )
            try:
                for outcome in (self.outcome, *self._verdicts):
                    outcome.require_passed()
            except OperationError as error:
                self._finish(Status.FAILED, why=f"{error.what}: {error.why}", next=error.next)
                raise
            self._finish(Status.PLANNED if self.dry_run else Status.SUCCEEDED)
        return Report(self.id, self.journal.status, self._store is not None, self.dry_run)

    def _begin(self) -> None:
        opened = self.journal.last(Kind.OPENED)
        request = self.parameters.model_dump(mode="json", exclude={"resume"})
        if opened is None:
            self.journal.attempt = 1
            self.journal.append(
                Kind.OPENED,
                operation=self.operation.name,
                environment=self.environment,
                parameters=request,
                by=self._by,
                account=self.target.manifest.account,
            )
        else:
            if opened.content["operation"] != self.operation.name or opened.content["parameters"] != clean(request):
                raise RunRefused(
                    f"run {self.id} can't be gone on with here",
                    f"it was opened for {opened.content['operation']} with {opened.content['parameters']}",
                    f"drydock resume {self.id} takes it up with its own parameters",
                )
            if self.journal.status in FINAL:
                raise RunRefused(f"run {self.id} is over", f"it {_ended(self.journal.status)}", "open a new run")
            self.journal.attempt += 1
        self.journal.append(
            Kind.ATTEMPT, by=self._by, host=os.uname().nodename, pid=os.getpid(), recorded=self._store is not None
        )
        self._tell()

    def _plan(self) -> Plan:
        if self._facts is None:
            self.preflight()
        plan: Plan = self.operation.plan(self._facts, self.parameters)
        return plan

    def _freeze(self, plan: Plan) -> None:
        document = plan.document()
        if clean(document) != json.loads(json.dumps(document)):
            raise RunRefused(
                f"the plan of {self.operation.name} is not kept",
                f"it holds what looks like a secret: {', '.join(_secret_places(document))}",
                "give secrets by their ARN",
            )
        self.journal.append(Kind.PLANNED, hash=plan.hash, plan=document)
        self._tell()

    def _frozen(self) -> Plan:
        if self.journal.last(Kind.PLANNED) is None:
            self.plan()
        frozen = self.journal.last(Kind.PLANNED)
        assert frozen is not None
        plan: Plan = self.operation.plan_type.thaw(frozen.content["plan"])
        return plan

    def _under_lease(self, plan: Plan) -> Outcome:
        assert self._store is not None, "`open` refuses to act without a store"
        self._require_approvals(plan)
        seconds = float(os.environ.get("DRYDOCK_LEASE_SECONDS", SECONDS))
        lease = Lease.acquire(self._store, self.environment, self.id, self._by, self._progress, seconds)
        try:
            self._require_continuity(lease, plan)
            self.journal.lease = lease
            self.journal.append(Kind.LOCKED, fenced=True, before=lease.before)
            return self._execute(plan)
        finally:
            self.journal.lease = None
            lease.release()

    def _require_approvals(self, plan: Plan) -> None:
        """Before the first step; what has begun was approved."""
        needed = self.operation.approvals(self.target.manifest.policy)
        if needed == 0 or self.journal.begun:
            return
        assert self._store is not None
        opened = self.journal.last(Kind.OPENED)
        assert opened is not None
        found = approvals.look(self._store, self.id, plan.hash, opened.content["by"], needed)
        if found.enough:
            self._progress(f"approved by {', '.join(found.counting)}")
            return
        self.journal.append(Kind.WAITING, plan=plan.hash, needed=needed, counting=found.counting, refused=found.refused)
        self._tell()
        without = f"; not counted: {'; '.join(found.refused)}" if found.refused else ""
        raise ApprovalNeeded(
            f"run {self.id} waits for approval",
            f"plan {plan.hash} has {len(found.counting)} of {needed} approvals that the policy wants{without}",
            f"another person: drydock approve {self.id}; then: drydock resume {self.id}",
        )

    def _require_continuity(self, lease: Lease, plan: Plan) -> None:
        """The plan was made on ground that nobody has changed since."""
        if self.journal.begun:
            if lease.before not in ("", self.id):
                self._finish(Status.FAILED, why=f"run {lease.before} has changed {self.environment} meanwhile")
                raise RunRefused(
                    f"run {self.id} can't go on",
                    f"run {lease.before} has changed {self.environment} since: its plan fits no more",
                    "open a new run, which plans from how it is now",
                )
            return
        now: Plan = self.operation.plan(self.operation.gather(self.target, self.parameters), self.parameters)
        if now.hash != plan.hash:
            self._finish(Status.REFUSED, why=f"the plan would be {now.hash} now, not {plan.hash}")
            raise RunRefused(
                f"plan {plan.hash} fits no more",
                f"{self.environment} has changed since it was made: now it would be {now.hash}",
                "open a new run",
            )

    def _execute(self, plan: Plan) -> Outcome:
        self.journal.guard(self._check, self._progress)
        with self._stop.heard():
            found: Outcome = self.operation.execute(plan, self.target, self.journal)
            self.journal.flush()
            return found

    def _check(self) -> None:
        if self._stop.asked:
            raise Stopped(f"run {self.id} was stopped", "it was asked to", f"drydock resume {self.id}")
        if time.monotonic() > self._deadline:
            raise Stopped(f"run {self.id} was stopped", "its deadline has passed", f"drydock resume {self.id}")

    def _interrupted(self, why: str) -> None:
        self.journal.append(Kind.STOPPED, why=why, next=f"drydock resume {self.id}")
        self._tell()

    def _finish(self, status: Status, **told: Any) -> None:
        summary = self.outcome.summary_document() if self.outcome is not None else {}
        self.journal.append(Kind.FINISHED, status=status.value, **told, outcome=summary)
        self._tell(ended=self.journal.entries[-1].at, details=summary)
        self._leave_evidence()

    def _tell(self, **changes: Any) -> None:
        """Bring the ledger's line up to date. Where the store is away just now, the journal alone knows better."""
        if self._store is None:
            return
        first = self.journal.entries[0]
        opened = self.journal.last(Kind.OPENED)
        assert opened is not None
        planned = self.journal.last(Kind.PLANNED)
        if self._line is None:
            self._line = ledger.Line(
                environment=self.environment,
                run=self.id,
                operation=self.operation.name,
                status="",
                by=opened.content["by"],
                started=first.at,
                dry_run=self.dry_run,
            )
        last = self.journal.entries[-1]
        passed = datetime.fromisoformat(last.at) - datetime.fromisoformat(first.at)
        self._line = ledger.amend(
            self._store,
            self._line,
            status=self.journal.status.value,
            attempts=self.journal.attempt,
            plan=planned.content["hash"] if planned is not None else "",
            seconds=passed.total_seconds(),
            **changes,
        )

    def _leave_evidence(self) -> None:
        """The journal and the measurements; the notebook and its page are added by who executes it."""
        outcomes = [outcome for outcome in (self.outcome, *self._verdicts) if outcome is not None]
        figures = {name: value for outcome in outcomes for name, value in outcome.figures().items()}
        document = {"run": self.id, "operation": self.operation.name, "at": datetime.now(UTC).isoformat(), **figures}
        body = json.dumps(clean(document), indent=2).encode()
        folder = _folder()
        if folder is not None:
            (folder / "measurements.json").write_bytes(body)
            return
        if self._store is None:
            return
        lines = "".join(json.dumps(entry.document()) + "\n" for entry in self.journal.entries)
        s3, where = self.target.client("s3"), self._store.control
        try:
            for name, content in (("journal.jsonl", lines.encode()), ("measurements.json", body)):
                evidence.put(s3, where, self.environment, self.id, name, content)
        except Exception as error:  # the journal itself is safe, and how the run ended doesn't depend on its copy
            self._progress(f"the evidence was not uploaded: {error}")

    def __repr__(self) -> str:
        kind = "DRY RUN, nothing will be changed" if self.dry_run else ""
        acts = "applies the plan" if self.operation.changes else "changes nothing"
        recorded = "" if self._store is not None else ", not recorded"
        attempt = f", attempt {self.journal.attempt}" if self.journal.attempt > 1 else ""
        return f"run {self.id} ({kind or acts}{recorded}{attempt})\n{self.target!r}"

    def _repr_html_(self) -> str:
        from html import escape

        first, _, _ = repr(self).partition("\n")
        return f"<p><b>{escape(first)}</b></p>{self.target._repr_html_()}"


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended."""

    run: str
    status: Status
    recorded: bool
    dry_run: bool

    def __repr__(self) -> str:
        where = f"drydock show {self.run}" if self.recorded else "it was not recorded"
        return f"run {self.run} {_ended(self.status)} ({where})"


def _ended(status: Status) -> str:
    return {
        Status.SUCCEEDED: "has succeeded",
        Status.PLANNED: "was a dry run: nothing was done",
        Status.FAILED: "has failed",
        Status.REFUSED: "was refused: nothing was done",
        Status.ABORTED: "was aborted",
    }.get(status, f"is {status.value}")


def _dry(parameters: Where) -> bool:
    return isinstance(parameters, Changing) and parameters.dry_run


def _resumes(parameters: Where) -> bool:
    return isinstance(parameters, Changing) and bool(parameters.resume)


def _named(parameters: Where) -> str:
    """The run to open: the notebook's own `resume`, or the id that `drydock run` gave."""
    if isinstance(parameters, Changing) and parameters.resume:
        return parameters.resume
    return os.environ.get(RUN, "")


def _folder() -> Path | None:
    named = os.environ.get(FOLDER)
    return Path(named) if named else None


def _secret_places(document: Any, path: str = "plan") -> list[str]:
    if isinstance(document, dict):
        found = []
        for name, value in document.items():
            if isinstance(value, str) and clean({name: value}) != {name: value}:
                found.append(f"{path}.{name}")
            else:
                found += _secret_places(value, f"{path}.{name}")
        return found
    if isinstance(document, list):
        return [place for number, each in enumerate(document) for place in _secret_places(each, f"{path}[{number}]")]
    return [path] if isinstance(document, str) and clean(document) != document else []
