"""The ASGI application: routes, what surrounds them, and its life."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from chat import api, page, sockets
from chat.observation import Observation, failure
from chat.problems import Problem
from chat.service import Service
from chat.settings import ConfigurationError


def build(service: Service) -> Starlette:
    around = [Middleware(Observation, service=service)]
    if service.settings.chat_fault is not None:
        try:
            from chat import faults  # only releases with a fault carry this module
        except ImportError:
            raise ConfigurationError(["CHAT_FAULT is set, and this release carries no faults"]) from None
        around.append(faults.middleware(service.settings.chat_fault, service.task.memory_limit_bytes))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with service.running():
            yield

    application = Starlette(
        routes=[*page.ROUTES, *api.ROUTES, *sockets.ROUTES],
        middleware=around,
        exception_handlers={Problem: _problem, HTTPException: _http},
        lifespan=lifespan,
    )
    application.state.service = service
    return application


async def _problem(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return failure(problem.code, problem.message, problem.status)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return failure(str(error.detail).lower().replace(" ", "_"), str(error.detail), error.status_code)
