"""`drydock`: the commands. Each imports what it needs when it runs, so that `drydock env` in a prompt costs little."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from drydock.access_commands import app as access
from drydock.fault import app as fault
from drydock.rehearse import app as rehearse
from drydock.runbook import app as runbook
from drydock.runs import register as register_runs
from drydock.traffic import app as traffic

app = typer.Typer(
    name="drydock",
    help="Infrastructure as code whose runbooks are rehearsed, and the dock: a cloud on this machine to rehearse on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(access, name="access")
app.add_typer(fault, name="fault")
app.add_typer(runbook, name="runbook")
register_runs(app)
app.add_typer(rehearse, name="rehearse")
app.add_typer(traffic, name="traffic")

Stack = Annotated[
    str,
    typer.Option(
        "--stack",
        help="The stack to bring up. Of one that lives elsewhere a copy comes up, in the dock's second account.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document; docs/status.md describes it.")]


@app.command()
def up(
    stack: Stack = "local",
    release: Annotated[str, typer.Option(help="The release of the chat application to deploy first.")] = "1.0.0",
    application: Annotated[bool, typer.Option(help="Deploy the chat application as well.")] = True,
) -> None:
    """Start the dock, bring a stack up with Pulumi, and deploy the chat application. Safe to repeat."""
    from dock.home import Home
    from drydock.up import bring_up

    bring_up(Home.default(), stack, release if application else None)


@app.command()
def bootstrap(
    stack: Annotated[
        str | None, typer.Option("--stack", help="The account's control stack; `control` unless --account says which.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="The account: its stack file is looked for.")] = None,
    region: Annotated[str | None, typer.Option(help="Must be the region that the stack's file names.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made, and make nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; docs/bootstrap.md describes it.")
    ] = False,
) -> None:
    """Prepare an account: state bucket, secrets key, store of runs, audit, budget. Safe to repeat."""
    from dock.home import Home
    from drydock.bootstrap import Request
    from drydock.bootstrap import bootstrap as prepare

    prepare(Home.default(), Request(stack, account, region, dry_run, yes, json))


@app.command()
def costs(
    stack: Annotated[str, typer.Option("--stack", help="The stack.")] = "local",
    file: Annotated[
        Path | None, typer.Option("--file", help="A stack file elsewhere, a profile for example.", exists=True)
    ] = None,
    every: Annotated[bool, typer.Option("--every", help="Each thing that is paid for.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document; docs/costs.md describes it.")] = False,
) -> None:
    """What a stack would cost in a month on AWS: an estimate from its own resources and a dated table of prices."""
    from drydock.costs import report

    report(stack, file, as_json=json, every=every)


@app.command()
def down() -> None:
    """Stop everything that runs in the dock. Nothing is lost: `drydock up` goes on from here."""
    from dock.home import Home
    from drydock import daemon

    if daemon.stop(Home.default()):
        print("the dock is down; its data are kept. `drydock up` brings it back.")
    else:
        print("the dock was not running.")


@app.command()
def status(json: AsJson = False) -> None:
    """What runs in the dock now. Exit code 0 when it is up, 1 when it isn't."""
    from dock.home import Home
    from drydock.status import report

    raise typer.Exit(0 if report(Home.default(), as_json=json) else 1)


@app.command()
def logs(
    name: Annotated[
        str | None, typer.Argument(help="An engine's name or the start of one; without it all are listed.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines from the end.")] = 50,
) -> None:
    """The logs of the dock's own engines. A task's log is in CloudWatch Logs: `aws logs tail GROUP`."""
    from dock.home import Home
    from drydock.logs import show

    show(Home.default(), name, follow=follow, lines=lines)


@app.command()
def env(
    stack: Annotated[
        str | None, typer.Option("--stack", help="The copy of a stack that lives elsewhere: its account and its state.")
    ] = None,
    role: Annotated[
        str | None, typer.Option("--role", help="Act as this role, taken on by the user whose keys the shell has.")
    ] = None,
    mfa: Annotated[str | None, typer.Option("--mfa", help="The code that the user's MFA device shows now.")] = None,
) -> None:
    """Print what attaches a shell to the dock: `eval "$(drydock env)"`."""
    from dock.home import Home
    from drydock.shell import script

    if role is not None:
        from drydock.access import script_as

        print(script_as(Home.default(), role, mfa))
        return
    print(script(Home.default(), stack))


@app.command()
def calls(
    service: Annotated[str | None, typer.Option(help="Only calls of this service, for example ecs.")] = None,
    operation: Annotated[str | None, typer.Option(help="Only this operation; a pattern like 'Update*' too.")] = None,
    acted: Annotated[bool, typer.Option("--acted", help="Only calls that had their effect.")] = False,
    since: Annotated[str | None, typer.Option(help="Only of the last while: 30s, 10m, 2h.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many from the end.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line; docs/faults.md describes it.")] = False,
) -> None:
    """Who called which API of the dock, whether the call acted, and what its caller got to know."""
    from dock.home import Home
    from drydock.calls import show

    show(Home.default(), service, operation, acted=acted, since=since, lines=lines, as_json=json)


def main() -> None:
    """The console script: an error for a person goes to standard error, and the exit code is 1."""
    from drydock.errors import DrydockError

    try:
        app()
    except DrydockError as problem:
        print(f"drydock: {problem.what}", file=sys.stderr)
        if problem.next_command:
            print(f"  next: {problem.next_command}", file=sys.stderr)
        raise SystemExit(problem.exit_code) from None
    except KeyboardInterrupt:
        print("drydock: interrupted; run the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None
