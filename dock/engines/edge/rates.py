"""Counts requests, and remembers who is over a limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dock.engines.edge.language import Facts
from dock.engines.edge.model import RateLimit, Rule

TIDY_SECONDS = 60.0


@dataclass(slots=True)
class _Counter:
    """The window of time that runs, and the count of the one before it."""

    window: int
    count: int = 0
    before: int = 0
    until: float = 0.0


class Counters:
    """A sliding rate: the window before counts as far as it still lies within the period."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counters: dict[tuple[object, ...], _Counter] = {}
        self._tidied = clock()

    def ask(self, limits: tuple[RateLimit, ...], facts: Facts) -> Rule | None:
        """Count this request where it counts before it is answered; the rule that acts on it, if one does."""
        now = self._clock()
        acting: Rule | None = None
        for limit in limits:
            matches = limit.rule.matches(facts)
            key = limit.key(facts)
            counter = self._counters.get(key)
            if matches and counter is not None and counter.until > now:
                acting = acting or limit.rule
                continue
            if limit.after_answer or limit.to_origin or not limit.counts(facts):
                continue
            over = self._count(limit, key, now)
            if over and matches:
                acting = acting or limit.rule
        if now - self._tidied > TIDY_SECONDS:
            self._tidy(now, limits)
        return acting

    def answered(self, limits: tuple[RateLimit, ...], facts: Facts, by_origin: bool) -> None:
        """Count this request where that takes its answer."""
        now = self._clock()
        for limit in limits:
            if limit.after_answer or limit.to_origin:
                if limit.to_origin and not by_origin:
                    continue
                if limit.counts(facts):
                    self._count(limit, limit.key(facts), now)

    def _count(self, limit: RateLimit, key: tuple[object, ...], now: float) -> bool:
        """Whether the limit is passed now."""
        window = int(now // limit.period)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = _Counter(window)
        if counter.window != window:
            counter.before = counter.count if counter.window == window - 1 else 0
            counter.window, counter.count = window, 0
        counter.count += 1
        share = 1 - (now % limit.period) / limit.period
        if counter.count + counter.before * share <= limit.requests:
            return False
        if limit.timeout:
            counter.until = now + limit.timeout
            # What follows the time-out begins anew.
            counter.count = counter.before = 0
        return True

    def _tidy(self, now: float, limits: tuple[RateLimit, ...]) -> None:
        self._tidied = now
        longest = {limit.rule.id: limit.period for limit in limits}
        for key in list(self._gone(now, longest)):
            del self._counters[key]

    def _gone(self, now: float, periods: dict[str, int]) -> Iterator[tuple[object, ...]]:
        for key, counter in self._counters.items():
            period = periods.get(str(key[0]))
            # A zone's other limits are tidied when that zone is asked; none is older than an hour.
            if period is not None and counter.until < now and counter.window < int(now // period) - 1:
                yield key
