"""What the edge is told to do, compiled once when it is told: so that a request only has to be looked at."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dock.engines.edge.language import AddressList, Expression, Facts, parse
from dock.engines.edge.language.addresses import Address
from dock.engines.edge.language.facts import OF_THE_RESPONSE, STRING, characteristic

CUSTOM, RATE, CACHE = "http_request_firewall_custom", "http_ratelimit", "http_request_cache_settings"
REDIRECT, ORIGIN = "http_request_dynamic_redirect", "http_request_origin"
PHASES = (REDIRECT, ORIGIN, CACHE, CUSTOM, RATE)


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    action: str
    matches: Expression
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Times in seconds. `timeout` 0 acts on what is over the limit, and on nothing else."""

    rule: Rule
    characteristics: tuple[Callable[[Facts], Any], ...]
    period: int
    requests: int
    timeout: int
    counts: Expression
    after_answer: bool
    to_origin: bool

    def key(self, facts: Facts) -> tuple[Any, ...]:
        return (self.rule.id, *(each(facts) for each in self.characteristics))


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Addresses by what happens to them; the narrowest entry wins."""

    networks: tuple[tuple[AddressList, int, str], ...] = ()

    def mode(self, address: Address) -> str | None:
        return next((mode for found, _, mode in self.networks if address in found), None)

    @classmethod
    def of(cls, rules: list[dict[str, str]]) -> AccessRules:
        entries = [
            (AddressList([rule["value"]]), ipaddress.ip_network(rule["value"]).prefixlen, rule["mode"])
            for rule in rules
        ]
        return cls(tuple(sorted(entries, key=lambda entry: -entry[1])))


@dataclass(frozen=True, slots=True)
class Record:
    """Where a proxied host's origin is: addresses, or a name that leads there."""

    host: str
    addresses: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Zone:
    id: str
    name: str
    settings: Mapping[str, Any]
    records: Mapping[str, Record]
    access: AccessRules
    lists: Mapping[str, AddressList]
    rules: Mapping[str, tuple[Rule, ...]]
    rates: tuple[RateLimit, ...]

    def record(self, host: str) -> Record | None:
        """The record of a host: its own, else the nearest wildcard's."""
        if host in self.records:
            return self.records[host]
        parent = host
        while "." in parent and parent != self.name:
            parent = parent.partition(".")[2]
            if (found := self.records.get(f"*.{parent}")) is not None:
                return found
        return None


@dataclass(frozen=True, slots=True)
class Desire:
    """The whole document. `secret` signs clearances; time-outs are in seconds."""

    generation: int = 0
    secret: bytes = b""
    zones: Mapping[str, Zone] = field(default_factory=dict)
    contexts: Mapping[str, ssl.SSLContext] = field(default_factory=dict)
    name_server: tuple[str, int] | None = None
    trust: ssl.SSLContext | None = None
    connect_seconds: float = 19
    read_seconds: float = 100

    def zone(self, host: str) -> Zone | None:
        """The zone that a host belongs to: the longest name that fits."""
        name = host
        while name:
            if (found := self.zones.get(name)) is not None:
                return found
            name = name.partition(".")[2]
        return None

    def context(self, host: str) -> ssl.SSLContext | None:
        zone = self.zone(host)
        return self.contexts.get(zone.name) if zone is not None else None


def compiled(document: Mapping[str, Any]) -> Desire:
    """The desire that a document says. Raises ValueError or OSError for one that can't be done."""
    zones = {each["name"]: _zone(each) for each in document["zones"]}
    server = document.get("name_server")
    return Desire(
        generation=document["generation"],
        secret=bytes.fromhex(document["secret"]),
        zones=zones,
        contexts={each["name"]: _context(each["certificate"], each["key"]) for each in document["zones"]},
        name_server=(server[0], server[1]) if server else None,
        trust=ssl.create_default_context(cafile=document["trust"]) if document.get("trust") else None,
        connect_seconds=document["timeouts"]["connect"],
        read_seconds=document["timeouts"]["read"],
    )


def rule(document: Mapping[str, Any]) -> Rule:
    return Rule(
        document["id"], document["action"], parse(document["expression"]), document.get("action_parameters") or {}
    )


def rate_limit(document: Mapping[str, Any]) -> RateLimit:
    kept = document["ratelimit"]
    counting = kept.get("counting_expression") or document["expression"]
    characteristics = [characteristic(name) for name in kept["characteristics"]]
    return RateLimit(
        rule=rule(document),
        characteristics=tuple(each for each in characteristics if each is not None),
        period=kept["period"],
        requests=kept["requests_per_period"],
        timeout=kept.get("mitigation_timeout", 0),
        counts=parse(counting, response=True),
        after_answer=any(name in counting for name in OF_THE_RESPONSE),
        to_origin=bool(kept.get("requests_to_origin")),
    )


def target(document: Mapping[str, Any]) -> Expression:
    """The expression of a redirect's target."""
    return parse(document["expression"], kind=STRING)


def _zone(document: Mapping[str, Any]) -> Zone:
    lists = {name: AddressList(entries) for name, entries in document["lists"].items()}
    rules = {phase: tuple(map(rule, document["rules"].get(phase, ()))) for phase in PHASES if phase != RATE}
    records = {
        each["host"]: Record(each["host"], tuple(each.get("addresses", ())), each.get("name", ""))
        for each in document["records"]
    }
    return Zone(
        id=document["id"],
        name=document["name"],
        settings=document["settings"],
        records=records,
        access=AccessRules.of(document["access_rules"]),
        lists=lists,
        rules=rules,
        rates=tuple(map(rate_limit, document["rules"].get(RATE, ()))),
    )


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context
