"""`drydock status`."""

from __future__ import annotations

import json
from typing import Any

from dock.home import Home
from drydock import daemon


def report(home: Home, *, as_json: bool) -> bool:
    """Print the dock's state; True when it is up. The JSON document has `"state": "down"` when no daemon answers."""
    document = daemon.status(home) or {"schema_version": 1, "state": "down", "home": str(home.root)}
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        _table(document)
    return document["state"] == "running"


def _table(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"dock: [bold]{document['state']}[/]   {document.get('endpoint_url') or ''}   home {document['home']}"
    )
    if document.get("problem"):
        console.print(f"[red]{document['problem']}[/]")
    if document["state"] == "down":
        console.print("next: drydock up")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("service", "kind", "name", "state", "detail"):
        table.add_column(column, overflow="fold")
    for resource in document["resources"]:
        detail = ", ".join(
            f"{key}={value}"
            for key, value in resource.items()
            if key not in ("service", "kind", "name", "state") and value not in (None, "", [])
        )
        table.add_row(*(str(resource.get(key, "")) for key in ("service", "kind", "name", "state")), detail)
    console.print(table)
    console.print(f"{len(document['processes'])} processes; logs: drydock logs")
