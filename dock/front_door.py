"""The one address that clients know: decides who answers an AWS request, and answers."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

from dock.aws import wire
from dock.aws.service import AwsError, Call, Operation, Service
from dock.emulator import EMULATED_SERVICES, WRITE_HEADER, is_write

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 512 * 1024 * 1024
EMULATOR_TIMEOUT_SECONDS = 60
START_SECONDS = 60
# Clients keep connections open; a call that is being answered gets this long at the end.
SHUTDOWN_SECONDS = 3
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "content-length"})

PathHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose signature a request carries, and for which service and region."""

    access_key: str
    region: str
    signing_name: str


class FrontDoor:
    """Serves what the dock does itself, and passes the rest on to the emulator.

    `paths` are prefixes of the dock's own (task metadata, image layers): the longest that matches wins.
    """

    def __init__(self, services: dict[str, Service], emulator_url: str) -> None:
        self._services = {wire.service_model(name).signing_name: service for name, service in services.items()}
        self._operations = {name: service.operations() for name, service in services.items()}
        self._emulator_url = emulator_url
        self._paths: dict[str, PathHandler] = {}
        self._services_started = asyncio.Event()
        self._session: ClientSession | None = None
        self._runner: web.AppRunner | None = None

    def add_path(self, prefix: str, handler: PathHandler) -> None:
        """Serve every path that starts with `prefix`, without a signature."""
        self._paths[prefix] = handler

    async def start(self, address: str, port: int) -> None:
        """Listen. Raises OSError when the port is taken."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await self._runner.setup()
        self._session = ClientSession(
            auto_decompress=False,
            connector=TCPConnector(limit=64),
            timeout=ClientTimeout(total=EMULATOR_TIMEOUT_SECONDS),
        )
        await web.TCPSite(self._runner, address, port, backlog=512).start()

    def services_started(self) -> None:
        """From here on the dock's own services answer; until then their callers wait (the emulator's don't)."""
        self._services_started.set()

    async def stop(self) -> None:
        """Finish what is being answered, then close."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        for prefix in sorted(self._paths, key=len, reverse=True):
            if request.path.startswith(prefix):
                return await self._paths[prefix](request)
        identity = _identity(request)
        if identity is None:
            # Anonymous requests are S3's (a presigned URL of the older form, a public object).
            return await self._pass_on(request, "s3")
        service = self._services.get(identity.signing_name)
        if service is not None:
            return await self._serve(request, service, identity)
        if identity.signing_name in EMULATED_SERVICES:
            return await self._pass_on(request, identity.signing_name)
        message = f"the dock has no service {identity.signing_name!r}; see docs/differences-from-aws.md"
        return web.json_response({"__type": "UnsupportedOperation", "message": message}, status=400)

    async def _serve(self, request: web.Request, service: Service, identity: Identity) -> web.Response:
        model = wire.service_model(service.name)
        request_id = str(uuid.uuid4())
        async with asyncio.timeout(START_SECONDS):
            await self._services_started.wait()
        began = time.perf_counter()
        name = "?"
        try:
            operation_model, parameters = wire.parse(model, request.headers, await request.read())
            name = operation_model.name
            declared = self._declared(service, name, parameters)
            call = Call(_account(identity.access_key), identity.region, service.name, name, request_id)
            response = await declared.handler(service, call, parameters)
            content_type, body = wire.render(operation_model, response, request_id)
            status, outcome = 200, "ok"
        except AwsError as error:
            status, content_type, body = wire.render_error(model, error, request_id)
            outcome = error.code
        except sqlite3.OperationalError as error:
            failure = AwsError("InternalFailure", f"the dock could not store its record: {error}", 500)
            status, content_type, body = wire.render_error(model, failure, request_id)
            log.error("%s:%s could not be stored: %s", service.name, name, error)
            outcome = failure.code
        except Exception:
            log.exception("%s:%s failed", service.name, name)
            failure = AwsError("InternalFailure", f"the dock failed; its log has request {request_id}", 500)
            status, content_type, body = wire.render_error(model, failure, request_id)
            outcome = failure.code
        log.info("%s:%s %s %.1f ms", service.name, name, outcome, (time.perf_counter() - began) * 1000)
        return web.Response(
            status=status, body=body, headers={"Content-Type": content_type, "x-amzn-RequestId": request_id}
        )

    def _declared(self, service: Service, name: str, parameters: dict[str, object]) -> Operation:
        declared = self._operations[service.name].get(name)
        if declared is None:
            raise AwsError(
                "UnsupportedOperation", f"the dock does not do {service.name}:{name}; see docs/differences-from-aws.md"
            )
        beyond = sorted(set(parameters) - declared.acts - declared.records)
        if beyond:
            raise AwsError(
                "UnsupportedOperation",
                f"the dock does not act on {', '.join(beyond)} of {service.name}:{name};"
                " see docs/differences-from-aws.md",
            )
        return declared

    async def _pass_on(self, request: web.Request, service: str) -> web.StreamResponse:
        body = await request.read()
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP and name.lower() != WRITE_HEADER
        }
        if is_write(service, request.method, request.headers.get("X-Amz-Target", ""), request.query_string, body):
            headers[WRITE_HEADER] = service
        if self._session is None:
            raise RuntimeError("the front door is closed")
        try:
            async with self._session.request(
                request.method,
                self._emulator_url + request.raw_path,
                headers=headers,
                data=body,
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
                passed = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP]
                if request.method == "HEAD" and "Content-Length" in answer.headers:
                    passed.append(("Content-Length", answer.headers["Content-Length"]))
                response = web.Response(status=answer.status, body=content or None)
                response.headers.clear()
                for header, value in passed:
                    response.headers.add(header, value)
                return response
        except (ClientError, TimeoutError) as problem:
            log.warning("the emulator did not answer %s: %r", service, problem)
            message = f"the dock's emulator does not answer for {service}: {type(problem).__name__}"
            return web.json_response({"__type": "ServiceUnavailable", "message": message}, status=503)


def _identity(request: web.Request) -> Identity | None:
    match = _CREDENTIAL.search(request.headers.get("Authorization", ""))
    if match is None:
        credential = parse_qs(request.query_string).get("X-Amz-Credential", [""])[0]
        match = _CREDENTIAL.search(f"Credential={credential}")
    return Identity(match[1], match[2], match[3]) if match else None


def _account(access_key: str) -> str:
    """The account of an access key: a 12-digit key is that account's root user, a session key carries it inside."""
    if len(access_key) == 12 and access_key.isdigit():
        return access_key
    raise AwsError(
        "UnrecognizedClientException",
        'the dock knows an access key that is a 12-digit account number; run `eval "$(drydock env)"`',
        403,
    )
