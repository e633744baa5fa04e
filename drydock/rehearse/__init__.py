"""`drydock rehearse`: proof by doing. Each rehearsal has a file here, and cleans up behind itself."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Prove by doing: break it for real, measure, repair.", no_args_is_help=True)


@app.callback()
def _all() -> None:
    """More than one rehearsal: each is a command of its own, also while there is only one."""


@app.command("alarms")
def rehearse_alarms(
    stack: Annotated[str, typer.Option("--stack", help="The environment, which must live in the dock.")] = "local",
    only: Annotated[
        str | None, typer.Option(help="Only the faults that fire these alarms, for example payments,connections.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; docs/rehearsals.md describes it.")] = False,
) -> None:
    """Fire every alarm by the fault that it is for, and see it clear. Exit code 0 when all fired and cleared."""
    from dock.home import Home
    from drydock.rehearse.alarms import rehearse

    keys = frozenset(key.strip() for key in only.split(",")) if only else None
    raise typer.Exit(0 if rehearse(Home.default(), stack, keys, as_json=json) else 1)


@app.command()
def production(
    stack: Annotated[str, typer.Option("--stack", help="Another stack than production.")] = "production",
    json: Annotated[bool, typer.Option("--json", help="Print JSON; docs/rehearsals.md describes it.")] = False,
) -> None:
    """Bring a copy of the whole production stack up in the dock, see that a second run changes nothing, destroy it."""
    from dock.home import Home
    from drydock.rehearse.stack import rehearse

    raise typer.Exit(0 if rehearse(Home.default(), stack, as_json=json) else 1)
