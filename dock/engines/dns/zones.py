"""Zones and their records as the server holds them, made from the document that the control plane writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dnslib import RD

from dock.engines.dns import names, rdata
from dock.engines.dns.names import Name


@dataclass(frozen=True, slots=True)
class Balancers:
    """What a load balancer's health rests on: the control socket of its HAProxy, and its groups of targets.

    Without a socket it has no listener, and so no target that could be unhealthy.
    """

    socket: str | None
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alias:
    """Stands for other records of its zone (`name`), or for a load balancer (`address`, None when it is gone)."""

    name: Name | None
    address: str | None
    evaluate: bool
    balancer: Balancers | None = None


@dataclass(frozen=True, slots=True)
class RecordSet:
    """One record set; several of one name and type differ by `identifier`. `ttl` in seconds."""

    name: Name
    kind: str
    ttl: int
    data: tuple[RD, ...] = ()
    alias: Alias | None = None
    identifier: str | None = None
    weight: int | None = None
    failover: str | None = None
    multivalue: bool = False
    health_check: str | None = None


@dataclass(slots=True)
class Zone:
    """The record sets of a zone by name and type. `ancestors` are names that only stand above others."""

    identifier: str
    name: Name
    records: dict[Name, dict[str, list[RecordSet]]] = field(default_factory=dict)
    ancestors: set[Name] = field(default_factory=set)

    def add(self, record: RecordSet) -> None:
        self.records.setdefault(record.name, {}).setdefault(record.kind, []).append(record)
        for depth in range(1, len(record.name) - len(self.name)):
            self.ancestors.add(record.name[depth:])

    def exists(self, name: Name) -> bool:
        return name in self.records or name in self.ancestors

    def sets(self, name: Name, kind: str) -> list[RecordSet]:
        return self.records.get(name, {}).get(kind, [])

    def all(self) -> Iterable[RecordSet]:
        return (record for kinds in self.records.values() for sets in kinds.values() for record in sets)


class Zones:
    """All zones of a dock."""

    def __init__(self, zones: Iterable[Zone] = ()) -> None:
        self._zones = {zone.name: zone for zone in zones}

    def of(self, name: Name) -> Zone | None:
        """The zone that a name is in: of several, the closest."""
        for depth in range(len(name) + 1):
            if (zone := self._zones.get(name[depth:])) is not None:
                return zone
        return None

    def all(self) -> Iterable[Zone]:
        return self._zones.values()


def load(document: Iterable[Mapping[str, Any]]) -> Zones:
    """Zones from the control plane's document. Raises ValueError or KeyError for one that it didn't write."""
    zones = []
    for entry in document:
        zone = Zone(entry["id"], names.parse(entry["name"]))
        for record in entry["records"]:
            zone.add(_record(record))
        zones.append(zone)
    return Zones(zones)


def _record(entry: Mapping[str, Any]) -> RecordSet:
    alias = None
    if (target := entry.get("alias")) is not None:
        balancer = target.get("balancer")
        alias = Alias(
            names.parse(target["name"]) if target.get("name") else None,
            target.get("address"),
            target["evaluate"],
            Balancers(balancer["socket"], tuple(balancer["groups"])) if balancer else None,
        )
    return RecordSet(
        name=names.parse(entry["name"]),
        kind=entry["type"],
        ttl=entry["ttl"],
        data=tuple(rdata.parse(entry["type"], value) for value in entry.get("values", ())),
        alias=alias,
        identifier=entry.get("identifier"),
        weight=entry.get("weight"),
        failover=entry.get("failover"),
        multivalue=entry.get("multivalue", False),
        health_check=entry.get("health_check"),
    )
