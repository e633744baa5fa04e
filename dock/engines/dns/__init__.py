"""The DNS server with its health checkers: a data plane of its own, which goes on when the dock's daemon doesn't."""

from __future__ import annotations

from dock.engines.dns.process import DnsServer, DnsServerError

__all__ = ["DnsServer", "DnsServerError"]
