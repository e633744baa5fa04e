"""Asking the dock's daemon for faults, and getting rid of them when it doesn't answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from dock.home import Home
from drydock import daemon
from drydock.durations import seconds
from drydock.errors import DrydockError


def begin(home: Home, kind: str, duration: str, fields: dict[str, Any]) -> None:
    """Ask for a fault and print it. Raises DrydockError with the daemon's own reason."""
    document = {"kind": kind, "seconds": seconds(duration), **{k: v for k, v in fields.items() if v is not None}}
    fault = _ask(home, "POST", "/faults", document)
    print(f"{fault['id']}: {fault['kind']} {fault['about']}, for {fault['seconds_left']:.0f} s")
    print(f"end it before: drydock fault clear {fault['id']}")


def show(home: Home, *, past: bool, as_json: bool) -> None:
    """Print the faults that are on."""
    faults = _ask(home, "GET", "/faults?past" if past else "/faults")["faults"]
    if as_json:
        print(json.dumps({"schema_version": 1, "faults": faults}, indent=2))
        return
    if not faults:
        print("no fault is on")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("id", "kind", "about", "left", "note"):
        table.add_column(column, overflow="fold")
    for fault in faults:
        left = "ended" if "ended" in fault else f"{fault['seconds_left']:.0f} s"
        table.add_row(fault["id"], fault["kind"], fault["about"], left, fault.get("note", ""))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def show_targets(home: Home, *, as_json: bool) -> None:
    """Print what an engine's fault can hit."""
    targets = _ask(home, "GET", "/faults/targets")["targets"]
    if as_json:
        print(json.dumps({"schema_version": 1, "targets": targets}, indent=2))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("kind", "name", "account", "region", "parts", "network"):
        table.add_column(column, overflow="fold")
    for target in targets:
        parts = ", ".join(
            f"{part['role']} ({part['zone']})" if part["zone"] else part["role"] for part in target["parts"]
        )
        where = (target["account"] or "", target["region"] or "")
        table.add_row(target["kind"], target["name"], *where, parts, "yes" if target["network"] else "")
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def clear(home: Home, identifier: str | None, *, everything: bool) -> None:
    """End one fault, or all. A daemon that hangs or is dead is left a note, which it obeys first of all."""
    if (identifier is None) is not everything:
        raise DrydockError("say which fault: an id, or --all", "drydock fault list")
    try:
        ended = daemon.ask(home, "DELETE", "/faults" if everything else f"/faults/{identifier}", timeout=10)
    except daemon.RefusedError as problem:
        raise DrydockError(str(problem), "drydock fault list") from None
    except DrydockError:
        ended = None
    if ended is not None:
        for fault in ended:
            print(f"{fault['id']} ended: {fault['kind']} {fault['about']}")
        if not ended:
            print("no fault is on")
        return
    _leave_a_note(home, {"all": True} if identifier is None else {"ids": [identifier]})


def _leave_a_note(home: Home, asked: dict[str, Any]) -> None:
    if not home.run.is_dir():
        raise DrydockError(f"there is no dock in {home.root} yet", "make up")
    note = home.run / "faults.clear"
    temporary = note.with_suffix(".new")
    temporary.write_text(json.dumps(asked))
    temporary.replace(note)
    # A daemon that somebody stopped reads it when it goes on.
    with contextlib.suppress(OSError, ValueError):
        os.kill(int((home.run / "dock.lock").read_text()), signal.SIGCONT)
    print("the dock does not answer: it ends the fault as soon as it runs again. If it is down: drydock up")


def _ask(home: Home, method: str, path: str, document: Any = None) -> Any:
    try:
        answer = daemon.ask(home, method, path, document, timeout=30)
    except daemon.RefusedError as problem:
        raise DrydockError(str(problem), "drydock fault add --help") from None
    if answer is None:
        raise DrydockError("the dock is not running", "drydock up")
    return answer
