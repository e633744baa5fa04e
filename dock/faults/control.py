"""Faults through the daemon's control socket: `GET`, `POST` and `DELETE` of `/faults`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from dock.faults.model import FaultError

if TYPE_CHECKING:
    from dock.faults.faults import Faults


def add_routes(application: web.Application, faults: Callable[[], Faults | None]) -> None:
    """`faults` gives None while the cloud isn't there: callers then get 503 with the reason."""

    def there() -> Faults:
        found = faults()
        if found is None:
            raise web.HTTPServiceUnavailable(text="the dock is still starting")
        return found

    async def show(request: web.Request) -> web.Response:
        return web.json_response({"faults": there().shown(past="past" in request.query)})

    async def targets(_: web.Request) -> web.Response:
        return web.json_response({"targets": there().targets()})

    async def add(request: web.Request) -> web.Response:
        return await _answer(there().add(await request.json()))

    async def clear(request: web.Request) -> web.Response:
        return await _answer(there().clear(request.match_info.get("id")))

    application.router.add_get("/faults", show)
    application.router.add_get("/faults/targets", targets)
    application.router.add_post("/faults", add)
    application.router.add_delete("/faults", clear)
    application.router.add_delete("/faults/{id}", clear)


async def _answer(work: Any) -> web.Response:
    try:
        return web.json_response(await work)
    except FaultError as problem:
        return web.json_response({"problem": str(problem)}, status=400)
