"""`drydock calls`: the dock's own record of API calls; read from its files, so also while it is down."""

from __future__ import annotations

import fnmatch
import json
import sys
import time
from collections import deque

from rich.console import Console
from rich.table import Table

from dock.calls import read
from dock.home import Home
from drydock.durations import seconds


def show(
    home: Home,
    service: str | None,
    operation: str | None,
    *,
    acted: bool,
    since: str | None,
    lines: int,
    as_json: bool,
) -> None:
    """Print the last calls that match."""
    after = time.time() - seconds(since) if since else 0.0
    found = deque(
        (
            call
            for call in read(home.logs)
            if call["time"] >= after
            and service in (None, call["service"])
            and (operation is None or fnmatch.fnmatchcase(call["operation"], operation))
            and (call["acted"] or not acted)
        ),
        maxlen=lines,
    )
    if as_json:
        for call in found:
            print(json.dumps(call))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("time", "call", "principal", "region", "acted", "answer", "ms", "faults", "about"):
        table.add_column(column, no_wrap=column != "about", overflow="fold")
    for call in found:
        answer = call["error"] or str(call["status"])
        about = ", ".join(f"{name}={value}" for name, value in call.get("about", {}).items())
        table.add_row(
            time.strftime("%H:%M:%S", time.localtime(call["time"])),
            f"{call['service']}:{call['operation']}",
            call["principal"] or "anonymous",
            call["region"],
            "yes" if call["acted"] else "no",
            answer,
            f"{call['milliseconds']:.0f}",
            ", ".join(call.get("faults", [])),
            about,
        )
    # Not a terminal: nobody folds lines there.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
