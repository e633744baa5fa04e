"""`drydock status`."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from typing import Any

from rich.console import Console
from rich.table import Table

from dock.home import Home
from drydock import daemon


def report(home: Home, *, as_json: bool) -> bool:
    """Print the dock's state; True when it is up. The JSON document has `"state": "down"` when no daemon answers."""
    document = daemon.status(home) or {"schema_version": 2, "state": "down", "home": str(home.root)}
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        _table(document)
    return bool(document["state"] == "running")


def _table(document: dict[str, Any]) -> None:
    # Not a terminal: nobody folds lines there.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(
        f"dock: [bold]{document['state']}[/]   {document.get('endpoint_url') or ''}   home {document['home']}"
    )
    if document.get("problem"):
        console.print(f"[red]{document['problem']}[/]")
    if document.get("faults"):
        console.print(f"[bold red]{faults_line(document['faults'])}[/]", soft_wrap=True, highlight=False)
    if document["state"] == "down":
        console.print("next: drydock up")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("service", "kind", "name", "state", "where", "detail"):
        table.add_column(column, overflow="fold", no_wrap=column != "detail")
    accounts = {resource.get("account") for resource in document["resources"]} - {None}
    # Who has one account needn't read it on every line.
    hidden = _SHOWN if len(accounts) > 1 else _SHOWN | {"account"}
    for resource in document["resources"]:
        _add(table, resource, resource["service"], hidden)
    console.print(table)
    console.print(f"{len(document['processes'])} processes (`drydock status --json` has their ids); logs: drydock logs")


def faults_line(faults: list[dict[str, Any]]) -> str:
    """One line that nobody overlooks: somebody who debugs an environment must know that it is broken on purpose."""
    each = ", ".join(
        f"{fault['id']} {fault['kind']} {fault['about']} ({fault['seconds_left']:.0f} s left)" for fault in faults[:3]
    )
    more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
    return f"{len(faults)} fault{'s' if len(faults) > 1 else ''} on: {each}{more}; drydock fault clear --all"


def _add(table: Table, entry: dict[str, Any], service: str, hidden: Collection[str]) -> None:
    """A row, then one for each part that the entry consists of."""
    parts = [part for value in entry.values() if isinstance(value, list) for part in value if isinstance(part, dict)]
    where = next((entry[key] for key in _WHERE if entry.get(key)), "")
    detail = "  ".join(
        f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in entry.items()
        if key not in hidden and value not in (None, "", [], False) and not (isinstance(value, list) and parts)
    )
    name = entry.get("name", f"  {entry.get('node', '')}")
    state = str(entry.get("state", entry.get("role", "")))
    table.add_row(service, entry.get("kind", ""), name, state, str(where), detail)
    for part in parts:
        _add(table, part, "", hidden)


_WHERE = ("endpoint", "address")
_SHOWN = frozenset({"service", "kind", "name", "state", "node", *_WHERE})
