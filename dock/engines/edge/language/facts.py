"""What an expression can know of a request, and which of Cloudflare's fields nobody can know on one machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from multidict import CIMultiDict, CIMultiDictProxy

from dock.engines.edge.language.addresses import Address

STRING, NUMBER, BOOLEAN, ADDRESS, STRINGS, MAP = "string", "number", "boolean", "address", "list of strings", "map"


class Facts:
    """One request. `path` and `query` are as they were sent; `lists` are the account's, by name."""

    def __init__(
        self,
        *,
        method: str,
        host: str,
        path: str,
        query: str,
        headers: CIMultiDict[str] | CIMultiDictProxy[str],
        address: Address,
        secure: bool,
        version: str = "HTTP/1.1",
        lists: Mapping[str, Any] | None = None,
        status: int | None = None,
    ) -> None:
        self.method = method
        self.host = host
        self.path = path
        self.query = query
        self.headers = headers
        self.address = address
        self.secure = secure
        self.version = version
        self.lists = lists or {}
        self.status = status

    @property
    def uri(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def full_uri(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.host}{self.uri}"

    @property
    def extension(self) -> str:
        """Of the path's last part, in lower case, without the dot."""
        name = self.path.rpartition("/")[2]
        return name.rpartition(".")[2].lower() if "." in name else ""

    @cached_property
    def header_lists(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            found.setdefault(name.lower(), []).append(value)
        return found

    @cached_property
    def cookies(self) -> dict[str, list[str]]:
        try:
            parsed = SimpleCookie(self.headers.get("Cookie", ""))
        except CookieError:
            return {}
        return {name: [morsel.value] for name, morsel in parsed.items()}

    @cached_property
    def arguments(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            found.setdefault(name, []).append(value)
        return found


Getter = Callable[[Facts], Any]

FIELDS: dict[str, tuple[str, Getter]] = {
    "http.cookie": (STRING, lambda facts: facts.headers.get("Cookie", "")),
    "http.host": (STRING, lambda facts: facts.host),
    "http.referer": (STRING, lambda facts: facts.headers.get("Referer", "")),
    "http.request.full_uri": (STRING, lambda facts: facts.full_uri),
    "http.request.method": (STRING, lambda facts: facts.method),
    "http.request.uri": (STRING, lambda facts: facts.uri),
    "http.request.uri.path": (STRING, lambda facts: facts.path),
    "http.request.uri.path.extension": (STRING, lambda facts: facts.extension),
    "http.request.uri.query": (STRING, lambda facts: facts.query),
    "http.request.version": (STRING, lambda facts: facts.version),
    "http.user_agent": (STRING, lambda facts: facts.headers.get("User-Agent", "")),
    "http.x_forwarded_for": (STRING, lambda facts: facts.headers.get("X-Forwarded-For", "")),
    "http.request.headers": (MAP, lambda facts: facts.header_lists),
    "http.request.cookies": (MAP, lambda facts: facts.cookies),
    "http.request.uri.args": (MAP, lambda facts: facts.arguments),
    "http.response.code": (NUMBER, lambda facts: facts.status),
    "ip.src": (ADDRESS, lambda facts: facts.address),
    "ssl": (BOOLEAN, lambda facts: facts.secure),
}
# Known once the origin has answered: in a counting expression alone.
OF_THE_RESPONSE = frozenset({"http.response.code"})
# Fields of Cloudflare's that take its network to know; an expression with one would never do what it says.
UNKNOWABLE = (
    "cf.",
    "ip.geoip.",
    "ip.src.",
    "http.request.body.",
    "http.request.jwt.",
    "http.request.timestamp.",
    "http.response.",
    "raw.http.",
)


def characteristic(name: str) -> Getter | None:
    """How a rate limit tells users apart by this characteristic; None for one that the dock doesn't know."""
    if name == "cf.colo.id":
        return lambda facts: ""
    if name in ("ip.src", "cf.unique_visitor_id"):
        return lambda facts: str(facts.address)
    for prefix, field in (
        ("http.request.headers", "header_lists"),
        ("http.request.cookies", "cookies"),
        ("http.request.uri.args", "arguments"),
    ):
        if name.startswith(f'{prefix}["') and name.endswith('"]'):
            key = name[len(prefix) + 2 : -2]
            key = key.lower() if field == "header_lists" else key
            return lambda facts: ",".join(getattr(facts, field).get(key, ()))
    if name in ("http.host", "http.request.uri.path"):
        return FIELDS[name][1]
    return None


def address(text: str) -> Address:
    """An IPv4 address that came in IPv6's clothes is IPv4."""
    found = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped or found
