"""The API's address: who asks, what, how often; and the answer in Cloudflare's envelope."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
import uuid
from typing import TYPE_CHECKING, Any

from aiohttp import web

from dock.cloudflare.errors import ApiError
from dock.cloudflare.plans import API_REQUESTS, API_SECONDS
from dock.cloudflare.route import PAGING, Call, Page, Part, Route
from dock.cloudflare.tokens import READ, WRITE, Token
from dock.engines.edge.process import EdgeError

if TYPE_CHECKING:
    from dock.cloudflare.cloudflare import Cloudflare

log = logging.getLogger(__name__)

BASE = "/client/v4"
PORT = 4567
MAX_BODY_BYTES = 16 * 1024 * 1024
SHUTDOWN_SECONDS = 3
START_SECONDS = 60


class Api:
    """Serves the routes of its parts. Calls wait until the dock has started."""

    def __init__(self, cloudflare: Cloudflare, parts: list[Part]) -> None:
        self._cloudflare = cloudflare
        self._routes = [(route, part) for part in parts for route in part.routes()]
        # A fixed name comes before a parameter in its place.
        self._routes.sort(key=lambda entry: entry[0].template.replace("{", "~"))
        self._started = asyncio.Event()
        self._windows: dict[str, tuple[float, int]] = {}
        self._runner: web.AppRunner | None = None

    async def start(self, address: str) -> None:
        """Listen. Raises OSError when the port is taken."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, address, PORT).start()

    def started(self) -> None:
        self._started.set()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        async with asyncio.timeout(START_SECONDS):
            await self._started.wait()
        began = time.perf_counter()
        ray = uuid.uuid4().hex[:16]
        headers: dict[str, str] = {"CF-Ray": f"{ray}-DCK", "Server": "cloudflare"}
        info: dict[str, Any] | None = None
        result: Any = None
        errors: list[dict[str, Any]] = []
        status, outcome = 200, "ok"
        try:
            token = self._cloudflare.tokens.find(request.headers.get("Authorization"))
            headers.update(self._limited(token))
            result = await self._call(request, token)
            if isinstance(result, Page):
                result, info = result.result, result.info
        except ApiError as error:
            status, outcome = _status(request, error), str(error.code)
            headers.update(error.headers)
            errors = [{"code": error.code, "message": error.message}]
        except EdgeError as error:
            status, outcome = 503, "the edge"
            errors = [{"code": 10013, "message": f"it is stored, but the edge does not act on it: {error}"}]
            log.error("%s %s: %s", request.method, request.path, error)
        except sqlite3.OperationalError as error:
            status, outcome = 500, "not stored"
            errors = [{"code": 10013, "message": f"the dock could not store its record: {error}"}]
            log.error("%s %s could not be stored: %s", request.method, request.path, error)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            status, outcome = 500, "failed"
            errors = [{"code": 10013, "message": f"the dock failed; its log has request {ray}"}]
        log.info("%s %s %s %.1f ms", request.method, request.path, outcome, (time.perf_counter() - began) * 1000)
        if status == 200 and request.method == "DELETE" and result is None:
            return web.Response(status=204, headers=headers)
        envelope = {"success": not errors, "errors": errors, "messages": [], "result": result}
        if info is not None:
            envelope["result_info"] = info
        return web.json_response(envelope, status=status, headers=headers)

    async def _call(self, request: web.Request, token: Token) -> Any:
        path = request.path.removeprefix(BASE)
        methods = []
        for route, part in self._routes:
            if (match := route.pattern.fullmatch(path)) is None:
                continue
            if route.method != request.method:
                methods.append(route.method)
                continue
            named = match.groupdict()
            call = Call(token, named, dict(request.query), await _body(request))
            self._permit(route, token, named)
            _refuse_unknown(route, call)
            return await route.handler(part, call)
        if methods:
            raise ApiError(10405, f"Method {request.method} not allowed here: {', '.join(sorted(methods))}", 405)
        raise ApiError(7003, f"Could not route to {path}: the dock has no such call", 404)

    def _permit(self, route: Route, token: Token, named: dict[str, str]) -> None:
        if not route.permission:
            return
        zone, account = named.get("zone_id"), named.get("account_id")
        if zone is not None:
            account = next(
                (each["account"] for each in self._cloudflare.records.every_zone() if each["id"] == zone), None
            )
        elif route.template == "/zones" and route.method == "GET":
            # Those are listed that the token may read.
            return
        elif route.template == "/zones":
            zone = "*"
        level = READ if route.method == "GET" else WRITE
        if not token.may(route.permission, level, zone, account):
            raise ApiError(10000, "Authentication error", 403)

    def _limited(self, token: Token) -> dict[str, str]:
        """The headers that say how much is left. Raises ApiError when nothing is."""
        now = time.monotonic()
        began, count = self._windows.get(token.id, (now, 0))
        if now - began >= API_SECONDS:
            began, count = now, 0
        self._windows[token.id] = (began, count + 1)
        left, wait = API_REQUESTS - count - 1, int(API_SECONDS - (now - began)) + 1
        headers = {
            "Ratelimit": f'"default";r={max(left, 0)};t={wait}',
            "Ratelimit-Policy": f'"default";q={API_REQUESTS};w={API_SECONDS}',
        }
        if left < 0:
            raise ApiError(
                971,
                "Please wait and consider throttling your request speed",
                429,
                {**headers, "Retry-After": str(wait)},
            )
        return headers


async def _body(request: web.Request) -> Any:
    raw = await request.read()
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError:
        raise ApiError(6007, "Malformed JSON in request body") from None
    if not isinstance(body, dict | list):
        raise ApiError(6007, "the body must be an object or a list")
    return body


def _refuse_unknown(route: Route, call: Call) -> None:
    known = route.acts | route.records
    if "*" in known:
        return
    if isinstance(call.body, list):
        raise ApiError(6007, "the body must be an object")
    given = set(call.body) | (set(call.query) - PAGING)
    if beyond := sorted(given - known):
        raise ApiError(
            1004,
            f"the dock does not act on {', '.join(beyond)} of {route.method} {route.template};"
            " see docs/differences-from-aws.md",
        )


def _status(request: web.Request, error: ApiError) -> int:
    # A token that is checked by itself has another answer.
    if error.code == 10000 and request.path.endswith("/user/tokens/verify"):
        error.code, error.message = 1000, "Invalid API Token"
        return 401
    return error.status
