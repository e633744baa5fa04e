"""Proof that a domain is yours: a CNAME in its zone, which the dock looks for in its own DNS server."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

import dnslib

if TYPE_CHECKING:
    from dock.cloud import Cloud

_TIMEOUT_SECONDS = 1.0


def record(account: str, domain: str) -> dict[str, str]:
    """The CNAME that proves a domain: the same for an account each time, as with AWS."""
    bare = domain.removeprefix("*.")
    digest = hashlib.sha256(f"{account}/{bare}".encode()).hexdigest()
    return {"Name": f"_{digest[:32]}.{bare}.", "Type": "CNAME", "Value": f"_{digest[32:]}.acm-validations.aws."}


async def is_there(cloud: Cloud, wanted: dict[str, Any]) -> bool:
    """Whether the dock's DNS server has it."""
    return await asyncio.to_thread(_ask, *cloud.addresses.dns, wanted)


def _ask(address: str, port: int, wanted: dict[str, Any]) -> bool:
    question = dnslib.DNSRecord.question(wanted["Name"], "CNAME")
    with contextlib.suppress(OSError, dnslib.DNSError):
        answer = dnslib.DNSRecord.parse(question.send(address, port, timeout=_TIMEOUT_SECONDS))
        return any(
            entry.rtype == dnslib.QTYPE.CNAME and str(entry.rdata).rstrip(".") == wanted["Value"].rstrip(".")
            for entry in answer.rr
        )
    return False
