"""Where metrics are kept: one SQLite file beside the control plane's, written in batches."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dock.aws.cloudwatch.datum import Metric
from dock.aws.cloudwatch.distribution import Distribution
from dock.store import Scope

_HOUR, _DAY = 3600, 86400
# How long a bucket of each width is kept, and the width that it is rolled up to afterwards; in seconds. AWS's own
# (CloudWatch user guide, "Metrics retention").
RETENTION: dict[int, tuple[int, int | None]] = {
    1: (3 * _HOUR, 60),
    60: (15 * _DAY, 300),
    300: (63 * _DAY, _HOUR),
    _HOUR: (455 * _DAY, None),
}
# No alarm looks back further.
_OUTAGE_SECONDS = 8 * _DAY
# The oldest data goes when the file is larger.
MOST_BYTES = 1 << 30
# More than this is written at once, not only with the next batch.
_MOST_PENDING = 20_000
_PIECE = 5000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, account TEXT, region TEXT, namespace TEXT, name TEXT, dimensions TEXT, last REAL,
    UNIQUE (account, region, namespace, name, dimensions));
CREATE TABLE IF NOT EXISTS bucket (
    series INTEGER, start INTEGER, width INTEGER, unit TEXT, count REAL, total REAL, low REAL, high REAL, samples BLOB,
    PRIMARY KEY (series, start, width, unit)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS bucket_by_age ON bucket (width, start);
CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, value REAL);
CREATE TABLE IF NOT EXISTS outage (begun REAL, ended REAL);
"""


class Bucket(NamedTuple):
    """The samples of `width` seconds from `start` (seconds since the epoch), of one unit."""

    start: int
    width: int
    unit: str
    samples: Distribution


class Outage(NamedTuple):
    """From when to when the dock was down, in seconds since the epoch."""

    begun: float
    ended: float


@dataclass(slots=True)
class _Series:
    id: int
    last: float


class Archive:
    """Every method may be called from several threads, and all but `add` block for a disk.

    What was added is on disk after the next `flush` (the service flushes each second): a SIGKILL loses at most what
    came since. Reads see everything that was added.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._connection = sqlite3.connect(
            folder / "metrics.sqlite", isolation_level=None, check_same_thread=False, timeout=10
        )
        self._connection.executescript(
            "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA
        )
        self._disk = threading.RLock()
        self._memory = threading.Lock()
        self._pending: dict[tuple[Metric, int, int, str], Distribution] = {}
        self._series = {
            Metric(Scope(row[1], row[2]), row[3], row[4], _dimensions(row[5])): _Series(row[0], row[6])
            for row in self._connection.execute("SELECT * FROM series")
        }

    def close(self) -> None:
        with self._disk:
            self.flush()
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._disk:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def add(self, metric: Metric, at: float, width: int, unit: str, samples: Distribution) -> None:
        """Add samples at a time (seconds since the epoch) to the bucket of `width` seconds (1 or 60) around it."""
        key = (metric, int(at // width * width), width, unit)
        with self._memory:
            found = self._pending.get(key)
            if found is None:
                self._pending[key] = samples.copy()
            else:
                found.add(samples)
            full = len(self._pending) >= _MOST_PENDING
        if full:
            self.flush()

    def flush(self, alive: float | None = None) -> None:
        """Write what was added. `alive` is kept as the moment until which the dock is known to have run."""
        with self._disk:
            with self._memory:
                pending, self._pending = self._pending, {}
            if not pending and alive is None:
                return
            try:
                with self._transaction() as connection:
                    for (metric, start, width, unit), samples in pending.items():
                        series = self._series_of(connection, metric)
                        _merge(connection, series.id, Bucket(start, width, unit, samples))
                        if start > series.last:
                            series.last = start
                            connection.execute("UPDATE series SET last=? WHERE id=?", (start, series.id))
                    if alive is not None:
                        self._mark(connection, "alive", alive)
            except BaseException:
                # Kept for the next try: what a full disk refuses now, it may take later.
                with self._memory:
                    for key, samples in self._pending.items():
                        if key in pending:
                            pending[key].add(samples)
                        else:
                            pending[key] = samples
                    self._pending = pending
                self._series = {metric: series for metric, series in self._series.items() if self._known(series)}
                raise

    def _known(self, series: _Series) -> bool:
        return bool(self._connection.execute("SELECT 1 FROM series WHERE id=?", (series.id,)).fetchone())

    def _series_of(self, connection: sqlite3.Connection, metric: Metric) -> _Series:
        found = self._series.get(metric)
        if found is None:
            made = connection.execute(
                "INSERT INTO series (account, region, namespace, name, dimensions, last) VALUES (?,?,?,?,?,0)",
                (*metric.scope, metric.namespace, metric.name, json.dumps(metric.dimensions)),
            )
            assert made.lastrowid is not None
            found = self._series[metric] = _Series(made.lastrowid, 0.0)
        return found

    @staticmethod
    def _mark(connection: sqlite3.Connection, name: str, value: float) -> None:
        connection.execute(
            "INSERT INTO mark VALUES (?,?) ON CONFLICT DO UPDATE SET value=excluded.value", (name, value)
        )

    def alive(self) -> float | None:
        """Until when an earlier dock is known to have run; None when none did."""
        with self._disk:
            row = self._connection.execute("SELECT value FROM mark WHERE name='alive'").fetchone()
        return row[0] if row else None

    def outages(self, now: float, latest: Outage | None) -> list[Outage]:
        """The outages of the last days, with the latest, which is written down."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM outage WHERE ended<?", (now - _OUTAGE_SECONDS,))
            if latest is not None:
                connection.execute("INSERT INTO outage VALUES (?,?)", latest)
                self._mark(connection, "alive", latest.ended)
            return [Outage(*row) for row in connection.execute("SELECT begun, ended FROM outage")]

    def read(self, metric: Metric, start: float, end: float) -> list[Bucket]:
        """The buckets that begin in [start, end), by time."""
        with self._disk:
            self.flush()
            series = self._series.get(metric)
            if series is None:
                return []
            rows = self._connection.execute(
                "SELECT start, width, unit, count, total, low, high, samples FROM bucket"
                " WHERE series=? AND start>=? AND start<? ORDER BY start",
                (series.id, start, end),
            ).fetchall()
        return [Bucket(row[0], row[1], row[2], Distribution.unpacked(*row[3:])) for row in rows]

    def metrics(self, scope: Scope, since: float) -> list[Metric]:
        """The metrics of a scope that have data at or after a time (seconds since the epoch), sorted."""
        with self._disk:
            self.flush()
            return sorted(
                metric for metric, series in self._series.items() if metric.scope == scope and series.last >= since
            )

    def tidy(self, now: float) -> int:
        """Roll up and drop what is older than its retention, and the oldest of a file that is too large. Returns how
        many buckets went."""
        gone = 0
        for width, (age, coarser) in RETENTION.items():
            while count := self._roll_up(width, now - age, coarser):
                gone += count
        gone += self._cut()
        with self._transaction() as connection:
            connection.execute("DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM bucket WHERE series=series.id)")
            kept = {row[0] for row in connection.execute("SELECT id FROM series")}
            self._series = {metric: series for metric, series in self._series.items() if series.id in kept}
        if gone:
            with self._disk:
                self._connection.execute("PRAGMA incremental_vacuum")
        return gone

    def _roll_up(self, width: int, before: float, coarser: int | None) -> int:
        # In pieces, so that nobody waits for long.
        with self._transaction() as connection:
            rows: list[Any] = connection.execute(
                "SELECT series, start, unit, count, total, low, high, samples FROM bucket"
                " WHERE width=? AND start<? ORDER BY start LIMIT ?",
                (width, before, _PIECE),
            ).fetchall()
            if coarser is not None:
                merged: dict[tuple[int, int, str], Distribution] = {}
                for series, start, unit, *figures in rows:
                    samples = Distribution.unpacked(*figures)
                    key = (series, start // coarser * coarser, unit)
                    if key in merged:
                        merged[key].add(samples)
                    else:
                        merged[key] = samples
                for (series, start, unit), samples in merged.items():
                    _merge(connection, series, Bucket(start, coarser, unit, samples))
            connection.executemany(
                "DELETE FROM bucket WHERE series=? AND start=? AND width=? AND unit=?",
                [(series, start, width, unit) for series, start, unit, *_ in rows],
            )
        return len(rows)

    def _cut(self) -> int:
        gone = 0
        while self._bytes() > MOST_BYTES:
            with self._transaction() as connection:
                oldest = connection.execute("SELECT start FROM bucket ORDER BY start LIMIT 1 OFFSET ?", (_PIECE,))
                row = oldest.fetchone()
                if row is None:
                    break
                gone += connection.execute("DELETE FROM bucket WHERE start<=?", row).rowcount
        return gone

    def _bytes(self) -> int:
        with self._disk:
            pages, free, size = (
                self._connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)


def _dimensions(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(text))


def _merge(connection: sqlite3.Connection, series: int, bucket: Bucket) -> None:
    key = (series, bucket.start, bucket.width, bucket.unit)
    row = connection.execute(
        "SELECT count, total, low, high, samples FROM bucket WHERE series=? AND start=? AND width=? AND unit=?", key
    ).fetchone()
    samples = bucket.samples
    if row is not None:
        samples = Distribution.unpacked(*row)
        samples.add(bucket.samples)
    connection.execute(
        "INSERT OR REPLACE INTO bucket VALUES (?,?,?,?,?,?,?,?,?)",
        (*key, samples.count, samples.total, samples.low, samples.high, samples.packed()),
    )
