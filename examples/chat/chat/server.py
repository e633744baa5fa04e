"""One process, one listener, and an orderly end."""

import asyncio
import logging
import os
import signal
import threading
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from chat.service import Service

log = logging.getLogger(__name__)

SOCKETS_SECONDS = 3.0
"""A WebSocket whose peer does not answer the closing is dropped after this time."""


class Server(uvicorn.Server):
    """On SIGTERM or SIGINT: the health check fails at once and WebSockets are closed with 1001; `drain_seconds` later
    the listener is closed and requests in flight are finished. What is not finished two seconds before
    `shutdown_seconds` are over is cancelled; should even that hang, the process ends with code 1. Else the code is 0.
    A second signal ends it now."""

    def __init__(self, application: Starlette, service: Service) -> None:
        self._service = service
        settings = service.settings
        super().__init__(
            uvicorn.Config(
                application,
                host=service.task.address,
                port=settings.port,
                loop="uvloop",
                http="httptools",
                ws="websockets-sansio",
                ws_max_size=64 * 1024,
                ws_ping_interval=20.0,
                ws_ping_timeout=20.0,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=2000,
                # Longer than the load balancer keeps a connection idle (60 s): it must never send into a closing one.
                timeout_keep_alive=75,
                timeout_graceful_shutdown=max(1, int(settings.shutdown_seconds - settings.drain_seconds - 2)),
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Doesn't call uvicorn's own, which would raise the signal again after the end and so spoil the exit code.
        if self._service.draining:
            log.warning("ending now", extra={"signal": signal.Signals(sig).name})
            self.should_exit = self.force_exit = True
            return
        settings = self._service.settings
        log.info("draining", extra={"event": "draining", "signal": signal.Signals(sig).name})
        last_resort = threading.Timer(settings.shutdown_seconds, _cut_off)
        last_resort.daemon = True
        last_resort.start()
        self._service.draining = True
        self._loop.call_soon_threadsafe(self._begin_end)

    async def serve(self, sockets: object = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve()

    async def startup(self, sockets: object = None) -> None:
        await super().startup()
        log.info(
            "listening",
            extra={
                "event": "listening",
                "address": self._service.task.address,
                "port": self._service.settings.port,
            },
        )

    def _begin_end(self) -> None:
        self._ending = self._loop.create_task(self._end())

    async def _end(self) -> None:
        closed = self._loop.create_task(self._service.hub.close())
        await asyncio.sleep(self._service.settings.drain_seconds)
        # The server would close what is still open itself, with another code.
        await asyncio.wait({closed}, timeout=SOCKETS_SECONDS)
        self.should_exit = True


def _cut_off() -> None:
    log.error("requests were cut off: the time to end is over")
    os._exit(1)
