"""A client that commits one row after the other, and remembers which commits were acknowledged."""

from __future__ import annotations

import itertools
import threading
import time
from types import TracebackType

import psycopg

from tests.dock.rds.rig import Instance, until


class Writer:
    """Writes in a thread until the `with` block ends; reconnects as an application does."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._options = {"connect_timeout": 2}
        self.acknowledged: list[tuple[int, float]] = []
        """(number, time.monotonic()) of each acknowledged commit."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        instance.execute("CREATE TABLE IF NOT EXISTS written (n bigint PRIMARY KEY)")
        self._first: int = instance.query("SELECT coalesce(max(n), 0) FROM written")
        described = instance.describe()
        self._options |= {"host": described["Endpoint"]["Address"], "port": described["Endpoint"]["Port"]}

    def __enter__(self) -> Writer:
        self._thread.start()
        self.wait_for_more()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(20)

    def wait_for_more(self, count: int = 50, seconds: float = 60) -> None:
        """Until that many commits more were acknowledged."""
        before = len(self.acknowledged)
        until(lambda: len(self.acknowledged) >= before + count, seconds, f"{count} more commits")

    def outage(self) -> float:
        """The longest time in seconds between two acknowledged commits."""
        times = [moment for _, moment in self.acknowledged]
        return max(after - before for before, after in itertools.pairwise(times))

    def lost(self) -> set[int]:
        """Acknowledged rows that the database does not have now."""
        with self._instance.connect() as connection:
            kept = {row[0] for row in connection.execute("SELECT n FROM written")}
        return {number for number, _ in self.acknowledged} - kept

    def _write(self) -> None:
        number = self._first
        while not self._ended.is_set():
            try:
                with self._instance.connect_directly(**self._options) as connection:
                    while not self._ended.is_set():
                        number += 1
                        connection.execute("INSERT INTO written VALUES (%s)", [number])
                        self.acknowledged.append((number, time.monotonic()))
            except psycopg.Error:
                time.sleep(0.05)
