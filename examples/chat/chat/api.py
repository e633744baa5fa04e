"""The HTTP interface. Each handler reads, asks one noun, answers."""

import asyncio
import logging
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from chat import accounts, characters, conversations, health, messages, metrics, payments, schema, voice
from chat.problems import Invalid, NotFound, PaymentDeclined, TooLarge
from chat.service import COOKIE, of

log = logging.getLogger(__name__)

BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0

Body = TypeVar("Body", bound=BaseModel)


async def body(request: Request, model: type[Body]) -> Body:
    """The request's JSON. Raises Invalid, TooLarge. Anything but JSON is refused, so that a foreign page's form
    can't post here with the visitor's cookie."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Invalid("send JSON with content-type: application/json", code="not_json")
    received = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                received += chunk
                if len(received) > BODY_BYTES:
                    raise TooLarge(f"a request may have {BODY_BYTES} bytes")
    except TimeoutError as error:
        raise Invalid(f"the request's body did not arrive in {BODY_SECONDS:.0f} s", code="too_slow") from error
    try:
        return model.model_validate_json(bytes(received))
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        said = "; ".join(f"{'.'.join(str(part) for part in p['loc']) or 'body'}: {p['msg']}" for p in problems)
        raise Invalid(said) from None


def document(model: BaseModel, status: int = 200) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")


def documents(name: str, models: list[Body]) -> Response:
    return JSONResponse({name: [model.model_dump(mode="json") for model in models]})


# Accounts


async def register(request: Request) -> Response:
    account = await accounts.register(of(request).database, await body(request, accounts.Credentials))
    return await _logged_in(request, account, 201)


async def log_in(request: Request) -> Response:
    service = of(request)
    account = await accounts.log_in(service.database, service.redis, await body(request, accounts.Credentials))
    return await _logged_in(request, account, 200)


async def _logged_in(request: Request, account: accounts.Account, status: int) -> Response:
    token = await accounts.open_session(of(request).redis, account)
    response = document(account, status)
    response.set_cookie(
        COOKIE,
        token,
        max_age=accounts.SESSION_SECONDS,
        httponly=True,
        samesite="lax",
        # TLS ends at the load balancer, which says so in this header.
        secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
    )
    return response


async def who_am_i(request: Request) -> Response:
    return document(await of(request).account(request))


async def log_out(request: Request) -> Response:
    await accounts.close_session(of(request).redis, request.cookies.get(COOKIE))
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return response


# Conversations and messages


async def list_conversations(request: Request) -> Response:
    service = of(request)
    account = await service.account(request)
    found = await conversations.of_account(service.database, account, topics=service.feature("topics"))
    return documents("conversations", found)


async def create_conversation(request: Request) -> Response:
    service = of(request)
    account = await service.account(request)
    created = await conversations.create(service.database, account, await body(request, conversations.NewConversation))
    found = await conversations.of_account(service.database, account, topics=service.feature("topics"), only=created)
    return document(found[0], 201)


async def invite(request: Request) -> Response:
    service = of(request)
    account = await service.account(request)
    guest = await body(request, conversations.NewMember)
    await conversations.invite(service.database, account, request.path_params["conversation"], guest.name)
    return Response(status_code=204)


async def change_topic(request: Request) -> Response:
    service = of(request)
    if not service.feature("topics"):
        raise NotFound("this release has no topics")
    account = await service.account(request)
    new = await body(request, conversations.NewTopic)
    await conversations.change_topic(service.database, account, request.path_params["conversation"], new.topic)
    return Response(status_code=204)


async def list_messages(request: Request) -> Response:
    """Without `after` the most recent, from the cache; with it those that follow, from the database."""
    service = of(request)
    conversation: UUID = request.path_params["conversation"]
    await conversations.require_member(service.database, await service.account(request), conversation)
    if (after := request.query_params.get("after")) is not None:
        return documents("messages", await messages.after(service.database, conversation, number(after)))
    found, cached = await messages.recent(service.database, service.redis, conversation)
    service.metrics.recent.labels("hit" if cached else "miss").inc()
    return documents("messages", found)


async def post_message(request: Request) -> Response:
    """201 for a new message, 200 for one that was here before: it is committed in both cases."""
    service = of(request)
    account = await service.account(request)
    new = await body(request, messages.NewMessage)
    message, created = await service.post(account, request.path_params["conversation"], new)
    return document(message, 201 if created else 200)


async def voice_of_message(request: Request) -> Response:
    """200 with a WAV file, or 202 while it is being made: ask again."""
    service = of(request)
    conversation, wanted = request.path_params["conversation"], request.path_params["number"]
    await conversations.require_member(service.database, await service.account(request), conversation)
    found = await messages.after(service.database, conversation, wanted - 1, limit=1)
    if not found or found[0].number != wanted:
        raise NotFound("there is no such message")
    audio = await voice.ask(service.redis, conversation, wanted, found[0].text)
    if audio is None:
        return JSONResponse({"status": "queued"}, 202, headers={"retry-after": "1"})
    return Response(audio, media_type="audio/wav")


# Characters and payments


async def list_characters(request: Request) -> Response:
    await of(request).account(request)
    return documents("characters", await characters.newest(of(request).database))


async def create_character(request: Request) -> Response:
    service = of(request)
    account = await service.account(request)
    character = await characters.create(service.database, account, await body(request, characters.NewCharacter))
    service.metrics.characters.inc()
    log.info("character created", extra={"event": "character_created", "character": str(character.id)})
    return document(character, 201)


async def list_payments(request: Request) -> Response:
    account = await of(request).account(request)
    return documents("payments", await payments.of_account(of(request).database, account))


async def pay(request: Request) -> Response:
    """201 when it succeeded now, 200 when it had before, 402 when it failed."""
    service = of(request)
    account = await service.account(request)
    payment, settled_now = await payments.pay(service.database, account, await body(request, payments.NewPayment))
    if settled_now:
        service.metrics.payments.labels(payment.outcome).inc()
        log.info(
            "payment settled",
            extra={"event": "payment", "outcome": payment.outcome, "payment": str(payment.id)},
        )
    if payment.outcome == "failed":
        raise PaymentDeclined("the card was declined")
    return document(payment, 201 if settled_now else 200)


# Operations


async def ping(_: Request) -> Response:
    return PlainTextResponse("pong")


async def version(request: Request) -> Response:
    service = of(request)
    try:
        found = await schema.found(service.database)
    except Exception:  # whatever keeps the database from answering, the release can be told
        found = None
    return JSONResponse(
        {
            "release": service.settings.release,
            "schema_revision": found,
            "required_schema_revision": service.required_schema,
            "features": service.settings.chat_features,
            "environment": service.settings.environment,
            "platform": service.settings.platform,
            "task": service.task.name,
        }
    )


async def show_health(request: Request) -> Response:
    well, found = await health.report(of(request))
    return JSONResponse(found, 200 if well else 503)


async def show_database_health(request: Request) -> Response:
    found = await health.run(health.database, of(request))
    return JSONResponse(found, 200 if found["status"] == "ok" else 503)


async def show_metrics(request: Request) -> Response:
    service = of(request)
    await service.measure()
    return Response(service.metrics.text(), headers={"content-type": metrics.CONTENT_TYPE})


def number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid("after: must be a message's number")
    return int(text)


ROUTES: list[BaseRoute] = [
    Route("/api/ping", ping),
    Route("/api/version", version),
    Route("/api/health", show_health),
    Route("/api/health/db", show_database_health),
    Route("/metrics", show_metrics),
    Route("/api/accounts", register, methods=["POST"]),
    Route("/api/session", who_am_i, methods=["GET"]),
    Route("/api/session", log_in, methods=["POST"]),
    Route("/api/session", log_out, methods=["DELETE"]),
    Route("/api/conversations", list_conversations, methods=["GET"]),
    Route("/api/conversations", create_conversation, methods=["POST"]),
    Route("/api/conversations/{conversation:uuid}/members", invite, methods=["POST"]),
    Route("/api/conversations/{conversation:uuid}/topic", change_topic, methods=["PUT"]),
    Route("/api/conversations/{conversation:uuid}/messages", list_messages, methods=["GET"]),
    Route("/api/conversations/{conversation:uuid}/messages", post_message, methods=["POST"]),
    Route(
        "/api/conversations/{conversation:uuid}/messages/{number:int}/voice",
        voice_of_message,
        methods=["POST"],
    ),
    Route("/api/characters", list_characters, methods=["GET"]),
    Route("/api/characters", create_character, methods=["POST"]),
    Route("/api/payments", list_payments, methods=["GET"]),
    Route("/api/payments", pay, methods=["POST"]),
]
