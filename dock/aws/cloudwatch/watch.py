"""Evaluates metric alarms when their periods end."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from dock.aws.cloudwatch import messages, statistics
from dock.aws.cloudwatch.archive import Outage
from dock.aws.cloudwatch.book import METRIC, Change
from dock.aws.cloudwatch.datum import Metric, dimensions_of
from dock.aws.cloudwatch.evaluation import (
    EXTRA_PERIODS,
    MISSING,
    Condition,
    Point,
    Verdict,
    enough_samples,
    judge,
)
from dock.aws.cloudwatch.query import MetricQuery, QuerySet
from dock.aws.cloudwatch.series import Grid, Series, computed
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.aws.cloudwatch.alarms import Alarms

log = logging.getLogger(__name__)

# Alarms with periods below a minute are evaluated every 10 s, the others every minute, as on AWS.
FAST_SECONDS, SLOW_SECONDS = 10, 60
# What is published within a second after its period still counts at once; what comes later counts at the next
# evaluation, which looks at all periods again.
GRACE_SECONDS = 1.0
# After a start, engines take a while to report again.
SETTLE_SECONDS = 10.0
_LONGEST_SLEEP = 1.0


class Watch:
    """One round for all alarms whose periods end together. A round that is late skips those it missed: alarms always
    see the newest periods, and never drift."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self.outages: list[Outage] = []
        self.running = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin when the whole dock has started: until then its engines report nothing."""
        alive = self._alarms.archive.alive()
        self._task = self._alarms.cloud.spawn(self._begin(alive), "alarm evaluation")

    async def _begin(self, alive: float | None) -> None:
        await self._alarms.cloud.front_door.until_started()
        self.resume(alive)
        # Only now is everybody there who does actions.
        self._alarms.book.compose_all()
        await self._run()

    def resume(self, alive: float | None) -> None:
        """Take over from a daemon that is known to have run until then (None: there was none)."""
        now = self._alarms.now()
        latest = Outage(alive, now + SETTLE_SECONDS) if alive is not None else None
        self.outages = self._alarms.archive.outages(now, latest)
        self.running = True

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        last = self._boundary()
        while True:
            try:
                boundary = self._boundary()
                if boundary > last:
                    last = boundary
                    await self.round(boundary)
                now, ends = self._alarms.now(), self._alarms.book.next_tick()
                if ends is not None and ends <= now:
                    self._alarms.book.tick(now)
            except Exception:
                log.exception("a round of alarms failed; the next one comes")
            wake = last + FAST_SECONDS + GRACE_SECONDS
            await asyncio.sleep(min(max(wake - self._alarms.now(), 0.01), _LONGEST_SLEEP))

    def _boundary(self) -> int:
        return int((self._alarms.now() - GRACE_SECONDS) // FAST_SECONDS * FAST_SECONDS)

    async def round(self, boundary: int) -> None:
        """Evaluate the alarms whose period ends at this multiple of 10 s since the epoch."""
        due = [
            (scope, record)
            for scope, record in self._alarms.book.everywhere()
            if record["kind"] == METRIC
            and boundary % (FAST_SECONDS if _period(record) < SLOW_SECONDS else SLOW_SECONDS) == 0
            # Who watches a region goes down with it.
            and not self._alarms.cloud.faults.region_is_down(scope.region, scope.account)
        ]
        if not due:
            return
        verdicts = await asyncio.to_thread(self._judge, due, boundary)
        changes, staying = [], []
        for (scope, record), verdict in zip(due, verdicts, strict=True):
            name = record["AlarmName"]
            current = self._alarms.book.get(scope, name)
            changed = "AlarmConfigurationUpdatedTimestamp"
            if current is None or current[changed] != record[changed]:
                continue
            if verdict is not None and verdict.state != current["StateValue"]:
                data = _reason_data(record, verdict, self._alarms.now())
                changes.append(Change(scope, name, verdict.state, verdict.reason, data, self._alarms.now()))
            elif boundary % _period(record) == 0:
                staying.append((scope, current))
        if changes:
            self._alarms.book.change(changes)
        for scope, record in staying:
            await self._alarms.actions.repeat(scope, record)

    def _judge(self, due: list[tuple[Scope, Record]], boundary: int) -> list[Verdict | None]:
        found: list[Verdict | None] = []
        for scope, record in due:
            try:
                found.append(self._verdict(scope, record, boundary))
            except Exception:
                log.exception("the alarm %s could not be evaluated", record["AlarmName"])
                found.append(None)
        return found

    def _verdict(self, scope: Scope, record: Record, boundary: int) -> Verdict | None:
        periods, period = record["EvaluationPeriods"], _period(record)
        grid = Grid(boundary - (periods + EXTRA_PERIODS) * period, boundary, period)
        condition = Condition(
            record["ComparisonOperator"],
            record["Threshold"],
            periods,
            record.get("DatapointsToAlarm") or periods,
            record.get("TreatMissingData", MISSING),
        )
        points = self._points(scope, record, grid)
        verdict = judge(points, condition, self._unknown(grid))
        if verdict is None or record.get("EvaluateLowSampleCountPercentile") != "ignore":
            return verdict
        percentile = statistics.parse(record["ExtendedStatistic"]).percentile
        samples = sum(point.samples or 0 for point in verdict.evaluated)
        return verdict if percentile is None or enough_samples(percentile, samples) else None

    def _points(self, scope: Scope, record: Record, grid: Grid) -> list[Point]:
        if "Metrics" in record:
            asked = QuerySet.of(scope, record["Metrics"])
            series = asked.evaluate(self._alarms.archive, lambda _: grid)[asked.returned[0]]
            assert isinstance(series, Series)
            return [Point(at, series.points.get(at)) for at in grid.times()]
        query = _query(scope, record)
        samples = query.samples(self._alarms.archive, grid)
        values = computed(samples, query.statistic)
        return [Point(at, values.get(at), samples[at].count if at in samples else None) for at in grid.times()]

    def _unknown(self, grid: Grid) -> set[int]:
        """The periods in which the dock was down: nothing could be published then."""
        return {
            at
            for at in grid.times()
            if any(at < outage.ended and at + grid.period > outage.begun for outage in self.outages)
        }


def _query(scope: Scope, record: Record) -> MetricQuery:
    dimensions = dimensions_of({one["Name"]: one["Value"] for one in record["Dimensions"]})
    return MetricQuery(
        Metric(scope, record["Namespace"], record["MetricName"], dimensions),
        statistics.parse(record.get("ExtendedStatistic") or record["Statistic"]),
        record["Period"],
        record.get("Unit"),
    )


def _period(record: Record) -> int:
    if "Period" in record:
        return int(record["Period"])
    return int(next(query["MetricStat"]["Period"] for query in record["Metrics"] if "MetricStat" in query))


def _reason_data(record: Record, verdict: Verdict, now: float) -> str:
    data: dict[str, Any] = {"version": "1.0", "queryDate": messages.timestamp(now)}
    evaluated = verdict.evaluated
    if evaluated:
        data["startDate"] = messages.timestamp(min(point.at for point in evaluated))
    if "MetricName" in record:
        data["statistic"] = record.get("ExtendedStatistic") or record["Statistic"]
    if "Unit" in record:
        data["unit"] = record["Unit"]
    data |= {
        "period": _period(record),
        "recentDatapoints": [point.value for point in sorted(evaluated)],
        "threshold": record["Threshold"],
        "evaluatedDatapoints": [_shown(point) for point in evaluated],
    }
    return json.dumps(data)


def _shown(point: Point) -> dict[str, Any]:
    shown = {"timestamp": messages.timestamp(point.at), "sampleCount": point.samples, "value": point.value}
    return {key: value for key, value in shown.items() if value is not None}
