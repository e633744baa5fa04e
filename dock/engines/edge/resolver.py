"""Where an origin's name leads now: the dock's DNS server is asked, and believed for as long as it says."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable
from typing import Any

import dnslib

log = logging.getLogger(__name__)

QUERY_SECONDS = 1.5
ATTEMPTS = 2
# A chain of aliases that is longer is a loop.
MAX_ALIASES = 8
# How long "there is no such name" is believed when the answer doesn't say.
NEGATIVE_SECONDS = 5.0


class ResolutionError(Exception):
    """A name that leads nowhere."""


class Resolver:
    """Asks one name server for IPv4 addresses. Those who ask for a name at the same time share the question."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._asking: dict[str, asyncio.Task[tuple[str, ...]]] = {}
        self.server: tuple[str, int] | None = None

    def forget(self) -> None:
        self._known.clear()

    async def addresses(self, name: str) -> tuple[str, ...]:
        """Raises ResolutionError."""
        name = name.rstrip(".").lower()
        known = self._known.get(name)
        if known is not None and known[0] > self._clock():
            found = known[1]
        else:
            asking = self._asking.get(name)
            if asking is None:
                asking = self._asking[name] = asyncio.create_task(self._look_up(name))
                asking.add_done_callback(lambda _: self._asking.pop(name, None))
            found = await asyncio.shield(asking)
        if not found:
            raise ResolutionError(f"{name} has no address")
        return found

    async def _look_up(self, name: str) -> tuple[str, ...]:
        if self.server is None:
            raise ResolutionError("there is no name server to ask")
        ttl, alias = float("inf"), name
        found: list[str] = []
        for _ in range(MAX_ALIASES):
            answer = await self._ask(alias, self.server)
            step, following, found, negative = _read(answer, alias)
            ttl = min(ttl, step)
            if found or following == alias:
                ttl = ttl if found else min(negative, NEGATIVE_SECONDS)
                break
            alias = following
        self._known[name] = (self._clock() + ttl, tuple(found))
        return tuple(found)

    async def _ask(self, name: str, server: tuple[str, int]) -> Any:
        question = dnslib.DNSRecord.question(name)
        for attempt in range(ATTEMPTS):
            try:
                raw = await asyncio.to_thread(question.send, server[0], server[1], timeout=QUERY_SECONDS)
                answer = dnslib.DNSRecord.parse(raw)
                if answer.header.tc:
                    raw = await asyncio.to_thread(question.send, server[0], server[1], tcp=True, timeout=QUERY_SECONDS)
                    answer = dnslib.DNSRecord.parse(raw)
            except (OSError, dnslib.DNSError) as problem:
                if attempt + 1 == ATTEMPTS:
                    raise ResolutionError(f"the name server does not answer for {name}: {problem}") from problem
                continue
            if answer.header.rcode not in (dnslib.RCODE.NOERROR, dnslib.RCODE.NXDOMAIN):
                raise ResolutionError(f"the name server answers {dnslib.RCODE[answer.header.rcode]} for {name}")
            return answer
        raise AssertionError("unreachable")


def _read(answer: Any, name: str) -> tuple[float, str, list[str], float]:
    """From an answer: its TTL, the name that the aliases in it end at, addresses, and how long none is believed."""
    aliases = {str(each.rname).rstrip(".").lower(): each for each in answer.rr if each.rtype == dnslib.QTYPE.CNAME}
    ttl = float("inf")
    for _ in range(MAX_ALIASES):
        if name not in aliases:
            break
        ttl = min(ttl, aliases[name].ttl)
        name = str(aliases[name].rdata.label).rstrip(".").lower()
    records = [
        each for each in answer.rr if each.rtype == dnslib.QTYPE.A and str(each.rname).rstrip(".").lower() == name
    ]
    ttl = min([ttl, *(each.ttl for each in records)])
    negative = min([NEGATIVE_SECONDS, *(each.ttl for each in answer.auth if each.rtype == dnslib.QTYPE.SOA)])
    return ttl, name, [str(ipaddress.ip_address(str(each.rdata))) for each in records], negative
