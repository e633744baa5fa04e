"""Where log events are kept: one SQLite file beside the control plane's, since events are many and records are few."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dock.store import Scope

# What CloudWatch Logs counts for each event beside its message.
EVENT_OVERHEAD_BYTES = 26
_SCHEMA = """
CREATE TABLE IF NOT EXISTS log_group (
    id INTEGER PRIMARY KEY, account TEXT, region TEXT, name TEXT, created INTEGER, retention INTEGER, kms_key TEXT,
    class TEXT, protected INTEGER, tags TEXT, UNIQUE (account, region, name));
CREATE TABLE IF NOT EXISTS log_stream (
    id INTEGER PRIMARY KEY, log_group INTEGER, name TEXT, created INTEGER, first INTEGER, last INTEGER,
    ingested INTEGER, bytes INTEGER DEFAULT 0, UNIQUE (log_group, name));
CREATE TABLE IF NOT EXISTS log_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, log_group INTEGER, log_stream INTEGER, timestamp INTEGER,
    ingested INTEGER, message TEXT);
CREATE INDEX IF NOT EXISTS event_of_stream ON log_event (log_stream, timestamp, id);
CREATE INDEX IF NOT EXISTS event_of_group ON log_event (log_group, timestamp, id);
CREATE TABLE IF NOT EXISTS source (name TEXT PRIMARY KEY, position INTEGER);
"""


@dataclass(frozen=True, slots=True)
class Group:
    """A log group. Times are milliseconds since the epoch, `retention` is in days (None: for ever)."""

    id: int
    scope: Scope
    name: str
    created: int
    retention: int | None
    kms_key: str | None
    kind: str
    protected: bool
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class Stream:
    """A log stream; `first`, `last` and `ingested` are None until it has an event."""

    id: int
    name: str
    created: int
    first: int | None
    last: int | None
    ingested: int | None
    bytes: int


@dataclass(frozen=True, slots=True)
class Event:
    """One log event; `(timestamp, id)` is its place."""

    id: int
    stream: int
    timestamp: int
    ingested: int
    message: str

    @property
    def place(self) -> tuple[int, int]:
        return self.timestamp, self.id


class Archive:
    """Every method blocks (use a thread) and may be called from several threads; writes are durable on return."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / "events.sqlite"
        self._writer = self._connect()
        self._writer.executescript("PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;" + _SCHEMA)
        self._reader = self._connect()
        self._writing = threading.Lock()
        self._reading = threading.Lock()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=10)
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def close(self) -> None:
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                raise

    def _rows(self, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with self._reading:
            return self._reader.execute(query, parameters).fetchall()

    # groups

    def groups(self, scope: Scope, prefix: str = "") -> list[Group]:
        """Groups of a scope by name."""
        rows = self._rows("SELECT * FROM log_group WHERE account=? AND region=? ORDER BY name", scope)
        return [_group(row) for row in rows if row[3].startswith(prefix)]

    def group(self, scope: Scope, name: str) -> Group | None:
        rows = self._rows("SELECT * FROM log_group WHERE account=? AND region=? AND name=?", (*scope, name))
        return _group(rows[0]) if rows else None

    def create_group(
        self, scope: Scope, name: str, now: int, kms_key: str | None, kind: str, protected: bool, tags: dict[str, str]
    ) -> bool:
        """False when there is one of this name."""
        with self._transaction() as connection:
            made = connection.execute(
                "INSERT OR IGNORE INTO log_group (account, region, name, created, kms_key, class, protected, tags)"
                " VALUES (?,?,?,?,?,?,?,?)",
                (*scope, name, now, kms_key, kind, protected, json.dumps(tags)),
            )
            return made.rowcount == 1

    def update_group(self, group: Group, **columns: Any) -> None:
        """Set `retention`, `kms_key`, `protected` or `tags` (a dict)."""
        if "tags" in columns:
            columns["tags"] = json.dumps(columns["tags"])
        with self._transaction() as connection:
            for column, value in columns.items():
                assert column in ("retention", "kms_key", "protected", "tags")
                connection.execute(f"UPDATE log_group SET {column}=? WHERE id=?", (value, group.id))  # noqa: S608

    def delete_group(self, group: Group) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM log_event WHERE log_group=?", (group.id,))
            connection.execute("DELETE FROM log_stream WHERE log_group=?", (group.id,))
            connection.execute("DELETE FROM log_group WHERE id=?", (group.id,))

    def stored_bytes(self, group: Group) -> int:
        return int(self._rows("SELECT COALESCE(SUM(bytes), 0) FROM log_stream WHERE log_group=?", (group.id,))[0][0])

    # streams

    def streams(self, group: Group, prefix: str = "") -> list[Stream]:
        """Streams of a group by name."""
        rows = self._rows("SELECT * FROM log_stream WHERE log_group=? ORDER BY name", (group.id,))
        return [_stream(row) for row in rows if row[2].startswith(prefix)]

    def stream(self, group: Group, name: str) -> Stream | None:
        rows = self._rows("SELECT * FROM log_stream WHERE log_group=? AND name=?", (group.id, name))
        return _stream(rows[0]) if rows else None

    def create_stream(self, group: Group, name: str, now: int) -> bool:
        """False when there is one of this name."""
        with self._transaction() as connection:
            return _insert_stream(connection, group, name, now)

    def delete_stream(self, stream: Stream) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM log_event WHERE log_stream=?", (stream.id,))
            connection.execute("DELETE FROM log_stream WHERE id=?", (stream.id,))

    # events

    def append(
        self,
        group: Group,
        stream: str,
        events: Sequence[tuple[int, str]],
        now: int,
        *,
        create: bool,
        source: tuple[str, int] | None,
    ) -> bool:
        """Add (timestamp, message) pairs; False when the stream isn't there and `create` isn't set.

        `source` is (name, position): how far what is copied into the archive has been read. It becomes durable with the
        events, or not at all, so that after a crash nothing is copied twice or left out.
        """
        with self._transaction() as connection:
            if create:
                _insert_stream(connection, group, stream, now)
            found = connection.execute(
                "SELECT id FROM log_stream WHERE log_group=? AND name=?", (group.id, stream)
            ).fetchone()
            if found is None:
                return False
            if events:
                connection.executemany(
                    "INSERT INTO log_event (log_group, log_stream, timestamp, ingested, message) VALUES (?,?,?,?,?)",
                    [(group.id, found[0], timestamp, now, message) for timestamp, message in events],
                )
                first, last = min(events)[0], max(events)[0]
                size = sum(len(message.encode()) + EVENT_OVERHEAD_BYTES for _, message in events)
                connection.execute(
                    "UPDATE log_stream SET first=MIN(COALESCE(first,?),?), last=MAX(COALESCE(last,?),?), ingested=?,"
                    " bytes=bytes+? WHERE id=?",
                    (first, first, last, last, now, size, found[0]),
                )
            if source is not None:
                connection.execute(
                    "INSERT INTO source VALUES (?,?) ON CONFLICT DO UPDATE SET position=excluded.position", source
                )
            return True

    def position(self, source: str) -> int:
        """How far this source has been copied; 0 when nothing was."""
        rows = self._rows("SELECT position FROM source WHERE name=?", (source,))
        return int(rows[0][0]) if rows else 0

    def forget(self, source: str) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM source WHERE name=?", (source,))

    def events(
        self,
        group: Group,
        streams: Sequence[int] | None,
        *,
        start: int,
        end: int,
        after: tuple[int, int] | None = None,
        before: tuple[int, int] | None = None,
        backward: bool = False,
        limit: int,
        matches: Callable[[str], bool] | None = None,
    ) -> list[Event]:
        """Up to `limit` events with start <= timestamp < end in the order of their places (with `backward` the last
        ones, still in that order), of all streams of the group or of those with these ids."""
        conditions = ["timestamp >= ?", "timestamp < ?"]
        parameters: list[Any] = [start, end]
        if streams is None:
            conditions.append("log_group = ?")
            parameters.append(group.id)
        else:
            conditions.append(f"log_stream IN ({','.join('?' * len(streams))})")
            parameters.extend(streams)
        for place, comparison in ((after, ">"), (before, "<")):
            if place is not None:
                conditions.append(f"(timestamp, id) {comparison} (?, ?)")
                parameters.extend(place)
        order = "DESC" if backward else "ASC"
        query = (
            "SELECT id, log_stream, timestamp, ingested, message FROM log_event"  # noqa: S608
            f" WHERE {' AND '.join(conditions)} ORDER BY timestamp {order}, id {order}"
        )
        found: list[Event] = []
        with self._reading:
            for row in self._reader.execute(query, parameters):
                if matches is None or matches(row[4]):
                    found.append(Event(*row))
                    if len(found) >= limit:
                        break
        return found[::-1] if backward else found

    def expire(self, now: int) -> int:
        """Delete what is older than its group keeps; returns how many events."""
        count = 0
        for identifier, retention in self._rows("SELECT id, retention FROM log_group WHERE retention IS NOT NULL"):
            limit = now - retention * 86_400_000
            while True:
                # In pieces, so that writers don't wait for long.
                with self._transaction() as connection:
                    rows = connection.execute(
                        "SELECT id, log_stream, message FROM log_event WHERE log_group=? AND timestamp<? LIMIT 5000",
                        (identifier, limit),
                    ).fetchall()
                    connection.executemany("DELETE FROM log_event WHERE id=?", [(row[0],) for row in rows])
                    connection.executemany(
                        "UPDATE log_stream SET bytes=MAX(0, bytes-?) WHERE id=?",
                        [(len(row[2].encode()) + EVENT_OVERHEAD_BYTES, row[1]) for row in rows],
                    )
                count += len(rows)
                if len(rows) < 5000:
                    break
        if count:
            with self._writing:
                self._writer.execute("PRAGMA incremental_vacuum")
        return count


def _insert_stream(connection: sqlite3.Connection, group: Group, name: str, now: int) -> bool:
    made = connection.execute(
        "INSERT OR IGNORE INTO log_stream (log_group, name, created) VALUES (?,?,?)", (group.id, name, now)
    )
    return made.rowcount == 1


def _group(row: Any) -> Group:
    identifier, account, region, name, created, retention, kms_key, kind, protected, tags = row
    return Group(
        identifier, Scope(account, region), name, created, retention, kms_key, kind, bool(protected), json.loads(tags)
    )


def _stream(row: Any) -> Stream:
    identifier, _, name, created, first, last, ingested, size = row
    return Stream(identifier, name, created, first, last, ingested, size)
