"""One health check request: what it is asked for, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

# Seconds and bytes as in the Route 53 developer guide, "How Route 53 determines whether a health check is healthy".
CONNECT_SECONDS = 4
ANSWER_SECONDS = 2
BODY_SECONDS = 2
TCP_SECONDS = 10
SEARCHED_BYTES = 5120

Lookup = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to ask. `address` is None when `host` has to be looked up; `search` is None unless a text in the
    body counts too."""

    protocol: str
    """tcp, http or https."""
    address: str | None
    host: str | None
    port: int
    path: str
    search: str | None
    sni: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """`text` as GetHealthCheckStatus words it."""

    passed: bool
    text: str


def _failed(reason: str) -> Outcome:
    return Outcome(False, f"Failure: {reason}")


async def probe(endpoint: Endpoint, source: str, agent: str, lookup: Lookup) -> Outcome:
    """Ask once, from the address `source`. Never raises: what goes wrong is the outcome."""
    address = endpoint.address
    if address is None:
        assert endpoint.host is not None
        found = _literal(endpoint.host) or lookup(endpoint.host)
        if not found:
            return _failed(f"DNS resolution failed: {endpoint.host} has no address in the dock's zones")
        address = found[0]
    if not ipaddress.ip_address(address).is_loopback:
        return _failed(f"{address} is not on this machine, and the dock's checkers reach no other")
    try:
        if endpoint.protocol == "tcp":
            return await _connect(address, endpoint.port, source)
        return await _ask(endpoint, address, source, agent)
    except TimeoutError:
        return _failed("The health checker could not get an answer from the endpoint within the timeout limit.")
    except (OSError, ClientError) as problem:
        cause = getattr(problem, "os_error", problem)
        return _failed(f"The health checker could not establish a connection to the endpoint: {cause}")
    except Exception as problem:
        return _failed(f"The endpoint's answer is not HTTP: {type(problem).__name__}")


async def _connect(address: str, port: int, source: str) -> Outcome:
    async with asyncio.timeout(TCP_SECONDS):
        _, writer = await asyncio.open_connection(address, port, local_addr=(source, 0))
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Outcome(True, "Success: TCP connection established")


async def _ask(endpoint: Endpoint, address: str, source: str, agent: str) -> Outcome:
    host = endpoint.host or address
    usual = {"http": 80, "https": 443}[endpoint.protocol]
    headers = {"Host": host if endpoint.port == usual else f"{host}:{endpoint.port}", "User-Agent": agent}
    name = endpoint.host if endpoint.sni and endpoint.host and not _literal(endpoint.host) else None
    # A connection of its own for each check, as a checker makes it.
    connector = TCPConnector(local_addr=(source, 0), ssl=_unverified(), force_close=True)
    timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS)
    async with ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        async with asyncio.timeout(CONNECT_SECONDS + ANSWER_SECONDS):
            answer = await session.get(
                f"{endpoint.protocol}://{address}:{endpoint.port}{endpoint.path}",
                headers=headers,
                allow_redirects=False,
                server_hostname=name,
            )
        async with answer:
            said = f"HTTP Status Code {answer.status}, {answer.reason}"
            if not 200 <= answer.status < 400:
                return _failed(said)
            if endpoint.search is None:
                return Outcome(True, f"Success: {said}")
            body = b""
            async with asyncio.timeout(BODY_SECONDS):
                while len(body) < SEARCHED_BYTES and (more := await answer.content.read(SEARCHED_BYTES - len(body))):
                    body += more
            if endpoint.search.encode() in body:
                return Outcome(True, f"Success: {said}, String Found")
            return _failed(f"{said}, String Not Found")


def _literal(host: str) -> list[str]:
    with contextlib.suppress(ValueError):
        return [str(ipaddress.IPv4Address(host.rstrip(".")))]
    return []


_context: ssl.SSLContext | None = None


def _unverified() -> ssl.SSLContext:
    """Route 53 looks at no certificate: whether the endpoint answers is what counts."""
    global _context
    if _context is None:
        _context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _context.check_hostname = False
        _context.verify_mode = ssl.CERT_NONE
    return _context
