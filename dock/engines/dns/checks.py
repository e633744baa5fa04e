"""Health checks: one checker in each region, staggered over the interval, and what they agree on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dock.engines.dns.probe import Endpoint, Lookup, Outcome, probe

log = logging.getLogger(__name__)

# A health check is healthy while more than this share of its checkers say so (Route 53 developer guide).
HEALTHY_SHARE = 0.18
# Seconds: an alarm's state that nobody has confirmed for so long is unknown.
ALARM_STALE_SECONDS = 60
_AGENT = "Amazon-Route53-Health-Check-Service (ref {}; the dock)"
_INSUFFICIENT = {"Healthy": True, "Unhealthy": False}


@dataclass(frozen=True, slots=True)
class Check:
    """One health check as the control plane describes it. Times in seconds."""

    identifier: str
    kind: str
    """endpoint, calculated or alarm."""
    inverted: bool
    disabled: bool
    endpoint: Endpoint | None = None
    interval: int = 30
    threshold: int = 3
    regions: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    health_threshold: int = 0
    insufficient: str = "LastKnownStatus"

    @classmethod
    def load(cls, entry: Mapping[str, Any]) -> Check:
        facts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()
        }
        if facts.get("endpoint"):
            facts["endpoint"] = Endpoint(**facts["endpoint"])
        return cls(**facts)


@dataclass(slots=True)
class Checker:
    """What one region's checker has seen. A new one holds the endpoint healthy until it failed often enough."""

    healthy: bool = True
    run: int = 0
    """How many results in a row contradict `healthy`."""
    text: str = ""
    at: float | None = None
    failure: str = ""
    failed_at: float | None = None

    def see(self, outcome: Outcome, threshold: int) -> bool:
        """Take a result; whether the checker changed its mind."""
        self.text, self.at = outcome.text, time.time()
        if not outcome.passed:
            self.failure, self.failed_at = outcome.text, self.at
        if outcome.passed is self.healthy:
            self.run = 0
            return False
        self.run += 1
        if self.run < threshold:
            return False
        self.healthy, self.run = outcome.passed, 0
        return True


@dataclass(slots=True)
class _Running:
    check: Check
    checkers: dict[str, Checker]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Checks:
    """Runs all health checks. `sources` are the addresses of the regions' checkers, `changed` is called whenever
    something happened that a restart must not forget."""

    def __init__(self, sources: Mapping[str, str], lookup: Lookup, changed: Callable[[], None]) -> None:
        self._sources = sources
        self._lookup = lookup
        self._changed = changed
        self._running: dict[str, _Running] = {}
        self._alarms: dict[str, tuple[str, float]] = {}
        self._last_known: dict[str, bool] = {}
        self._remembered: dict[str, dict[str, Any]] = {}

    def restore(self, document: Mapping[str, Any]) -> None:
        """What an earlier process knew, from `document()`."""
        self._remembered = {name: dict(entry) for name, entry in document.get("checkers", {}).items()}
        self._last_known = dict(document.get("last_known", {}))

    def document(self) -> dict[str, Any]:
        """What the next process has to know."""
        return {
            "checkers": {
                name: {
                    region: {
                        "healthy": each.healthy,
                        "text": each.text,
                        "at": each.at,
                        "failure": each.failure,
                        "failed_at": each.failed_at,
                    }
                    for region, each in running.checkers.items()
                }
                for name, running in self._running.items()
            },
            "last_known": self._last_known,
        }

    def load(self, checks: Mapping[str, Check]) -> None:
        """Run exactly these. One whose endpoint, regions or pace changed begins anew; the others go on undisturbed."""
        for name in self._running.keys() - checks.keys():
            self._end(name)
            self._last_known.pop(name, None)
            self._alarms.pop(name, None)
        for name, check in checks.items():
            running = self._running.get(name)
            if running is not None and _pace(running.check) == _pace(check):
                running.check = check
                continue
            if running is not None:
                self._end(name)
            self._begin(name, check)
        self._remembered.clear()

    async def stop(self) -> None:
        tasks = [task for running in self._running.values() for task in running.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def alarm(self, identifier: str, state: str) -> None:
        """What CloudWatch says of the alarm that a health check follows: OK, ALARM or INSUFFICIENT_DATA."""
        self._alarms[identifier] = (state, time.monotonic())
        if state in ("OK", "ALARM") and self._last_known.get(identifier) != (state == "OK"):
            self._last_known[identifier] = state == "OK"
            self._changed()

    def healthy(self, identifier: str) -> bool:
        """Whether traffic may go where this health check looks. One that is gone says nothing against it."""
        running = self._running.get(identifier)
        if running is None:
            return True
        check = running.check
        if check.disabled:
            return not check.inverted
        return self._plain(running) is not check.inverted

    def observations(self, identifier: str) -> list[dict[str, Any]]:
        """One for each region: `region`, `address`, `text`, `at` (seconds since the epoch), `failure`, `failed_at`."""
        running = self._running.get(identifier)
        if running is None:
            return []
        if running.check.kind == "endpoint":
            return [
                {
                    "region": region,
                    "address": self._sources[region],
                    "text": each.text,
                    "at": each.at,
                    "failure": each.failure,
                    "failed_at": each.failed_at,
                }
                for region, each in running.checkers.items()
            ]
        passed, text = self._plain(running), self._told(running)
        said = f"{'Success' if passed else 'Failure'}: {text}"
        region, address = next(iter(self._sources.items()))
        return [{"region": region, "address": address, "text": said, "at": time.time(),
                 "failure": "" if passed else said, "failed_at": None if passed else time.time()}]  # fmt: skip

    def status(self) -> dict[str, dict[str, Any]]:
        """For each check whether it counts as healthy, and how many of its checkers hold it so."""
        return {
            name: {
                "healthy": self.healthy(name),
                "checkers": len(running.checkers),
                "checkers_healthy": sum(each.healthy for each in running.checkers.values()),
            }
            for name, running in self._running.items()
        }

    def _plain(self, running: _Running) -> bool:
        """Before it is inverted."""
        check = running.check
        if check.kind == "calculated":
            return sum(self.healthy(child) for child in check.children) >= check.health_threshold
        if check.kind == "alarm":
            state = self._alarm_state(check.identifier)
            if state == "INSUFFICIENT_DATA":
                return _INSUFFICIENT.get(check.insufficient, self._last_known.get(check.identifier, True))
            return state == "OK"
        agree = sum(each.healthy for each in running.checkers.values())
        return agree > HEALTHY_SHARE * len(running.checkers)

    def _told(self, running: _Running) -> str:
        check = running.check
        if check.kind == "calculated":
            healthy = sum(self.healthy(child) for child in check.children)
            return (
                f"{healthy} of {len(check.children)} child health checks are healthy, {check.health_threshold} must be"
            )
        return f"the alarm's state is {self._alarm_state(check.identifier)}"

    def _alarm_state(self, identifier: str) -> str:
        state, at = self._alarms.get(identifier, ("INSUFFICIENT_DATA", 0.0))
        return state if time.monotonic() - at < ALARM_STALE_SECONDS else "INSUFFICIENT_DATA"

    def _begin(self, name: str, check: Check) -> None:
        known = self._remembered.get(name, {})
        regions = check.regions if check.kind == "endpoint" else ()
        running = _Running(check, {region: Checker(**known.get(region, {})) for region in regions})
        self._running[name] = running
        for number, region in enumerate(regions):
            offset = check.interval * number / len(regions)
            running.tasks.append(asyncio.create_task(self._run(running, region, offset), name=f"{name} from {region}"))

    def _end(self, name: str) -> None:
        for task in self._running.pop(name).tasks:
            task.cancel()

    async def _run(self, running: _Running, region: str, offset: float) -> None:
        loop = asyncio.get_running_loop()
        identifier, checker = running.check.identifier, running.checkers[region]
        following = loop.time() + offset
        while True:
            await asyncio.sleep(following - loop.time())
            check = running.check
            # At its own pace, whatever the last answer took, so that checkers stay apart.
            following = max(following + check.interval, loop.time())
            if check.disabled or check.endpoint is None:
                continue
            before = self.healthy(identifier)
            outcome = await probe(check.endpoint, self._sources[region], _AGENT.format(identifier), self._lookup)
            if checker.see(outcome, check.threshold):
                log.info("health check %s from %s: %s", identifier, region, outcome.text)
                if self.healthy(identifier) is not before:
                    log.info("health check %s is %s", identifier, "unhealthy" if before else "healthy")
                self._changed()
            elif not outcome.passed:
                self._changed()


def _pace(check: Check) -> tuple[object, ...]:
    """What a running checker was started for."""
    return check.kind, check.endpoint, check.interval, check.regions
