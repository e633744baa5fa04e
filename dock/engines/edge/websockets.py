"""WebSockets through the edge."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiohttp import ClientSession, WSCloseCode, WSMessage, WSMsgType, WSServerHandshakeError, web
from multidict import CIMultiDict
from yarl import URL

from dock.engines.edge.messages import inward, response
from dock.engines.edge.origin import UNSENDABLE, Origin, failure


def wanted(request: web.BaseRequest) -> bool:
    return (
        request.headers.get("Upgrade", "").lower() == "websocket"
        and "upgrade" in request.headers.get("Connection", "").lower()
    )


async def carry(
    session: ClientSession, request: web.BaseRequest, found: Origin, headers: CIMultiDict[str], ray: str
) -> web.StreamResponse:
    """Messages, pings and closes go through as they are. Raises OriginError when there is nobody to talk to."""
    protocols = tuple(part.strip() for part in headers.pop("Sec-WebSocket-Protocol", "").split(",") if part.strip())
    for name in [name for name in headers if name.lower().startswith("sec-websocket-")]:
        headers.popall(name, None)
    try:
        upstream = await session.ws_connect(
            URL(found.base(found.addresses[0]) + request.raw_path, encoded=True),
            headers=headers,
            protocols=protocols,
            autoping=False,
            max_msg_size=0,
            ssl=found.verify,
            server_hostname=found.server_name,
        )
    except WSServerHandshakeError as refusal:
        return response(refusal.status, inward(refusal.headers or {}, "DYNAMIC"), b"", None)
    except UNSENDABLE as problem:
        raise failure(problem) from problem
    visitor = web.WebSocketResponse(
        protocols=(upstream.protocol,) if upstream.protocol else (), autoping=False, autoclose=False, max_msg_size=0
    )
    visitor.headers["CF-Ray"] = ray
    async with upstream:
        await visitor.prepare(request)
        pumps = [asyncio.create_task(_pump(visitor, upstream)), asyncio.create_task(_pump(upstream, visitor))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            code = upstream.close_code or visitor.close_code or WSCloseCode.GOING_AWAY
            with contextlib.suppress(ConnectionError, RuntimeError):
                # One that broke off has no code that could be sent.
                abnormal = code == WSCloseCode.ABNORMAL_CLOSURE
                await visitor.close(code=WSCloseCode.INTERNAL_ERROR if abnormal else code)
    return visitor


async def _pump(source: Any, sink: Any) -> None:
    while True:
        message: WSMessage = await source.receive()
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        elif message.type is WSMsgType.PING:
            await sink.ping(message.data)
        elif message.type is WSMsgType.PONG:
            await sink.pong(message.data)
        elif message.type is WSMsgType.CLOSE:
            await sink.close(code=message.data or 1000, message=(message.extra or "").encode())
            return
        else:
            return
