"""`drydock`: the commands. Each imports what it needs when it runs, so that `drydock env` in a prompt costs little."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

app = typer.Typer(
    name="drydock",
    help="Infrastructure as code whose runbooks are rehearsed, and the dock: a cloud on this machine to rehearse on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Stack = Annotated[
    str, typer.Option("--stack", help="The stack to bring up; its settings must say that it lives in the dock.")
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
def env() -> None:
    """Print what attaches a shell to the dock: `eval "$(drydock env)"`."""
    from dock.home import Home
    from drydock.shell import script

    print(script(Home.default()))


def main() -> None:
    """The console script: an error for a person goes to standard error, and the exit code is 1."""
    from drydock.errors import DrydockError

    try:
        app()
    except DrydockError as problem:
        print(f"drydock: {problem.what}", file=sys.stderr)
        if problem.next_command:
            print(f"  next: {problem.next_command}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("drydock: interrupted; run the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None
