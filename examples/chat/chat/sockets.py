"""The live WebSocket of a conversation.

From the client: `{"type": "message", "client_id": …, "text": …}`.
To the client: `hello`, `message` for each message after the number it asked for, `ack` once its own is committed,
`error` with a code. Closed with 1001 when the task ends, 4401 when nobody is logged in, 4404 for strangers.
"""

import asyncio
import json
import logging
import time
from contextlib import suppress
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import ValidationError
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from chat.accounts import Account
from chat.api import number
from chat.conversations import require_member
from chat.live import CATCH_UP_SECONDS, Listener
from chat.messages import NewMessage
from chat.problems import NotFound, Problem, Unauthenticated, Unavailable
from chat.service import Service, of

log = logging.getLogger(__name__)

SEND_SECONDS = 10.0

GOING_AWAY, NOT_TEXT, BAD_REQUEST, TRY_LATER, NOT_LOGGED_IN, NOT_FOUND = 1001, 1003, 1008, 1013, 4401, 4404


class Posted(NewMessage):
    type: Literal["message"]


async def live(socket: WebSocket) -> None:
    service = of(socket)
    with service.hub.socket():
        await socket.accept()
        code, reason = await _admitted(socket, service)
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(SEND_SECONDS):
                await socket.close(code, reason)


async def _admitted(socket: WebSocket, service: Service) -> tuple[int, str]:
    """Serve the socket to its end. Returns with which code to close it."""
    if (origin := socket.headers.get("origin")) and urlsplit(origin).netloc != socket.headers.get("host"):
        return BAD_REQUEST, "this page may not connect here"
    conversation = socket.path_params["conversation"]
    try:
        account = await service.account(socket)
        await require_member(service.database, account, conversation)
        after = number(socket.query_params.get("after", "0"))
    except Unauthenticated as problem:
        return NOT_LOGGED_IN, problem.message
    except NotFound as problem:
        return NOT_FOUND, problem.message
    except Unavailable as problem:
        return TRY_LATER, problem.message
    except Problem as problem:
        return BAD_REQUEST, problem.message
    service.metrics.websockets.inc()
    try:
        async with service.hub.listen(conversation, after) as listener:
            return await _conversation(socket, service, account, listener)
    finally:
        service.metrics.websockets.dec()


async def _conversation(socket: WebSocket, service: Service, account: Account, listener: Listener) -> tuple[int, str]:
    await _send(socket, {"type": "hello", "release": service.settings.release, "task": service.task.name})
    speaking = asyncio.create_task(_deliver(socket, service, listener))
    posting = asyncio.Lock()
    hearing = asyncio.create_task(_receive(socket, service, account, listener, posting))
    closing = asyncio.create_task(service.hub.closing.wait())
    jobs: set[asyncio.Task[Any]] = {speaking, hearing, closing}
    try:
        done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if closing.done() and posting.locked():  # what is being committed gets its acknowledgement first
            await asyncio.wait({hearing}, timeout=3.0)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
    if closing in done:
        return GOING_AWAY, "this task is ending: connect again"
    for job in done:
        match job.exception():
            case None | WebSocketDisconnect() | TimeoutError() | RuntimeError():
                continue
            case Unauthenticated() as problem:
                return NOT_LOGGED_IN, problem.message
            case KeyError():  # a binary frame has no text
                return NOT_TEXT, "send text"
            case unexpected:
                log.error("WebSocket failed", exc_info=unexpected)
                return 1011, "something went wrong here"
    return 1000, ""


async def _deliver(socket: WebSocket, service: Service, listener: Listener) -> None:
    admitted = time.monotonic()
    while True:
        try:
            if time.monotonic() - admitted >= CATCH_UP_SECONDS:
                await service.account(socket)  # someone who logged out hears nothing more
                admitted = time.monotonic()
            for message in await listener.next(service.database):
                await _send(socket, {"type": "message", "message": message.model_dump(mode="json")})
        except Unavailable:
            await asyncio.sleep(1.0)
            listener.look()


async def _receive(
    socket: WebSocket, service: Service, account: Account, listener: Listener, posting: asyncio.Lock
) -> None:
    while not service.hub.closing.is_set():
        text = await socket.receive_text()
        async with posting:
            await _send(socket, await _post(service, account, listener, text))


async def _post(service: Service, account: Account, listener: Listener, text: str) -> dict[str, Any]:
    """Commit what the client sent. Returns the answer to it."""
    client_id: object = None
    try:
        with suppress(ValueError, AttributeError):
            client_id = json.loads(text).get("client_id")
        posted = Posted.model_validate_json(text)
        message, _ = await service.post(account, listener.conversation, posted)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'message'}: {p['msg']}" for p in error.errors())
        return {"type": "error", "code": "invalid", "message": said, "client_id": client_id}
    except Problem as problem:
        return {"type": "error", "code": problem.code, "message": problem.message, "client_id": client_id}
    return {"type": "ack", "client_id": str(message.client_id), "number": message.number}


async def _send(socket: WebSocket, document: dict[str, Any]) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await socket.send_text(json.dumps(document, ensure_ascii=False))


ROUTES: list[BaseRoute] = [WebSocketRoute("/api/conversations/{conversation:uuid}/live", live)]
