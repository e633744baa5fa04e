"""The way to an origin: which address, which port, with or without TLS, and what can go wrong on it."""

from __future__ import annotations

import errno
import random
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.client_exceptions import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ConnectionTimeoutError,
)

from dock.engines.edge.language import Facts
from dock.engines.edge.model import Desire, Record, Zone
from dock.engines.edge.resolver import ResolutionError, Resolver

HTTP, HTTPS = 80, 443
# Idle connections to origins are kept so long: shorter than a load balancer keeps them.
KEEPALIVE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Origin:
    """`addresses` are tried in order. `verify`: None for an origin without TLS, False where its certificate is taken
    as it is, else the context that must accept it."""

    addresses: tuple[str, ...]
    port: int
    host_header: str
    secure: bool
    verify: ssl.SSLContext | bool
    server_name: str | None

    def base(self, address: str) -> str:
        return f"{'https' if self.secure else 'http'}://{address}:{self.port}"


# What an attempt to ask an origin may raise.
UNSENDABLE = (ClientError, TimeoutError, OSError)


class OriginError(Exception):
    """`code` is Cloudflare's."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def session(desire: Desire) -> ClientSession:
    """A client that follows nothing, keeps no cookies and changes no body."""
    return ClientSession(
        connector=TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        timeout=ClientTimeout(total=None, sock_connect=desire.connect_seconds, sock_read=desire.read_seconds),
        read_bufsize=2**18,
        max_line_size=2**16,
        max_field_size=2**16,
    )


async def find(
    zone: Zone,
    record: Record,
    facts: Facts,
    port: int,
    overrides: Mapping[str, Any],
    desire: Desire,
    resolver: Resolver,
) -> Origin:
    """Raises OriginError when the name leads nowhere. `port` is the one that the visitor came to."""
    mode = zone.settings["ssl"]
    secure = facts.secure and mode in ("full", "strict")
    plain_port = HTTP if port == HTTPS else port
    name = str(overrides.get("host") or record.name)
    addresses = record.addresses
    if name:
        inner = zone.records.get(name)
        if inner is not None and inner.addresses:
            addresses = inner.addresses
        else:
            try:
                addresses = await resolver.addresses(name)
            except ResolutionError as problem:
                raise OriginError(1016, str(problem)) from problem
    host = facts.host.partition(":")[0]
    return Origin(
        addresses=tuple(random.sample(addresses, len(addresses))) if len(addresses) > 1 else addresses,
        port=int(overrides.get("port") or (port if secure else plain_port)),
        host_header=str(overrides.get("host_header") or facts.headers.get("Host", facts.host)),
        secure=secure,
        verify=(desire.trust or True) if secure and mode == "strict" else False,
        server_name=host if secure else None,
    )


def failure(problem: Exception) -> OriginError:
    """What an attempt that failed before an answer came is called."""
    reason = f"{type(problem).__name__}: {problem}"
    if isinstance(problem, ClientConnectorCertificateError):
        return OriginError(526, reason)
    if isinstance(problem, ClientConnectorSSLError):
        # A certificate that isn't accepted ends the handshake too.
        return OriginError(526 if isinstance(problem.os_error, ssl.SSLCertVerificationError) else 525, reason)
    if isinstance(problem, ConnectionTimeoutError):
        return OriginError(522, reason)
    if isinstance(problem, ClientConnectorError):
        number = getattr(problem.os_error, "errno", None)
        if number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL):
            return OriginError(523, reason)
        return OriginError(522 if number == errno.ETIMEDOUT else 521, reason)
    if isinstance(problem, TimeoutError | socket.timeout):
        return OriginError(524, reason)
    return OriginError(520, reason)
