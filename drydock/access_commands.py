"""`drydock access …`: the commands."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Who may do what in the dock's account.", no_args_is_help=True)


@app.command()
def review(
    only: Annotated[
        str | None, typer.Option("--only", help="Roles whose names begin so, for example chatvrm-.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document; docs/access.md describes it.")] = False,
) -> None:
    """What each role may, by IAM's own simulator, with the date: the access review."""
    from dock.home import Home
    from drydock.access import review as show

    show(Home.default(), only, as_json=json)


@app.command()
def user(
    name: Annotated[str, typer.Argument(help="The user's name.")],
    group: Annotated[
        list[str] | None, typer.Option("--group", help="A group to join, for example chatvrm-deployer.")
    ] = None,
) -> None:
    """Make a person of the dock: a user with an access key and a virtual MFA device, shown once."""
    from dock.home import Home
    from drydock.access import add_user

    add_user(Home.default(), name, group or [])
