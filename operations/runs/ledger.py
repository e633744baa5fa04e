"""The ledger: one line for each run of an environment, for ever."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from operations.redaction import clean
from operations.runs.store import Store, content, text


@dataclass(frozen=True, slots=True)
class Line:
    """`seconds` is from opening to the last entry; `details` are the operation's own (release, commit, …)."""

    environment: str
    run: str
    operation: str
    status: str
    by: str
    started: str
    ended: str = ""
    seconds: float = 0.0
    dry_run: bool = False
    attempts: int = 1
    plan: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def write(store: Store, line: Line) -> None:
    """Write the line of a run, in place of what it was before."""
    told = clean({name: value for name, value in asdict(line).items() if name not in ("environment", "run")})
    store.put(
        "ledger",
        {"environment": {"S": line.environment}, "run": {"S": line.run}, "content": {"S": json.dumps(told)}},
    )


def read(store: Store, environment: str, limit: int | None = None) -> list[Line]:
    """The newest first; `environment` is `platform/environment`."""
    items = store.query("ledger", environment, newest_first=True, limit=limit)
    return [Line(environment=environment, run=text(item, "run"), **content(item)) for item in items]


def find(store: Store, environment: str, run: str) -> Line | None:
    item = store.get("ledger", environment=environment, run=run)
    return Line(environment=environment, run=run, **content(item)) if item is not None else None


def amend(store: Store, line: Line, **changes: Any) -> Line:
    """Write the line with these changes, and return it."""
    changed = replace(line, **changes)
    write(store, changed)
    return changed
