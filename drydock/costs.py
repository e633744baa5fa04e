"""`drydock costs`: what a stack would cost in a month on AWS."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from drydock import settings
from stacks.costs.estimate import Estimate
from stacks.costs.of_stack import of_stack

__all__ = ["line", "notes", "of_stack", "report"]


def report(stack: str, file: Path | None, *, as_json: bool, every: bool) -> None:
    """Print the estimate, by component; with `every` each thing that is paid for. Raises DrydockError."""
    found = of_stack(settings.of(stack, file))
    if as_json:
        print(json.dumps({"stack": stack, **found.document()}, indent=2))
        return
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("component")
    table.add_column("USD a month", justify="right")
    for component, usd in found.components.items():
        table.add_row(component, f"{usd:,.2f}")
        for item in found.items if every else ():
            if item.component == component:
                table.add_row(f"  [dim]{item.resource}: {item.what}[/]", f"[dim]{item.usd:,.2f}[/]")
    table.add_section()
    table.add_row("together", f"[bold]{found.monthly:,.2f}[/]")
    console.print(table)
    for line in notes(found):
        console.print(line, style="dim", highlight=False)


def notes(found: Estimate) -> list[str]:
    """What has to be said with every estimate."""
    lines = [
        f"An estimate: on-demand prices of {found.table['region']} as of {found.table['as_of']}, before taxes, "
        "discounts and free tiers; the usage that is assumed is in stacks/costs/prices.yaml."
    ]
    if found.unpriced:
        lines.append(f"Not in it: {'; '.join(found.unpriced)}")
    return lines


def line(stack: str) -> str:
    """One line, for before something is applied."""
    found = of_stack(settings.of(stack))
    missing = f", without {len(found.unpriced)} resources that the table has no price for" if found.unpriced else ""
    return (
        f"on AWS stack {stack} would cost about {found.monthly:,.0f} USD a month{missing} "
        f"(prices of {found.table['as_of']}; drydock costs --stack {stack})"
    )
