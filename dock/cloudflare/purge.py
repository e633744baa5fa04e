"""Purging the cache, at the rate that the plan allows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dock.cloudflare.errors import ApiError, not_done
from dock.cloudflare.plans import PLANS, PURGE_ITEMS, Plan
from dock.cloudflare.route import Call, Part, route
from dock.store import Record


@dataclass(slots=True)
class Bucket:
    """Holds `size` tokens and gets `rate` new ones a second."""

    size: float
    rate: float
    tokens: float
    at: float

    def take(self, count: int, now: float) -> float:
        """0 when they were there, else the seconds until they are."""
        self.tokens = min(self.size, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= count:
            self.tokens -= count
            return 0.0
        return (count - self.tokens) / self.rate


class Purge(Part):
    def __init__(self, cloudflare: Any, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(cloudflare)
        self._clock = clock
        # By account, as Cloudflare counts.
        self._buckets: dict[tuple[str, str], Bucket] = {}

    @route("POST", "/zones/{zone_id}/purge_cache", "Cache Purge", acts="purge_everything files hosts prefixes tags")
    async def purge(self, call: Call) -> dict[str, Any]:
        zone = self.cloudflare.records.zone(call.path["zone_id"])
        plan = PLANS[zone["plan"]]
        kinds = [name for name in ("purge_everything", "files", "hosts", "prefixes", "tags") if call.body.get(name)]
        if len(kinds) != 1:
            raise ApiError(
                1012, 'Request must contain one of "purge_everything", "files", "tags", "hosts" or "prefixes"'
            )
        kind = kinds[0]
        if kind == "purge_everything":
            if call.body[kind] is not True:
                raise ApiError(1012, "purge_everything must be true")
            what: dict[str, Any] = {"everything": True}
        else:
            what = {kind: self._items(zone, kind, call.body[kind], plan)}
        self._limit(zone, plan, kind, len(what.get(kind, ())))
        await self.cloudflare.edge.purge(zone["name"], what)
        return {"id": zone["id"]}

    @staticmethod
    def _items(zone: Record, kind: str, given: Any, plan: Plan) -> list[str]:
        most = plan.urls_a_request if kind == "files" else PURGE_ITEMS
        if not isinstance(given, list) or not 1 <= len(given) <= most:
            raise ApiError(1094, f"{kind}: between 1 and {most} in one request")
        if kind == "files" and any(isinstance(each, dict) for each in given):
            raise not_done("purging an address by headers")
        if any(not isinstance(each, str) or not each for each in given):
            raise ApiError(1012, f"{kind} must be strings")
        for each in given:
            if kind == "files":
                host = urlsplit(each).hostname or ""
            elif kind == "prefixes":
                if "://" in each or "?" in each:
                    raise ApiError(1012, "a prefix has no scheme and no query")
                host = each.partition("/")[0]
            else:
                host = each if kind == "hosts" else zone["name"]
            if host.lower() != zone["name"] and not host.lower().endswith(f".{zone['name']}"):
                raise ApiError(1107, f"{each} is not in zone {zone['name']}")
        return [_normal(each) for each in given] if kind == "files" else given

    def _limit(self, zone: Record, plan: Plan, kind: str, count: int) -> None:
        now = self._clock()
        name, rate, size = (
            ("files", float(plan.urls_rate), float(plan.urls_rate))
            if kind == "files"
            else ("requests", plan.purge_rate, float(plan.purge_bucket))
        )
        key = (zone["account"], name)
        bucket = self._buckets.get(key)
        if bucket is None or (bucket.rate, bucket.size) != (rate, size):
            bucket = self._buckets[key] = Bucket(size, rate, size, now)
        if wait := bucket.take(count if kind == "files" else 1, now):
            seconds = str(int(wait) + 1)
            raise ApiError(971, f"Rate limited: purge again in {seconds} s", 429, {"Retry-After": seconds})


def _normal(url: str) -> str:
    """As the cache has it: the host in lower case, a path, no fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{(parts.hostname or '')}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
