"""One request: judged, answered from the cache, or passed on to the origin and its answer passed back."""

from __future__ import annotations

import logging
import secrets

from aiohttp import ClientResponse, ClientSession, web
from multidict import CIMultiDict
from yarl import URL

from dock.engines.edge import cache, origin, pages, websockets
from dock.engines.edge.challenge import COOKIE, PATH, Challenger
from dock.engines.edge.language import Facts
from dock.engines.edge.language.facts import address
from dock.engines.edge.messages import browser_ttl, from_cache, inward, outward, response
from dock.engines.edge.model import Desire, Zone
from dock.engines.edge.origin import UNSENDABLE, Origin, OriginError
from dock.engines.edge.policy import Verdict, cache_policy, judge, origin_overrides
from dock.engines.edge.rates import Counters
from dock.engines.edge.resolver import Resolver
from dock.engines.edge.tally import Tally

log = logging.getLogger(__name__)

# The one place of the dock's, where Cloudflare has airports.
COLO = "DCK"
_NO_BODY = frozenset({204, 304})
# An answer that is no longer than this goes out in one piece.
WHOLE_BYTES = 64 * 1024
_TLS = {"TLSv1": 1.0, "TLSv1.1": 1.1, "TLSv1.2": 1.2, "TLSv1.3": 1.3}


class Proxy:
    """`desire` is replaced as a whole when it changes: a request that is being answered goes on with its own."""

    def __init__(self) -> None:
        self.desire = Desire()
        self.cache = cache.Cache()
        self.counters = Counters()
        self.challenger = Challenger()
        self.resolver = Resolver()
        self.tally = Tally()
        self._session: ClientSession | None = None

    def use(self, desire: Desire) -> None:
        if self.desire.name_server != desire.name_server:
            self.resolver.server = desire.name_server
            self.resolver.forget()
        self.desire = desire

    async def start(self) -> None:
        self._session = origin.session(self.desire)

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The handler of the server."""
        ray = f"{secrets.token_hex(8)}-{COLO}"
        facts = self._facts(request)
        zone = self.desire.zone(facts.host)
        answer: web.StreamResponse
        if zone is None or not request.raw_path.startswith("/"):
            answer = pages.error(1001, facts.host, ray)
        elif not _secure_enough(request, zone):
            # As good as a handshake that failed: nothing is answered.
            if request.transport is not None:
                request.transport.close()
            return web.Response(status=403)
        else:
            facts.lists = zone.lists
            answer = await self._of_zone(request, facts, zone, ray)
        if not answer.prepared:
            _mark(answer, ray)
        self.tally.count(
            zone.name if zone else "-", answer.status, answer.headers.get("CF-Cache-Status", "none").lower()
        )
        return answer

    async def _of_zone(self, request: web.BaseRequest, facts: Facts, zone: Zone, ray: str) -> web.StreamResponse:
        if facts.path == PATH and request.method == "POST":
            return await self._solve(request, facts, zone, ray)
        cookie = facts.cookies.get(COOKIE, [""])[0] if "Cookie" in facts.headers else ""
        cleared = bool(cookie) and self.challenger.cleared(
            self.desire.secret, facts.address, facts.headers.get("User-Agent", ""), zone.name, cookie
        )
        verdict = judge(zone, facts, cleared, self.counters)
        if verdict.action != "pass":
            return self._refused(verdict, facts, ray)
        record = zone.record(facts.host)
        if record is None:
            return pages.error(1001, facts.host, ray)
        if "cloudflare" in facts.headers.get("CDN-Loop", "").lower():
            return pages.error(1000, facts.host, ray)
        port = _port(request)
        try:
            found = await origin.find(
                zone, record, facts, port, origin_overrides(zone, facts), self.desire, self.resolver
            )
            if websockets.wanted(request) and self._session is not None:
                return await websockets.carry(self._session, request, found, outward(request, facts, found, ray), ray)
            policy = cache_policy(zone, facts, self.cache.clock())
            if policy.looks_up(facts):
                return await self._cached(request, facts, zone, found, policy, ray)
            return await self._passed(request, facts, zone, found, policy, ray)
        except OriginError as problem:
            log.warning("%s: origin of %s: %s: %s", problem.code, facts.host, facts.uri, problem)
            return pages.error(problem.code, facts.host, ray)

    async def _passed(
        self, request: web.BaseRequest, facts: Facts, zone: Zone, found: Origin, policy: cache.Policy, ray: str
    ) -> web.StreamResponse:
        upstream = await self._ask(request, facts, found, outward(request, facts, found, ray))
        async with upstream:
            self._seen(zone, facts, upstream.status)
            status = "BYPASS" if policy.bypass and facts.method in ("GET", "HEAD") else "DYNAMIC"
            headers = inward(upstream.headers, status)
            return await self._relay(request, upstream, headers, ray)

    async def _cached(
        self, request: web.BaseRequest, facts: Facts, zone: Zone, found: Origin, policy: cache.Policy, ray: str
    ) -> web.StreamResponse:
        url, encodings = policy.key(facts), cache.encodings(facts.headers)
        now = self.cache.clock()
        entry = self.cache.get(zone.name, url, encodings)
        if entry is not None and entry.expires > now:
            return from_cache(request, entry, "HIT", now, policy)
        asking = outward(request, facts, found, ray)
        # What the cache keeps is whole: the visitor's own conditions are answered from it.
        for name in ("If-None-Match", "If-Modified-Since"):
            asking.popall(name, None)
        if entry is not None:
            asking.update(entry.validators)
        method = "GET" if request.method == "GET" or entry is not None else request.method
        upstream = await self._ask(request, facts, found, asking, method)
        async with upstream:
            self._seen(zone, facts, upstream.status)
            if entry is not None and upstream.status == 304:
                ttl = cache.lifetime(policy, facts, entry.status, upstream.headers, now)
                entry.expires = now + (ttl if ttl is not None else 0)
                return from_cache(request, entry, "REVALIDATED", now, policy)
            ttl = cache.lifetime(policy, facts, upstream.status, upstream.headers, now)
            length = int(upstream.headers.get("Content-Length", 0))
            headers = inward(upstream.headers, "BYPASS")
            if ttl is None or request.method != "GET" or length > cache.MAX_OBJECT_BYTES:
                return await self._relay(request, upstream, headers, ray)
            headers["CF-Cache-Status"] = "MISS" if entry is None else "EXPIRED"
            browser_ttl(headers, policy)
            fresh = cache.Entry(
                zone=zone.name,
                host=facts.host,
                url=url,
                status=upstream.status,
                headers=cache.kept_headers(inward(upstream.headers, "")),
                body=b"",
                stored=now,
                expires=now + ttl,
                tags=cache.tags(upstream.headers),
            )
            keep = cache.Keeping(self.cache, fresh, encodings)
            return await self._relay(request, upstream, headers, ray, keep)

    async def _relay(
        self,
        request: web.BaseRequest,
        upstream: ClientResponse,
        headers: CIMultiDict[str],
        ray: str,
        keep: cache.Keeping | None = None,
    ) -> web.StreamResponse:
        """The origin's answer to the visitor. An answer that breaks off breaks the visitor's connection as well."""
        length = upstream.headers.get("Content-Length")
        if request.method == "HEAD" or upstream.status in _NO_BODY:
            return response(upstream.status, headers, None, upstream.reason)
        if length is not None and length.isdigit() and int(length) <= WHOLE_BYTES:
            try:
                body = await upstream.read()
            except UNSENDABLE as problem:
                raise origin.failure(problem) from problem
            if keep is not None:
                keep.all(body)
            return response(upstream.status, headers, body, upstream.reason)
        streamed = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=headers)
        _mark(streamed, ray)
        await streamed.prepare(request)
        try:
            async for chunk in upstream.content.iter_any():
                if keep is not None:
                    keep.some(chunk)
                await streamed.write(chunk)
            await streamed.write_eof()
        except (*UNSENDABLE, ConnectionError) as problem:
            log.info("an answer broke off: %s %s: %r", request.method, request.raw_path, problem)
            if request.transport is not None:
                request.transport.abort()
            return streamed
        if keep is not None:
            keep.done()
        return streamed

    async def _ask(
        self,
        request: web.BaseRequest,
        facts: Facts,
        found: Origin,
        headers: CIMultiDict[str],
        method: str | None = None,
    ) -> ClientResponse:
        """The origin's answer, its body unread. A request is tried at the next address only if none of it was sent."""
        assert self._session is not None
        body = request.content if request.can_read_body else None
        last: OriginError | None = None
        for where in found.addresses:
            try:
                return await self._session.request(
                    method or request.method,
                    URL(found.base(where) + request.raw_path, encoded=True),
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                    ssl=found.verify,
                    server_hostname=found.server_name,
                )
            except UNSENDABLE as problem:
                last = origin.failure(problem)
                if last.code not in (521, 522, 523, 525, 526):
                    break
        raise last or OriginError(1016, f"{facts.host} has no address")

    async def _solve(self, request: web.BaseRequest, facts: Facts, zone: Zone, ray: str) -> web.Response:
        form = await request.post()
        back = facts.arguments.get("back", ["/"])[0]
        token, answer = str(form.get("token", "")), str(form.get("answer", ""))
        if not self.challenger.solved(self.desire.secret, facts.address, facts.host, token, answer):
            return self._challenge(facts, back, ray)
        seconds = int(zone.settings["challenge_ttl"])
        cookie = self.challenger.clearance(
            self.desire.secret, facts.address, facts.headers.get("User-Agent", ""), zone.name, seconds
        )
        # Nowhere else than to where the visitor was going on this host.
        location = back if back.startswith("/") and not back.startswith("//") else "/"
        through = web.Response(status=303, headers={"Location": location, "Cache-Control": "private, no-store"})
        through.set_cookie(
            COOKIE, cookie, max_age=seconds, path="/", domain=zone.name, httponly=True, samesite="Lax",
            secure=facts.secure,
        )  # fmt: skip
        return through

    def _refused(self, verdict: Verdict, facts: Facts, ray: str) -> web.Response:
        if verdict.action == "redirect":
            return web.Response(status=verdict.status, headers={"Location": verdict.location})
        log.info(
            "security: %s by %s: %s %s of %s", verdict.action, verdict.source, facts.method, facts.uri, facts.address
        )
        if verdict.action == "challenge":
            return self._challenge(facts, facts.uri, ray)
        headers = {"Retry-After": str(verdict.retry_after)} if verdict.retry_after is not None else {}
        if own := verdict.response:
            return web.Response(
                status=own["status_code"],
                body=own.get("content", "").encode(),
                headers={"Content-Type": own["content_type"], **headers},
            )
        return pages.error(verdict.error, facts.host, ray, headers)

    def _challenge(self, facts: Facts, back: str, ray: str) -> web.Response:
        page = self.challenger.page(self.desire.secret, facts.address, facts.host, back, ray)
        headers = {"cf-mitigated": "challenge", "Cache-Control": "private, no-store"}
        return web.Response(status=403, text=page, content_type="text/html", headers=headers)

    def _seen(self, zone: Zone, facts: Facts, status: int) -> None:
        if zone.rates:
            facts.status = status
            self.counters.answered(zone.rates, facts, by_origin=True)

    @staticmethod
    def _facts(request: web.BaseRequest) -> Facts:
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        path, _, query = request.raw_path.partition("?")
        return Facts(
            method=request.method,
            host=request.headers.get("Host", "").partition(":")[0].lower(),
            path=path,
            query=query,
            headers=request.headers,
            # A visitor who is gone already has none; nobody will see the answer.
            address=address(peer[0] if peer else "127.0.0.1"),
            secure=request.secure,
            version=f"HTTP/{request.version.major}.{request.version.minor}",
        )


def _port(request: web.BaseRequest) -> int:
    name = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return int(name[1]) if name else 80


def _secure_enough(request: web.BaseRequest, zone: Zone) -> bool:
    if not request.secure or request.transport is None:
        return True
    tls = request.transport.get_extra_info("ssl_object")
    version = _TLS.get(tls.version() or "", 1.3) if tls is not None else 1.3
    return version >= float(zone.settings["min_tls_version"])


def _mark(answer: web.StreamResponse, ray: str) -> None:
    answer.headers["CF-Ray"] = ray
    answer.headers["Server"] = "cloudflare"
