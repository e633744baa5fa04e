"""What each plan allows, as data.

Sources: developers.cloudflare.com/cache/how-to/purge-cache, /waf/custom-rules, /waf/rate-limiting-rules,
/waf/tools/lists/custom-lists, /fundamentals/api/reference/limits (read November 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dock.engines.edge.model import CACHE, CUSTOM, ORIGIN, RATE, REDIRECT


@dataclass(frozen=True, slots=True)
class Plan:
    """Periods and time-outs in seconds. A purge bucket holds `purge_bucket` requests and refills at `purge_rate` a
    second; `urls_rate` are single addresses a second."""

    name: str
    price: int
    rules: Mapping[str, int]
    patterns: bool
    rate_periods: tuple[int, ...]
    rate_timeouts: tuple[int, ...]
    counting_expressions: bool
    purge_rate: float
    purge_bucket: int
    urls_rate: int
    urls_a_request: int
    dns_records: int


_PERIODS = (10, 60, 120, 300, 600, 3600)
_TIMEOUTS = (0, 10, 60, 120, 300, 600, 3600, 86400)


def _rules(custom: int, rate: int, others: int) -> dict[str, int]:
    return {CUSTOM: custom, RATE: rate, CACHE: others, REDIRECT: others, ORIGIN: others}


PLANS: dict[str, Plan] = {
    "free": Plan("Free Website", 0, _rules(5, 1, 10), False, (10,), (0, 10), False, 5 / 60, 25, 800, 100, 200),
    "pro": Plan("Pro Website", 25, _rules(20, 2, 25), False, (10, 60), (0, 10, 60, 120, 300, 600, 3600), False,
                5, 25, 1500, 100, 3500),
    "business": Plan("Business Website", 250, _rules(100, 5, 50), True, (10, 60, 120, 300, 600), _TIMEOUTS, True,
                     10, 50, 1500, 100, 3500),
    "enterprise": Plan("Enterprise Website", 0, _rules(1000, 100, 300), True, _PERIODS, _TIMEOUTS, True,
                       50, 500, 3000, 500, 3500),
}  # fmt: skip
# What a zone has until it is changed (PUT /zones/ID/subscription): the cheapest that the platforms' rules fit on.
DEFAULT_PLAN = "pro"

LISTS, LIST_ITEMS = 10, 10_000
PURGE_ITEMS = 100
# Requests of one token in five minutes, after which it has to wait for as long.
API_REQUESTS, API_SECONDS = 1200, 300
