"""Names as the world of the dock has them: this process asks the dock's DNS server before the machine's own."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import dnslib

_TIMEOUT_SECONDS = 1.0


@contextlib.contextmanager
def answered_by(server: str) -> Iterator[None]:
    """While this is entered, host names are looked up at `server` (`address:port`) first. Of this process alone."""
    address, _, port = server.rpartition(":")
    before = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        return before(_resolved(host, address, int(port)), *arguments, **options)

    socket.getaddrinfo = getaddrinfo
    try:
        yield
    finally:
        socket.getaddrinfo = before


def _resolved(host: Any, address: str, port: int) -> Any:
    if not isinstance(host, str) or "." not in host:
        return host
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return host
    with contextlib.suppress(OSError, dnslib.DNSError):
        answer = dnslib.DNSRecord.parse(
            dnslib.DNSRecord.question(host, "A").send(address, port, timeout=_TIMEOUT_SECONDS)
        )
        for entry in answer.rr:
            if entry.rtype == dnslib.QTYPE.A:
                return str(entry.rdata)
    return host
