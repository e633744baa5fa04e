"""What the answer to a question is: RFC 1034's algorithm, and Route 53's choice among records by their health."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import dnslib
from dnslib import QTYPE, RCODE, RR, DNSLabel

from dock.engines.dns.names import Name
from dock.engines.dns.zones import Alias, RecordSet, Zone, Zones

MAX_CHAIN = 16
MULTIVALUE_ANSWERS = 8
_WILDCARD = b"*"


@dataclass(slots=True)
class Answer:
    """The sections of an answer. `code` is a dnslib RCODE."""

    code: int = RCODE.NOERROR
    authoritative: bool = True
    records: list[RR] = field(default_factory=list)
    authority: list[RR] = field(default_factory=list)


class Resolver:
    """Answers from the zones with the health of the moment.

    `healthy` tells of a health check, `target_healthy` of a load balancer that an alias evaluates.
    """

    def __init__(
        self,
        zones: Zones,
        healthy: Callable[[str], bool],
        target_healthy: Callable[[Alias], bool],
        chance: random.Random | None = None,
    ) -> None:
        self.zones = zones
        self._healthy = healthy
        self._target_healthy = target_healthy
        self._chance = chance or random.Random()  # noqa: S311  (it spreads load)

    def answer(self, name: Name, kind: str) -> Answer:
        """`kind` is a type's name, or ANY. A name in none of the zones is refused: this server is no resolver."""
        zone = self.zones.of(name)
        if zone is None:
            return Answer(code=RCODE.REFUSED, authoritative=False)
        answer = Answer()
        seen: set[Name] = set()
        while len(seen) < MAX_CHAIN and name not in seen:
            seen.add(name)
            if (delegation := _delegation(zone, name)) is not None:
                answer.authority += _rendered(delegation, delegation[0].name)
                answer.authoritative = bool(answer.records)
                return answer
            owner = _owner(zone, name)
            if owner is None:
                answer.code = RCODE.NXDOMAIN
                answer.authority += _negative(zone)
                return answer
            chosen = self._all(zone, owner, kind)
            if chosen:
                answer.records += [record for sets in chosen for record in sets_rendered(sets, name)]
                return answer
            aliases = self._choose(zone, zone.sets(owner, "CNAME")) if kind != "CNAME" else []
            if not aliases:
                answer.authority += _negative(zone)
                return answer
            rendered = sets_rendered(self._resolve(zone, aliases), name)
            answer.records += rendered
            if not rendered:
                answer.authority += _negative(zone)
                return answer
            name = tuple(label.lower() for label in rendered[0].rdata.label.label)
            following = self.zones.of(name)
            if following is None:
                return answer
            zone = following
        return answer

    def addresses(self, name: Name) -> list[str]:
        """The IPv4 addresses of a name in one of the zones."""
        answer = self.answer(name, "A")
        return [str(record.rdata) for record in answer.records if record.rtype == QTYPE.A]

    def _all(self, zone: Zone, owner: Name, kind: str) -> list[list[tuple[RecordSet, int]]]:
        kinds = list(zone.records.get(owner, {})) if kind == "ANY" else [kind]
        found = (self._resolve(zone, self._choose(zone, zone.sets(owner, each))) for each in kinds)
        return [sets for sets in found if sets]

    def _choose(self, zone: Zone, sets: list[RecordSet]) -> list[RecordSet]:
        """The record sets that answer now."""
        if len(sets) < 2:
            return sets
        healthy = [each for each in sets if self._is_healthy(zone, each, 0)]
        if sets[0].failover is not None:
            wanted = next((each for each in sets if each.failover == "PRIMARY"), sets[0])
            # With nothing healthy left, the primary is the better guess.
            return [wanted] if wanted in healthy or not healthy else [healthy[0]]
        if sets[0].weight is not None:
            return [self._weighted(healthy, sets)]
        candidates = healthy or sets
        return self._chance.sample(candidates, min(MULTIVALUE_ANSWERS, len(candidates)))

    def _weighted(self, healthy: list[RecordSet], sets: list[RecordSet]) -> RecordSet:
        """One by weight: of the healthy ones with a weight, else of the healthy ones without, else of all."""
        candidates = [each for each in healthy if each.weight] or healthy
        if not candidates:
            candidates = [each for each in sets if each.weight] or sets
        weights = [each.weight or 0 for each in candidates]
        return self._chance.choices(candidates, weights if any(weights) else None)[0]

    def _is_healthy(self, zone: Zone, record: RecordSet, depth: int) -> bool:
        if record.health_check is not None and not self._healthy(record.health_check):
            return False
        alias = record.alias
        if alias is None or not alias.evaluate or depth > MAX_CHAIN:
            return True
        if alias.name is None:
            return alias.address is not None and self._target_healthy(alias)
        targets = self._targets(zone, alias, record.kind)
        return any(self._is_healthy(zone, each, depth + 1) for each in targets)

    def _targets(self, zone: Zone, alias: Alias, kind: str) -> list[RecordSet]:
        if alias.name is None:
            return []
        owner = _owner(zone, alias.name)
        return zone.sets(owner, kind) if owner is not None else []

    def _resolve(self, zone: Zone, chosen: Iterable[RecordSet], depth: int = 0) -> list[tuple[RecordSet, int]]:
        """The record sets with data that these stand for, each with the TTL of its answer; aliases are followed."""
        found: list[tuple[RecordSet, int]] = []
        for record in chosen:
            alias = record.alias
            if alias is None:
                found.append((record, record.ttl))
            elif alias.name is not None:
                if depth < MAX_CHAIN:
                    targets = self._choose(zone, self._targets(zone, alias, record.kind))
                    found += self._resolve(zone, targets, depth + 1)
            elif alias.address is not None and record.kind == "A":
                stand_in = RecordSet(record.name, "A", record.ttl, (dnslib.A(alias.address),))
                found.append((stand_in, record.ttl))
        return found


def sets_rendered(sets: Iterable[tuple[RecordSet, int]], name: Name) -> list[RR]:
    """Records for a packet, all under the name that was asked for."""
    label = DNSLabel(list(name))
    return [RR(label, getattr(QTYPE, record.kind), ttl=ttl, rdata=data) for record, ttl in sets for data in record.data]


def _rendered(sets: Iterable[RecordSet], name: Name) -> list[RR]:
    return sets_rendered([(each, each.ttl) for each in sets], name)


def _negative(zone: Zone) -> list[RR]:
    """The zone's SOA, whose TTL says how long a name may be remembered as missing (RFC 2308)."""
    (record,) = _rendered(zone.sets(zone.name, "SOA"), zone.name)
    record.ttl = min(record.ttl, record.rdata.times[4])
    return [record]


def _delegation(zone: Zone, name: Name) -> list[RecordSet] | None:
    """The NS records of the zone below this one that a name is in."""
    for depth in range(len(name) - len(zone.name) - 1, -1, -1):
        if sets := zone.sets(name[depth:], "NS"):
            return sets
    return None


def _owner(zone: Zone, name: Name) -> Name | None:
    """The name whose records answer: itself, or the wildcard beside the closest name that exists (RFC 4592)."""
    if zone.exists(name):
        return name
    for depth in range(1, len(name) - len(zone.name) + 1):
        wildcard = (_WILDCARD, *name[depth:])
        if wildcard in zone.records:
            return wildcard
        if zone.exists(name[depth:]):
            return None
    return None
