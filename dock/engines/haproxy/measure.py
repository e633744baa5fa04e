"""What went through a load balancer: counters that go on over reloads, and times by their distribution."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dock.engines.haproxy.model import Target
from dock.engines.haproxy.render import NEXT, OPEN

_TIME_ROW = re.compile(r"key=(\S+)/(\d+) .*gpc0=(\d+)")
_WHOLE, _PASSED = "the whole", "passed on"
_COUNTED = (
    "hrsp_2xx",
    "hrsp_3xx",
    "hrsp_4xx",
    "hrsp_5xx",
    "req_tot",
    "econ",
    "bin",
    "bout",
    "conn_tot",
    "connect",
)


@dataclass(frozen=True, slots=True)
class Health:
    """What HAProxy's checks say of a target. `check` is its code of the last result: L7OK, L7STS, L4CON, L7TOUT, …"""

    up: bool
    check: str
    status: int | None
    """The HTTP status that the last check got, when it got one."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Totals that only grow while a daemon runs; a reader takes differences. Times are by millisecond (see `times`)."""

    requests: int = 0
    ok_2xx: int = 0
    redirected_3xx: int = 0
    failed_4xx: int = 0
    failed_5xx: int = 0
    connection_errors: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    connections: int = 0
    """That clients opened, and for a group, that were opened to its targets."""
    times: Mapping[int, int] = field(default_factory=dict)
    """Answers by how many milliseconds the target took: exact below 100, in steps of a tenth above."""


class Meter:
    """Adds up what the workers of one load balancer say they did.

    A worker that ends takes with it what it counted since it was last read; that is at most a second's worth.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], Counter[str]] = {}
        self._totals: dict[str, Counter[str]] = {}
        self._times_seen: dict[tuple[int, str], Counter[int]] = {}
        self._times: dict[str, Counter[int]] = {}
        self.read_at: float | None = None
        """When it was read last (`time.monotonic`); None before the first time."""

    def read_statistics(self, pid: int, rows: Iterable[Mapping[str, str]]) -> None:
        """Add what changed since this worker was read last."""
        self.read_at = time.monotonic()
        for row in rows:
            if row["svname"] == "BACKEND":
                continue
            # What servers answered counts for their group, whichever of its two faces they were in.
            key = _WHOLE if row["svname"] == "FRONTEND" else row["pxname"].removesuffix(OPEN)
            if key.endswith(NEXT):
                key = _PASSED
            now = Counter({name: int(row.get(name) or 0) for name in _COUNTED})
            if row["svname"] != "FRONTEND":
                now["req_tot"] = int(row.get("stot") or 0)
            place = (pid, f"{row['pxname']}/{row['svname']}")
            before = self._seen.get(place, Counter())
            # A server that was removed and came back counts from 0 again.
            self._totals.setdefault(key, Counter()).update(
                {name: now[name] - before[name] if now[name] >= before[name] else now[name] for name in _COUNTED}
            )
            self._seen[place] = now

    def read_times(self, pid: int, table: str) -> None:
        """Add what changed in this worker's table of times."""
        for group, milliseconds, count in _TIME_ROW.findall(table):
            seen = self._times_seen.setdefault((pid, group), Counter())
            bucket, now = int(milliseconds), int(count)
            grown = now - seen[bucket] if now >= seen[bucket] else now
            self._times.setdefault(group, Counter())[bucket] += grown
            seen[bucket] = now

    def forget(self, pids: set[int]) -> None:
        """Drop the last readings of all workers but these."""
        self._seen = {place: counts for place, counts in self._seen.items() if place[0] in pids}
        self._times_seen = {place: counts for place, counts in self._times_seen.items() if place[0] in pids}

    def group(self, name: str) -> Traffic:
        """What a group's targets answered."""
        return _traffic(self._totals.get(name, Counter()), self._times.get(name, Counter()))

    def balancer(self) -> Traffic:
        """What clients got, from targets or from the load balancer itself."""
        times: Counter[int] = Counter()
        for counts in self._times.values():
            times.update(counts)
        return _traffic(self._whole(), times)

    def own(self) -> Traffic:
        """What the load balancer answered itself: the difference of what clients got and what targets answered."""
        groups: Counter[str] = Counter()
        for key, counts in self._totals.items():
            if key not in (_WHOLE, _PASSED):
                groups.update(counts)
        whole = self._whole()
        return _traffic(Counter({name: max(0, whole[name] - groups[name]) for name in _COUNTED}), Counter())

    def _whole(self) -> Counter[str]:
        """What clients sent, without what one worker passed to the next, which both count."""
        whole, passed = self._totals.get(_WHOLE, Counter()), self._totals.get(_PASSED, Counter())
        return Counter({name: max(0, whole[name] - passed[name]) for name in _COUNTED})


def percentile(times: Mapping[int, int], percent: float) -> float | None:
    """The time in seconds within which this share of answers came; None without any."""
    total = sum(times.values())
    reached = 0
    for milliseconds in sorted(times):
        reached += times[milliseconds]
        if reached * 100 >= total * percent:
            return milliseconds / 1000
    return None


def health_of(rows: Iterable[Mapping[str, str]]) -> dict[tuple[str, Target], Health]:
    """Each checked server's health by (group, target), from `show stat`."""
    found = {}
    for row in rows:
        status = row["status"]
        if row["svname"] in ("FRONTEND", "BACKEND") or not row["check_status"] or status.startswith("MAINT"):
            continue
        address, _, port = row["svname"].rpartition(":")
        # While a check runs, its last result is marked with a star.
        check = row["check_status"]
        code = row.get("check_code") or ""
        found[row["pxname"], Target(address, int(port))] = Health(
            status.startswith(("UP", "NOLB")),
            check.removeprefix("* "),
            int(code) if code.isdigit() and check.endswith(("L7OK", "L7STS")) else None,
        )
    return found


def sessions_of(rows: Iterable[Mapping[str, str]], group: str, target: Target) -> int:
    """How many requests this target works on, from `show stat`."""
    faces = (group, group + OPEN)
    return sum(int(row["scur"] or 0) for row in rows if row["pxname"] in faces and row["svname"] == target.name)


def open_connections(rows: Iterable[Mapping[str, str]]) -> int:
    """How many connections there are now, from clients and to targets, from `show stat`."""
    total = 0
    for row in rows:
        if row["svname"] == "FRONTEND":
            total += int(row["scur"] or 0)
        elif row["svname"] != "BACKEND" and not row["pxname"].endswith(NEXT):
            total += int(row.get("used_conn_cur") or 0) + int(row.get("idle_conn_cur") or 0)
    return total


def _traffic(counts: Counter[str], times: Counter[int]) -> Traffic:
    return Traffic(
        requests=counts["req_tot"],
        ok_2xx=counts["hrsp_2xx"],
        redirected_3xx=counts["hrsp_3xx"],
        failed_4xx=counts["hrsp_4xx"],
        failed_5xx=counts["hrsp_5xx"],
        connection_errors=counts["econ"],
        bytes_in=counts["bin"],
        bytes_out=counts["bout"],
        connections=counts["conn_tot"] + counts["connect"],
        times=dict(times),
    )
