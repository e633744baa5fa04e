"""`drydock run`, `runs`, `show`, `resume`, `approve`, `abort`, `takeover`: runs of runbooks, from a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from drydock.runner import Ended
    from operations.runs.journal import Journal
    from operations.runs.store import Store

Environment = Annotated[str, typer.Option("--env", help="The environment.")]
Platform = Annotated[str, typer.Option("--platform", help="The platform.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document; docs/runbooks.md describes it.")]
RunId = Annotated[str, typer.Argument(help="The run's id, as `drydock runs` lists it.")]
Deadline = Annotated[
    float | None,
    typer.Option(help="Seconds after which the run is stopped where that is safe; the operation's own without it."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (run, runs, show, resume, approve, abort, takeover):
        app.command()(command)


def run(
    name: Annotated[str, typer.Argument(help="The runbook, for example verify; `drydock runbook list` lists them.")],
    environment: Environment = "local",
    platform: Platform = "chatvrm",
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="key=value, as often as needed.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without, the plan is shown.")] = False,
    deadline: Deadline = None,
    json: AsJson = False,
) -> None:
    """Run a runbook. Nothing is changed without --apply. Exit codes: docs/runbooks.md."""
    from drydock import parameters

    given = [f"platform={platform}", *(parameter or [])]
    _execute(name, parameters.read(name, environment, given, apply=apply), None, deadline, as_json=json)


def resume(
    run: RunId,
    environment: Environment = "local",
    took_effect: Annotated[
        str | None, typer.Option("--took-effect", help="yes or no: your answer about the step that nobody can judge.")
    ] = None,
    deadline: Deadline = None,
    json: AsJson = False,
) -> None:
    """Go on with a run that died, was stopped, waits for approval, or failed. It follows the plan that it froze."""
    from drydock.errors import UsageError
    from operations.parameters import BY_RUNBOOK
    from operations.runs.journal import FINAL, Kind, Status
    from operations.steps import HAD_NO_EFFECT, TOOK_EFFECT

    with _store(environment) as store:
        journal = _journal(store, run)
        opened = journal.last(Kind.OPENED)
        assert opened is not None
        if journal.status in FINAL:
            raise UsageError(f"run {run} can't be gone on with: it is {journal.status.value}", f"drydock show {run}")
        asked = journal.last(Kind.ASKED)
        if journal.status is Status.UNCLEAR and asked is not None:
            answers = {"yes": TOOK_EFFECT, "no": HAD_NO_EFFECT}
            if took_effect not in answers:
                raise UsageError(
                    f"run {run} waits for an answer: {asked.content['question']}",
                    f"{asked.content['look']}; then: drydock resume {run} --took-effect yes (or no)",
                )
            journal.append(Kind.ANSWERED, asked.step, answer=answers[took_effect], by=_whoami())
        elif took_effect is not None:
            raise UsageError(f"run {run} has asked nothing", f"drydock resume {run}")
        parameters = BY_RUNBOOK[opened.content["operation"]].model_validate(opened.content["parameters"])
        _refuse_alive(store, opened.content["environment"], run)
    _execute(opened.content["operation"], parameters, run, deadline, as_json=json)


def runs(
    environment: Environment = "local",
    platform: Platform = "chatvrm",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the newest.")] = 20,
    json: AsJson = False,
) -> None:
    """The runs of an environment, the newest first, and who holds it now."""
    from operations.runs import lease, ledger

    with _store(environment) as store:
        found = ledger.read(store, f"{platform}/{environment}", lines)
        holder = lease.look(store, f"{platform}/{environment}")
    if json:
        _print({"schema_version": 1, "held_by": holder, "runs": [asdict(line) for line in found]})
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("run", "status", "by", "started", "seconds", "attempts", "plan"):
        table.add_column(column, overflow="fold")
    for line in found:
        status = f"[{_COLOURS.get(line.status, '')}]{line.status}[/]" if line.status in _COLOURS else line.status
        by = line.by.rpartition(":")[2]
        table.add_row(line.run, status, by, line.started, f"{line.seconds:.0f}", str(line.attempts), line.plan)
    _console().print(table)
    if holder is not None:
        print(f"held by run {holder['run']} of {holder['by']} since {holder['since']}")
    if not found:
        print("no runs yet; next: drydock run verify")


def show(run: RunId, environment: Environment = "local", json: AsJson = False) -> None:
    """One run: its parameters, its plan, and its journal, entry by entry."""
    from operations.runs.journal import Kind

    with _store(environment) as store:
        journal = _journal(store, run)
    opened, planned = journal.last(Kind.OPENED), journal.last(Kind.PLANNED)
    assert opened is not None
    if json:
        entries = [entry.document() for entry in journal.entries]
        _print({"schema_version": 1, "run": run, "status": journal.status.value, "journal": entries})
        return
    print(f"run {run}: {journal.status.value}")
    print(f"  {opened.content['operation']} of {opened.content['environment']}, asked for by {opened.content['by']}")
    for name, value in opened.content["parameters"].items():
        print(f"    {name} = {value!r}")
    if planned is not None:
        from operations import catalogue

        plan = catalogue.named(opened.content["operation"]).plan_type.thaw(planned.content["plan"])
        print(f"plan {planned.content['hash']}")
        print("\n".join(f"  {line}" for line in repr(plan).splitlines()))
    print("journal")
    for entry in journal.entries:
        print(f"  {entry.number:3} {entry.at[:19]} {entry.token or '-':6} {entry.kind.value:9} {_told(entry)}")


def approve(
    run: RunId,
    environment: Environment = "local",
    plan: Annotated[
        str | None, typer.Option(help="The hash of the plan that you have seen; without it you are shown and asked.")
    ] = None,
    note: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    json: AsJson = False,
) -> None:
    """Approve a run's plan as who you are. The one who asked for the run can't."""
    from drydock.errors import RefusedError, UsageError
    from operations import catalogue
    from operations.runs import approvals
    from operations.runs.journal import Kind

    with _store(environment) as store:
        journal = _journal(store, run)
        planned, opened = journal.last(Kind.PLANNED), journal.last(Kind.OPENED)
        if plan is None and planned is not None and opened is not None:
            if json or not sys.stdin.isatty():
                raise UsageError(
                    "nobody can be asked here whether this plan is the right one",
                    f"drydock show {run}; then: drydock approve {run} --plan {planned.content['hash']}",
                )
            print(repr(catalogue.named(opened.content["operation"]).plan_type.thaw(planned.content["plan"])))
            if input(f"Approve plan {planned.content['hash']}? Type yes: ").strip() != "yes":
                raise RefusedError("not approved")
            plan = planned.content["hash"]
        by = _whoami()
        try:
            approved = approvals.approve(store, journal, by, plan, note)
        except approvals.ApprovalRefused as refused:
            raise RefusedError(f"{refused.what}: {refused.why}", refused.next) from None
    if json:
        _print({"schema_version": 1, "run": run, "plan": approved, "by": by, "seconds": approvals.VALID_SECONDS})
    else:
        print(f"plan {approved} of run {run} is approved by {by}, for {approvals.VALID_SECONDS // 3600} h")
        print(f"  next: drydock resume {run}")


def abort(run: RunId, environment: Environment = "local", json: AsJson = False) -> None:
    """Give a run up that is not at work. Nothing is undone: `drydock show` says what it has done and the way back."""
    from drydock.errors import UsageError
    from operations.runs import ledger
    from operations.runs.journal import FINAL, Kind, Status

    with _store(environment) as store:
        journal = _journal(store, run)
        if journal.status in FINAL:
            raise UsageError(f"run {run} is over: it is {journal.status.value}", f"drydock show {run}")
        opened = journal.last(Kind.OPENED)
        assert opened is not None
        _refuse_alive(store, opened.content["environment"], run)
        by = _whoami()
        last = journal.append(Kind.FINISHED, status=Status.ABORTED.value, why=f"aborted by {by}", outcome={})
        line = ledger.find(store, opened.content["environment"], run)
        if line is not None:
            ledger.amend(store, line, status=Status.ABORTED.value, ended=last.at)
        begun = sorted({entry.step for entry in journal.of(Kind.INTENT)})
    if json:
        _print({"schema_version": 1, "run": run, "status": Status.ABORTED.value, "steps_begun": begun})
    else:
        print(f"run {run} is aborted; " + (f"begun: {', '.join(begun)}" if begun else "it had done nothing"))


def takeover(
    region: Annotated[str, typer.Option(help="The region that becomes the home of the store of runs.")],
    environment: Environment = "local",
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without, it is said what would be done.")] = False,
) -> None:
    """Move the store of runs to the other region, when its home is lost. Leases and approvals there count no more."""
    from operations import control
    from operations.runs import store

    with _attached(environment):
        found = control.load(region)
        if not apply:
            print(f"{region} would become the home of the store of runs, under a new epoch.")
            print("Leases and approvals of the other region would count no more. Be sure that no run is at work there.")
            print(f"  next: drydock takeover --region {region} --apply")
            return
        home = store.take_over(found, region, _whoami())
    print(f"{home.region} is the home of the store of runs, epoch {home.epoch}")


_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "interrupted": "yellow",
    "unfinished": "yellow",
    "waiting for approval": "yellow",
    "waiting for an answer": "yellow",
}


def _execute(name: str, parameters: Any, run_id: str | None, deadline: float | None, *, as_json: bool) -> None:
    from drydock import runner

    ended = runner.run(name, parameters, run_id=run_id, deadline=deadline, show=_to(as_json))
    if as_json:
        _print(ended.document())
    else:
        _summary(ended)
    raise typer.Exit(runner.EXIT_CODES[ended.status])


def _summary(ended: Ended) -> None:
    print(f"\nrun {ended.run}: {ended.status.value.upper()} ({ended.seconds:.1f} s)")
    if ended.why:
        print(f"  why:  {ended.why}")
    if ended.next:
        print(f"  next: {ended.next}")
    print(f"  evidence: {ended.folder}" + (f" and {len(ended.evidence)} files in S3" if ended.evidence else ""))
    if not ended.recorded:
        print("  this run is not recorded in a store of runs")


def _to(as_json: bool) -> Callable[[str], None]:
    """Progress goes to standard output, or beside it where that is for the document alone."""
    stream = sys.stderr if as_json else sys.stdout
    return lambda text: print(text, file=stream, flush=True)


@contextmanager
def _attached(environment: str) -> Iterator[None]:
    """This process attached to the environment's account; operations' errors as this command's own."""
    from drydock import place
    from drydock.errors import DrydockError
    from operations.errors import OperationError

    os.environ.update(place.attached(environment))
    try:
        yield
    except OperationError as problem:
        raise DrydockError(f"{problem.what}: {problem.why}", problem.next) from None


@contextmanager
def _store(environment: str) -> Iterator[Store]:
    from operations import control
    from operations.runs import store

    with _attached(environment):
        yield store.open(control.load())


def _journal(store: Store, run: str) -> Journal:
    from drydock.errors import UsageError
    from operations.runs.journal import Stored

    found = Stored.read(store, run)
    if not found.entries:
        raise UsageError(f"there is no run {run}", "drydock runs")
    return found


def _refuse_alive(store: Store, environment: str, run: str) -> None:
    """Two processes on one run would only find out at their next entry."""
    from drydock.errors import RefusedError
    from operations.runs import lease

    holder = lease.look(store, environment)
    if holder is not None and holder["run"] == run and lease.is_alive(store, environment):
        raise RefusedError(f"run {run} is at work: process {holder['pid']} on {holder['host']}", f"drydock show {run}")


def _whoami() -> str:
    import boto3

    from operations.runs.identity import whoami

    session: Any = boto3.session.Session()
    return whoami(session.client("sts", region_name=os.environ.get("AWS_REGION", "us-east-1")))


def _told(entry: Any) -> str:
    """An entry's content in one line."""
    content = entry.content
    detail = {
        "opened": lambda: "",
        "attempt": lambda: f"{entry.attempt} by {content['by']} on {content['host']} (process {content['pid']})",
        "planned": lambda: content["hash"],
        "waiting": lambda: f"{len(content['counting'])} of {content['needed']} approvals",
        "locked": lambda: "",
        "intent": lambda: content["intent"],
        "done": lambda: f"in {content['seconds']} s" + (", found done" if content["found"] else ""),
        "failed": lambda: f"{content['what']}: {content['why']}",
        "asked": lambda: content["question"],
        "answered": lambda: f"{content['answer']} ({content['by']})",
        "verified": lambda: content["result"],
        "stopped": lambda: content["why"],
        "died": lambda: content["why"],
        "finished": lambda: content["status"] + (f": {content['why']}" if content.get("why") else ""),
    }.get(entry.kind.value, lambda: "")()  # type: ignore[no-untyped-call]
    # The rest of a long reason is in the document (`--json`).
    detail = next(iter(str(detail).splitlines()), "")
    return f"{entry.step}: {detail}" if entry.step else detail


def _print(document: Any) -> None:
    print(json.dumps(document, indent=2))


def _console() -> Any:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200)
