"""Every alarm, fired by the fault that it is for: the table alarm → fault → fired after → cleared after."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from dock.home import Home
from drydock.errors import DrydockError
from drydock.rehearse.faults import CannotBeRehearsed, Fault, faults
from drydock.rehearse.stage import Stage

# Before a fault: so long may what was there before take to clear.
SETTLE_SECONDS = 300.0
FIRE_SECONDS = 300.0
CLEAR_SECONDS = 300.0
# After the last one: until users are served again.
REPAIR_SECONDS = 180.0
# After a period's end until its alarms have surely been evaluated.
_JUDGED_SECONDS = 15.0
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Row:
    """What became of one alarm under one fault. Times in seconds from the moment at which the fault was in place, and
    from that at which it was gone; an alarm that was quicker than the fault took to come or to go has 0."""

    alarm: str
    fault: str
    fired_after: float | None = None
    cleared_after: float | None = None
    verdict: str = "passed"

    @property
    def passed(self) -> bool:
        return self.verdict == "passed"


def rehearse(home: Home, stack: str, only: Collection[str] | None, *, as_json: bool) -> bool:
    """Play all faults (those that fire one of `only`), print the table, and tell whether all went as it should.

    Raises DrydockError when the environment isn't there, or `only` names no alarm of it.
    """
    stage = Stage.open(home, stack)
    names = stage.target.manifest.alarms.names
    if unknown := sorted(set(only or ()) - names.keys()):
        raise DrydockError(f"there is no alarm {unknown[0]}; there are {', '.join(sorted(names))}")
    known = faults(stage)
    chosen = [fault for fault in known if only is None or set(fault.fires) & set(only)]
    began = time.monotonic()
    rehearsal = _Rehearsal(stage, quiet=as_json)
    rows = rehearsal.play(chosen)
    covered = {key for fault in known for key in fault.fires}
    rows += [Row(key, "-", verdict="not rehearsed: no fault fires it") for key in sorted(names.keys() - covered)]
    if only is not None:
        rows = [row for row in rows if row.alarm in only]
    if problem := _unrepaired(stage):
        rows.append(Row("-", "-", verdict=problem))
    _print(rows, time.monotonic() - began, as_json=as_json)
    return all(row.passed for row in rows)


class _Rehearsal:
    def __init__(self, stage: Stage, *, quiet: bool) -> None:
        self._stage = stage
        self._names = stage.target.manifest.alarms.names
        self._quiet = quiet
        self._over = threading.Event()

    def play(self, chosen: list[Fault]) -> list[Row]:
        """One act after the other, the faults of an act at once. A signal ends it, and every fault is taken back."""
        before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        rows: list[Row] = []
        try:
            for act in sorted({fault.act for fault in chosen}):
                playing = [fault for fault in chosen if fault.act == act]
                with ThreadPoolExecutor(len(playing)) as pool:
                    running = [pool.submit(self._fault, fault) for fault in playing]
                    try:
                        for each in running:
                            rows += each.result()
                    except BaseException:
                        # The threads take their faults back before the pool lets go.
                        self._over.set()
                        raise
        finally:
            signal.signal(signal.SIGTERM, before)
        return rows

    def _fault(self, fault: Fault) -> list[Row]:
        self._say(f"waiting until {', '.join(fault.fires)} are quiet")
        noisy = self._await(fault.fires, {"OK", "INSUFFICIENT_DATA"}, SETTLE_SECONDS, since=0.0)[1]
        if noisy:
            why = "not rehearsed: it was in ALARM already"
            return [Row(key, fault.says, verdict=why if key in noisy else "not rehearsed") for key in fault.fires]
        started = time.time()
        try:
            with fault.inject(self._stage):
                placed = time.time()
                self._say(f"{fault.says}: in place after {placed - started:.0f} s")
                if fault.silent:
                    return self._silent(fault)
                fired, missing = self._await(fault.fires, {"ALARM"}, FIRE_SECONDS, since=started)
        except CannotBeRehearsed as problem:
            return [Row(key, fault.says, verdict=f"not rehearsed: {problem}") for key in fault.fires]
        except Exception as problem:
            why = f"not rehearsed: {type(problem).__name__}: {problem}"
            return [Row(key, fault.says, verdict=why) for key in fault.fires]
        gone = time.time()
        self._say(f"{fault.says}: taken back after {gone - placed:.0f} s")
        cleared, stuck = self._await(fault.fires, {"OK"}, CLEAR_SECONDS, since=placed)
        return [
            Row(
                key,
                fault.says,
                max(0.0, fired[key] - placed) if key in fired else None,
                max(0.0, cleared[key] - gone) if key in cleared else None,
                "did not fire" if key in missing else "did not clear" if key in stuck else "passed",
            )
            for key in fault.fires
        ]

    def _silent(self, fault: Fault) -> list[Row]:
        """Watch until the period is judged: an alarm that is to stay silent must be seen to be."""
        periods = [
            int(alarm.get("Period", 60))
            for alarm in self._stage.alarms([self._names[key] for key in fault.fires]).values()
        ]
        fired, _ = self._await(fault.fires, {"ALARM"}, 2.0 * max(periods), since=time.time())
        return [
            Row(key, fault.says, verdict="fired, and should not have" if key in fired else "passed")
            for key in fault.fires
        ]

    def _await(
        self, keys: Collection[str], states: set[str], seconds: float, *, since: float
    ) -> tuple[dict[str, float], set[str]]:
        """When each alarm came into one of these states (seconds since the epoch, not before `since`), and those that
        did not within the time."""
        wanted = {self._names[key]: key for key in keys}
        reached: dict[str, float] = {}
        deadline = time.monotonic() + seconds
        while set(reached) != set(keys) and time.monotonic() < deadline and not self._over.is_set():
            for name, alarm in self._stage.alarms([name for name, key in wanted.items() if key not in reached]).items():
                if alarm["StateValue"] in states:
                    at = alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"]
                    reached[wanted[name]] = max(since, at.timestamp())
            time.sleep(_LOOK_SECONDS)
        if self._over.is_set():
            raise KeyboardInterrupt
        return reached, set(keys) - set(reached)

    def _say(self, text: str) -> None:
        if not self._quiet:
            print(f"  {time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def _unrepaired(stage: Stage) -> str | None:
    """What is still wrong for users when all faults are gone; None when they are served."""
    said = "no answer"
    deadline = time.monotonic() + REPAIR_SECONDS
    with stage.target.http(timeout=5) as client:
        while time.monotonic() < deadline:
            try:
                answer = client.get(stage.service.url + stage.service.health_path)
            except httpx.HTTPError as problem:
                said = str(problem)
            else:
                if answer.status_code == 200:
                    return None
                said = f"{answer.status_code} {answer.text[:200]}"
            time.sleep(0.5)
    return f"the service is not well again {REPAIR_SECONDS:.0f} s after the last fault: {said}"


def _print(rows: list[Row], seconds: float, *, as_json: bool) -> None:
    if as_json:
        document: dict[str, Any] = {
            "schema_version": 1,
            "passed": all(row.passed for row in rows),
            "seconds": round(seconds, 1),
            "alarms": [dataclasses.asdict(row) for row in rows],
        }
        print(json.dumps(document, indent=2))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("alarm", "fault", "fired after", "cleared after", ""):
        table.add_column(column, overflow="fold", justify="right" if column.endswith("after") else "left")
    for row in rows:
        table.add_row(row.alarm, row.fault, _seconds(row.fired_after), _seconds(row.cleared_after), row.verdict)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    good = sum(row.passed for row in rows)
    print(f"\n{good} of {len(rows)} passed in {seconds:.0f} s, measured in the dock")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"
