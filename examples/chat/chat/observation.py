"""Around every request: an id, a line in the log, a figure in the metrics, and an answer also when the code fails."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.logs import request_id
from chat.service import Service

log = logging.getLogger("chat.request")

# Asked for many times a second by load balancers and monitors: a line for each would bury the others.
_QUIET = frozenset({"/api/ping", "/api/health", "/api/health/db", "/metrics"})
_SLOW_SECONDS = 1.0
_USABLE_ID = re.compile(r"[A-Za-z0-9_.:=;-]{8,128}")


class Observation:
    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service
        self._constant_headers = {"x-release": service.settings.release, "x-task": service.task.name}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        identity = _identity(Headers(scope=scope))
        token = request_id.set(identity)
        status = 0
        metrics = self.service.metrics

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = identity
                for name, value in self._constant_headers.items():
                    headers[name] = value
                if self.service.draining:
                    headers["connection"] = "close"
            await send(message)

        metrics.in_flight.inc()
        try:
            try:
                await self.app(scope, receive, observed)
            except Exception:
                log.exception("request failed", extra={"method": scope["method"], "path": scope["path"]})
                if status:  # the answer has begun: cutting it off is the only honest end
                    raise
                await failure("internal_error", "something went wrong here", 500)(scope, receive, observed)
        finally:
            metrics.in_flight.dec()
            self._record(scope, status, time.perf_counter() - started)
            request_id.reset(token)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's template, never the path: a path may hold ids, and strangers could fill the memory with labels.
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "DELETE", "HEAD") else "other"
        self.service.metrics.requests.labels(method, route, str(status)).inc()
        self.service.metrics.duration.labels(route).observe(seconds)
        if route in _QUIET and status < 400 and seconds < _SLOW_SECONDS:
            return
        log.log(
            logging.WARNING if status >= 500 or not status else logging.INFO,
            "request",
            extra={
                "method": method,
                "route": route,
                "path": scope["path"][:200],
                "status": status,
                "duration_ms": round(1000 * seconds, 2),
            },
        )


def failure(code: str, message: str, status: int) -> JSONResponse:
    """Every failure has this shape, and the id to look for in the log."""
    headers = {"retry-after": "1"} if status == 503 else None
    return JSONResponse(
        {"error": {"code": code, "message": message}, "request_id": request_id.get()}, status, headers=headers
    )


def _identity(headers: Headers) -> str:
    """The caller's id, so that one request can be followed through the load balancer, else one of ours."""
    given = headers.get("x-request-id") or headers.get("x-amzn-trace-id") or ""
    return given if _USABLE_ID.fullmatch(given) else uuid.uuid4().hex
