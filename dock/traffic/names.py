"""Finds a host as users do: through the dock's DNS server, asked again when an answer's time is over."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from dnslib import QTYPE, DNSError, DNSRecord

ATTEMPTS, ATTEMPT_SECONDS = 3, 1.0


class DockResolver(AbstractResolver):
    """Resolves by one DNS server, `host:port`, and keeps each answer for its TTL, not longer."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._known: dict[str, tuple[float, list[str]]] = {}

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        expires, addresses = self._known.get(host, (0.0, []))
        if time.monotonic() >= expires:
            ttl, addresses = await self._ask(host)
            self._known[host] = (time.monotonic() + ttl, addresses)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _ask(self, host: str) -> tuple[float, list[str]]:
        """TTL in seconds and the addresses. Raises OSError, as a resolver of the system would."""
        loop = asyncio.get_running_loop()
        question = DNSRecord.question(host)
        for _ in range(ATTEMPTS):
            transport, protocol = await loop.create_datagram_endpoint(_Reply, remote_addr=self._server)
            try:
                transport.sendto(question.pack())
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    answer = DNSRecord.parse(await protocol.data)
            except (TimeoutError, DNSError, OSError):
                continue
            finally:
                transport.close()
            found = [record for record in answer.rr if record.rtype == QTYPE.A]
            if not found:
                raise OSError(f"{host} has no address (DNS code {answer.header.rcode})")
            return float(min(record.ttl for record in found)), [str(record.rdata) for record in found]
        raise OSError(f"the DNS server {self._server[0]}:{self._server[1]} does not answer")


class _Reply(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.data: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self.data.done():
            self.data.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.data.done():
            self.data.set_exception(exc)
