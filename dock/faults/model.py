"""What a fault is: its kind, whom it hits, and when it ends."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

# A fault that somebody forgets must not outlive a night.
DEFAULT_SECONDS = 600.0
MAX_SECONDS = 12 * 3600.0


class FaultError(ValueError):
    """A fault that can't be: the message says why."""


class Kind(StrEnum):
    """What goes wrong. The part before the dash is what is hit."""

    API_THROTTLED = "api-throttled"
    API_SLOW = "api-slow"
    API_FAILING = "api-failing"
    API_LOST = "api-lost"
    ENGINE_DOWN = "engine-down"
    ENGINE_HUNG = "engine-hung"
    ENGINE_KILLED = "engine-killed"
    ENGINE_FULL = "engine-full"
    ZONE_DOWN = "zone-down"
    REGION_DOWN = "region-down"
    ACCOUNT_DENIED = "account-denied"
    NETWORK_REFUSED = "network-refused"
    NETWORK_BLACKHOLE = "network-blackhole"
    NETWORK_SLOW = "network-slow"


OF_APIS = frozenset(kind for kind in Kind if kind.startswith("api-")) | {Kind.REGION_DOWN, Kind.ACCOUNT_DENIED}
OF_ENGINES = frozenset(kind for kind in Kind if kind.startswith("engine-"))
OF_NETWORKS = frozenset(kind for kind in Kind if kind.startswith("network-"))
# While one of these is on, what it hits isn't started again.
HOLDING = frozenset({Kind.ENGINE_DOWN, Kind.ENGINE_HUNG, Kind.ZONE_DOWN, Kind.REGION_DOWN})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Selectors that are None select everything.

    `share` is the part of the calls that are hit, from 0 to 1, drawn with `seed`; `calls` is how many calls may still
    be hit (None: any number); `rate` is how many calls a second go through before the rest is throttled; `latency` is
    in seconds; `began` and `until` are seconds since the epoch.
    """

    id: str
    kind: Kind
    began: float
    until: float
    service: str | None = None
    operation: str | None = None
    account: str | None = None
    region: str | None = None
    zone: str | None = None
    principal: str | None = None
    target: str | None = None
    part: str | None = None
    share: float = 1.0
    seed: int = 0
    calls: int | None = None
    rate: float | None = None
    latency: float | None = None
    error: str | None = None
    status: int | None = None
    note: str = ""
    processes: tuple[str, ...] = ()
    """The engine's processes that are hit, as found when the fault began."""

    @property
    def holds(self) -> bool:
        """Whether what it hits must not be started again while it is on."""
        return self.kind in HOLDING

    def record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, record: dict[str, Any]) -> Fault:
        return cls(
            **{**record, "kind": Kind(record["kind"]), "processes": tuple(record.get("processes", ()))},
        )

    def about(self) -> str:
        """Whom it hits and how, in one line."""
        parts = [
            self.target,
            self.part,
            ":".join(part for part in (self.service, self.operation) if part),
            self.zone,
            self.region,
            f"account {self.account}" if self.account else None,
            f"principal {self.principal}" if self.principal else None,
            f"{self.share:.0%} of calls" if self.share < 1 else None,
            f"next {self.calls} calls" if self.calls is not None else None,
            f"beyond {self.rate:g} calls/s" if self.rate is not None else None,
            f"{self.latency * 1000:.0f} ms" if self.latency is not None else None,
            self.error,
        ]
        return " ".join(part for part in parts if part) or "every call"

    def shown(self, now: float) -> dict[str, Any]:
        """One object of `drydock fault list --json`; docs/faults.md describes it."""
        shown = {name: value for name, value in self.record().items() if value not in (None, "", ())}
        return {**shown, "about": self.about(), "seconds_left": round(max(0.0, self.until - now), 1)}


@dataclass(frozen=True, slots=True)
class Wish:
    """A fault that somebody asks for, as it comes through the control socket."""

    kind: Kind
    seconds: float = DEFAULT_SECONDS
    fields: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, document: Any) -> Wish:
        """Check a document. Raises FaultError that names what is wrong."""
        if not isinstance(document, dict):
            raise FaultError("a fault is a JSON object")
        fields = dict(document)
        try:
            kind = Kind(fields.pop("kind", ""))
        except ValueError:
            raise FaultError(f"kind is one of {', '.join(Kind)}") from None
        seconds = _number(fields, "seconds", DEFAULT_SECONDS, 0.1, MAX_SECONDS)
        fields.pop("seconds", None)
        if unknown := sorted(set(fields) - set(_FIELDS)):
            raise FaultError(f"a fault has no {unknown[0]}; it has {', '.join(sorted(_FIELDS))}")
        fields = {name: value for name, value in fields.items() if value is not None}
        if superfluous := sorted(set(fields) - _TAKES[kind] - {"note"}):
            raise FaultError(f"{kind} takes no {superfluous[0]}; it takes {', '.join(sorted(_TAKES[kind]))}")
        if missing := sorted(_NEEDS.get(kind, frozenset()) - set(fields)):
            raise FaultError(f"{kind} needs {' and '.join(missing)}")
        for name, kind_of in _FIELDS.items():
            if name in fields and kind_of is str and (not isinstance(fields[name], str) or not fields[name]):
                raise FaultError(f"{name} is a text that isn't empty")
        for name, (low, high) in _BOUNDS.items():
            if name in fields:
                fields[name] = _number(fields, name, 0.0, low, high)
        for name in ("seed", "calls", "status"):
            if name in fields:
                fields[name] = int(fields[name])
        return cls(kind, seconds, fields)

    def fault(self, identifier: str, processes: tuple[str, ...] = ()) -> Fault:
        """The fault that begins now."""
        now = time.time()
        return Fault(identifier, self.kind, now, now + self.seconds, processes=processes, **self.fields)


_FIELDS: dict[str, type] = {
    "service": str, "operation": str, "account": str, "region": str, "zone": str, "principal": str, "target": str,
    "part": str, "error": str, "note": str, "share": float, "seed": int, "calls": int, "rate": float,
    "latency": float, "status": int,
}  # fmt: skip
_BOUNDS: dict[str, tuple[float, float]] = {
    "share": (0.0, 1.0),
    "seed": (0, 2**63),
    "calls": (1, 1_000_000),
    "rate": (0.0, 100_000.0),
    "latency": (0.001, 300.0),
    "status": (400, 599),
}
_SELECTORS = frozenset({"service", "operation", "account", "region", "principal", "share", "seed", "calls"})
_ENGINE = frozenset({"target", "part", "account", "region"})
_TAKES: dict[Kind, frozenset[str]] = {
    Kind.API_THROTTLED: _SELECTORS | {"rate"},
    Kind.API_SLOW: _SELECTORS | {"latency"},
    Kind.API_FAILING: _SELECTORS | {"error", "status"},
    Kind.API_LOST: _SELECTORS | {"status"},
    Kind.ENGINE_DOWN: _ENGINE,
    Kind.ENGINE_HUNG: _ENGINE,
    Kind.ENGINE_KILLED: _ENGINE,
    Kind.ENGINE_FULL: _ENGINE,
    Kind.ZONE_DOWN: frozenset({"zone", "account"}),
    Kind.REGION_DOWN: frozenset({"region", "account"}),
    Kind.ACCOUNT_DENIED: frozenset({"account", "region"}),
    Kind.NETWORK_REFUSED: _ENGINE - {"part"},
    Kind.NETWORK_BLACKHOLE: _ENGINE - {"part"},
    Kind.NETWORK_SLOW: _ENGINE - {"part"} | {"latency"},
}
_NEEDS: dict[Kind, frozenset[str]] = {
    Kind.API_SLOW: frozenset({"latency"}),
    Kind.NETWORK_SLOW: frozenset({"latency", "target"}),
    Kind.ZONE_DOWN: frozenset({"zone"}),
    Kind.REGION_DOWN: frozenset({"region"}),
    Kind.ACCOUNT_DENIED: frozenset({"account"}),
    **dict.fromkeys((*OF_ENGINES, Kind.NETWORK_REFUSED, Kind.NETWORK_BLACKHOLE), frozenset({"target"})),
}


def _number(fields: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise FaultError(f"{name} is a number from {low:g} to {high:g}, not {value!r}")
    return value
