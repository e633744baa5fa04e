"""A chat service in memory with the real one's interface, whose failures a test chooses."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any

from aiohttp import web


class Chat:
    """`fail` answers 503, `stall` keeps every answer back while it is cleared, `forget` loses a message."""

    def __init__(self) -> None:
        self.fail = False
        self.stall = asyncio.Event()
        self.stall.set()
        self.messages: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        application = web.Application(middlewares=[self._faults])
        application.router.add_post("/api/accounts", self._good)
        application.router.add_post("/api/session", self._good)
        application.router.add_post("/api/conversations", self._create)
        application.router.add_get("/api/conversations/{id}/messages", self._read)
        application.router.add_post("/api/conversations/{id}/messages", self._post)
        application.router.add_get("/api/conversations/{id}/live", self._live)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        assert self._runner is not None
        self.stall.set()
        await self._runner.cleanup()

    @web.middleware
    async def _faults(self, request: web.Request, handler: Any) -> web.StreamResponse:
        await self.stall.wait()
        if self.fail and request.path != "/api/accounts":
            return web.json_response({"error": {"code": "unavailable"}}, status=503)
        response: web.StreamResponse = await handler(request)
        return response

    async def _good(self, _: web.Request) -> web.Response:
        return web.json_response({}, headers={"x-release": "1.0.0"})

    async def _create(self, request: web.Request) -> web.Response:
        return web.json_response({"id": (await request.json())["title"]}, status=201)

    async def _post(self, request: web.Request) -> web.Response:
        given = await request.json()
        kept = self.messages[request.match_info["id"]]
        kept.append({"number": len(kept) + 1, "client_id": given["client_id"]})
        return web.json_response(kept[-1], status=201, headers={"x-release": "1.0.0", "x-task": "t"})

    async def _read(self, request: web.Request) -> web.Response:
        after = int(request.query.get("after", "0"))
        found = [message for message in self.messages[request.match_info["id"]] if message["number"] > after]
        return web.json_response({"messages": found[:50]}, headers={"x-release": "1.0.0"})

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(json.dumps({"type": "hello", "release": "1.0.0", "task": "t"}))
        async for _ in socket:
            pass
        return socket
