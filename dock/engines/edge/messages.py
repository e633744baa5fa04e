"""Requests and answers on their way through: which headers go on, which are the edge's own."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web
from multidict import CIMultiDict

from dock.engines.edge import cache
from dock.engines.edge.language import Facts
from dock.engines.edge.origin import Origin

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade"}
)  # fmt: skip


def outward(request: web.BaseRequest, facts: Facts, found: Origin, ray: str) -> CIMultiDict[str]:
    """The visitor's headers as the origin gets them."""
    named = {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
    headers = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if (lower := name.lower()) not in _HOP_BY_HOP and lower not in named and lower != "host"
    )
    visitor, scheme = str(facts.address), "https" if facts.secure else "http"
    headers["Host"] = found.host_header
    forwarded = headers.popall("X-Forwarded-For", [])
    headers["X-Forwarded-For"] = ", ".join([*forwarded, visitor])
    headers["X-Forwarded-Proto"] = scheme
    headers["CF-Connecting-IP"] = visitor
    headers["CF-Ray"] = ray
    headers["CF-Visitor"] = f'{{"scheme":"{scheme}"}}'
    headers["CF-IPCountry"] = "XX"
    headers["CDN-Loop"] = "cloudflare"
    return headers


def from_cache(
    request: web.BaseRequest, entry: cache.Entry, status: str, now: float, policy: cache.Policy
) -> web.Response:
    """What the cache keeps, as an answer; `status` is what it says of that."""
    headers = entry.headers.copy()
    headers["CF-Cache-Status"] = status
    headers["Age"] = str(int(now - entry.stored))
    browser_ttl(headers, policy)
    etag = entry.headers.get("ETag")
    asked = request.headers.get("If-None-Match")
    if asked is not None and etag is not None and (asked == "*" or etag in [part.strip() for part in asked.split(",")]):
        headers.popall("Content-Length", None)
        return response(304, headers, None, None)
    return response(entry.status, headers, entry.body if request.method == "GET" else None, None)


def browser_ttl(headers: CIMultiDict[str], policy: cache.Policy) -> None:
    """What browsers are told: the origin's word, unless a rule or the zone says more."""
    mode, seconds = policy.browser.get("mode"), int(policy.browser.get("default") or 0)
    if mode == "bypass":
        headers["Cache-Control"] = "no-store, no-cache, max-age=0"
    elif (mode == "override_origin" and seconds) or (mode == "zone" and seconds and "Cache-Control" not in headers):
        headers["Cache-Control"] = f"max-age={seconds}"


def response(status: int, headers: Mapping[str, str], body: bytes | None, reason: str | None) -> web.Response:
    """An answer in one piece, with exactly these headers."""
    made = web.Response(status=status, body=body, reason=reason)
    made.headers.clear()
    for name, value in headers.items():
        if body is None or name.lower() != "content-length":
            made.headers.add(name, value)
    return made


def inward(headers: Mapping[str, str], cache_status: str) -> CIMultiDict[str]:
    """The origin's headers as the visitor gets them."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    passed = CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if (lower := name.lower()) not in _HOP_BY_HOP and lower not in named and lower not in ("server", "cf-ray")
    )
    if cache_status:
        passed["CF-Cache-Status"] = cache_status
    return passed
