"""The control plane's records: durable before they are acknowledged, fast to read."""

from __future__ import annotations

import builtins
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

Record = dict[str, Any]


class Scope(NamedTuple):
    """Where a record lives. Global things (for example a process) use `EVERYWHERE`."""

    account: str
    region: str


EVERYWHERE = Scope("", "")


class Store:
    """One SQLite file in WAL mode with full syncs: a `put` that returned survives SIGKILL and a power cut.

    Reads come from memory: each table's records are loaded once and kept as JSON text, so a caller gets a
    copy of its own each time. Values are what JSON knows; times are kept as floats (seconds since the epoch, UTC).
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._undo: list[tuple[Table, tuple[Scope, str], str | None]] = []
        self._tables: dict[str, Table] = {}
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        path.chmod(0o600)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS record (kind TEXT, account TEXT, region TEXT, id TEXT, body TEXT NOT NULL,"
            " PRIMARY KEY (kind, account, region, id)) WITHOUT ROWID"
        )

    def table(self, kind: str) -> Table:
        """The table of one kind of record, for example `rds/instance`."""
        with self._lock:
            if kind not in self._tables:
                self._tables[kind] = Table(self, kind)
            return self._tables[kind]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All puts and deletes inside become durable together, or none does. Don't await inside."""
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._undo.clear()
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    self._rollback()
                raise
            else:
                if self._depth == 1:
                    try:
                        self._connection.execute("COMMIT")
                    except sqlite3.Error:
                        self._rollback()
                        raise
            finally:
                self._depth -= 1

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        for table, key, before in reversed(self._undo):
            table.restore(key, before)

    def write(self, table: Table, scope: Scope, identifier: str, before: str | None, body: str | None) -> None:
        """Used by `Table` alone, inside a transaction."""
        self._undo.append((table, (scope, identifier), before))
        if body is None:
            self._connection.execute(
                "DELETE FROM record WHERE kind=? AND account=? AND region=? AND id=?",
                (table.kind, *scope, identifier),
            )
        else:
            self._connection.execute(
                "INSERT INTO record VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET body=excluded.body",
                (table.kind, *scope, identifier, body),
            )

    def read(self, kind: str) -> list[tuple[Scope, str, str]]:
        """Used by `Table` alone, once."""
        rows = self._connection.execute("SELECT account, region, id, body FROM record WHERE kind=?", (kind,))
        return [(Scope(account, region), identifier, body) for account, region, identifier, body in rows]

    def close(self) -> None:
        with self._lock:
            self._connection.close()


class Table:
    """The records of one kind, by scope and id."""

    def __init__(self, store: Store, kind: str) -> None:
        self.kind = kind
        self._store = store
        self._bodies = {(scope, identifier): body for scope, identifier, body in store.read(kind)}

    def get(self, scope: Scope, identifier: str) -> Record | None:
        """A copy of the record, or None."""
        body = self._bodies.get((scope, identifier))
        return None if body is None else json.loads(body)

    def put(self, scope: Scope, identifier: str, record: Record) -> None:
        """Insert or replace; durable when this returns, unless inside `Store.transaction`."""
        self._change(scope, identifier, json.dumps(record, separators=(",", ":")))

    def delete(self, scope: Scope, identifier: str) -> None:
        """Remove the record; nothing happens when there is none."""
        if (scope, identifier) in self._bodies:
            self._change(scope, identifier, None)

    def list(self, scope: Scope) -> list[Record]:
        """Copies of all records of a scope, by id."""
        found = sorted((key[1], body) for key, body in self._bodies.items() if key[0] == scope)
        return [json.loads(body) for _, body in found]

    def all(self) -> builtins.list[tuple[Scope, str, Record]]:
        """Copies of all records of every scope."""
        return [(scope, identifier, json.loads(body)) for (scope, identifier), body in self._bodies.items()]

    def restore(self, key: tuple[Scope, str], body: str | None) -> None:
        """Used by `Store` alone, when a transaction is undone."""
        if body is None:
            self._bodies.pop(key, None)
        else:
            self._bodies[key] = body

    def _change(self, scope: Scope, identifier: str, body: str | None) -> None:
        with self._store.transaction():
            key = (scope, identifier)
            self._store.write(self, scope, identifier, self._bodies.get(key), body)
            self.restore(key, body)
