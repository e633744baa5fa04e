"""Requests by status and by what the cache said, to the log: the traffic analytics of the edge."""

from __future__ import annotations

import logging
from collections import Counter

log = logging.getLogger(__name__)

REPORT_SECONDS = 10.0


class Tally:
    def __init__(self) -> None:
        self._recent: dict[str, tuple[Counter[int], Counter[str]]] = {}
        self.total: dict[str, Counter[int]] = {}

    def count(self, zone: str, status: int, cached: str) -> None:
        statuses, caches = self._recent.setdefault(zone, (Counter(), Counter()))
        statuses[status] += 1
        caches[cached] += 1
        self.total.setdefault(zone, Counter())[status] += 1

    def report(self) -> None:
        """One line for each zone that had traffic since the last report."""
        for zone, (statuses, caches) in sorted(self._recent.items()):
            by_status = " ".join(f"{status}={count}" for status, count in sorted(statuses.items()))
            by_cache = " ".join(f"{name}={count}" for name, count in sorted(caches.items()))
            log.info("traffic: %s %d requests; status %s; cache %s", zone, statuses.total(), by_status, by_cache)
        self._recent.clear()
