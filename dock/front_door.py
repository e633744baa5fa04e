"""The one address that clients know: tells what a request is, decides who answers it, and answers."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web

from dock.access.principals import Authorized, root
from dock.authorization.callers import account_of_key
from dock.aws import errors
from dock.aws.own import OwnServices
from dock.aws.request import Identified, identify
from dock.aws.service import AwsError, Service
from dock.calls import Calls
from dock.emulator import EMULATED_SERVICES
from dock.emulator.forward import Forwarder
from dock.faults.api import ApiFaults, BrokenOffError
from dock.http import Answer

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 512 * 1024 * 1024
START_SECONDS = 60
# Clients keep connections open; a call that is being answered gets this long at the end.
SHUTDOWN_SECONDS = 3
# Carries `FrontDoor.internal_token` on the dock's own calls: faults and permissions are for its users.
INTERNAL_HEADER = "x-drydock-internal"

PathHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Authorize = Callable[[Identified], Awaitable[Authorized]]


class FrontDoor:
    """Serves what the dock does itself, and passes the rest on to the emulator.

    A call goes this way: identified, met by faults, authorized, acted on, met by faults again, recorded.
    `paths` are prefixes of the dock's own (task metadata, image layers): the longest that matches wins.
    """

    def __init__(self, services: dict[str, Service], emulator_url: str, faults: ApiFaults, calls: Calls) -> None:
        self.internal_token = uuid.uuid4().hex
        self.authorize: Authorize | None = None
        """Who asks, and in which account it is done; raises AwsError when the caller may not. Set before `start`."""
        self.acted: Callable[[Identified], None] = lambda _: None
        """Called after each operation."""
        self._own = OwnServices(services)
        self._emulator = Forwarder(emulator_url)
        self._faults = faults
        self._calls = calls
        self._paths: dict[str, PathHandler] = {}
        self._services_started = asyncio.Event()
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
        await self._emulator.start()
        await web.TCPSite(self._runner, address, port, backlog=512).start()

    def services_started(self) -> None:
        """From here on the dock's own services answer; until then their callers wait (the emulator's don't)."""
        self._services_started.set()

    async def until_started(self) -> None:
        """Wait until all of the dock's own services have started."""
        await self._services_started.wait()

    async def stop(self) -> None:
        """Finish what is being answered, then close."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self._emulator.stop()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        for prefix in sorted(self._paths, key=len, reverse=True):
            if request.path.startswith(prefix):
                return await self._paths[prefix](request)
        if not request.raw_path.startswith("/"):
            return web.Response(status=400, text="the dock is no proxy")
        identified = identify(request.method, request.raw_path, request.headers, await request.read())
        internal = request.headers.get(INTERNAL_HEADER) == self.internal_token
        answer = await (self._act_for(identified) if internal else self._meet(identified))
        if answer is not None:
            return answer.response()
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)

    async def _meet(self, identified: Identified) -> Answer | None:
        """The answer to a user's call; None when the connection is to break off instead."""
        began, account, request_id = time.time(), account_of_key(identified.access_key), str(uuid.uuid4())
        answer: Answer | None = None
        acted = False
        encounter = self._faults.encounter(identified, account)
        try:
            await encounter.before()
            if self.authorize is None:
                raise RuntimeError("the front door has nobody who authorizes")
            answer = await self._act(identified, await self.authorize(identified), request_id)
            acted = answer.succeeded
            answer = encounter.after(answer)
        except AwsError as refusal:
            answer = Answer(*errors.render(identified, refusal, request_id), request_id, refusal.code)
        except BrokenOffError:
            answer = None
        finally:
            self._calls.add(identified, account, began, answer, acted=acted, faults=encounter.names)
        return answer

    async def _act_for(self, identified: Identified) -> Answer:
        """The answer to a call of the dock's own."""
        request_id = str(uuid.uuid4())
        try:
            account = account_of_key(identified.access_key) or ""
            return await self._act(identified, Authorized(root(account), account), request_id)
        except AwsError as refusal:
            return Answer(*errors.render(identified, refusal, request_id), request_id, refusal.code)

    async def _act(self, identified: Identified, authorized: Authorized, request_id: str) -> Answer:
        try:
            if self._own.serves(identified):
                await self._until_started()
                return await self._own.answer(identified, authorized)
            if identified.signing_name in EMULATED_SERVICES:
                return await self._emulator.answer(identified, authorized.account, request_id)
        finally:
            self.acted(identified)
        raise AwsError(
            "UnsupportedOperation",
            f"the dock has no service {identified.signing_name!r}; see docs/differences-from-aws.md",
        )

    async def _until_started(self) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._services_started.wait()
        except TimeoutError:
            raise AwsError("ServiceUnavailable", "the dock is still starting; see `drydock status`", 503) from None
