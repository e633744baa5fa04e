"""The edge's process: sockets, TLS by server name, control, and privileges given up before a visitor comes.

`python -m dock.engines.edge DOCUMENT SOCKET [UID GID]` reads the document that says what to do; later ones come through
the socket. Nothing that is open is touched by a change.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401  (loaded before privileges are given up: later its file may be out of reach)
import json
import logging
import os
import signal
import socket
import ssl
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from dock.engines.edge.model import compiled
from dock.engines.edge.proxy import Proxy
from dock.engines.edge.tally import REPORT_SECONDS

log = logging.getLogger(__name__)

BACKLOG = 1024
# Requests that are being answered at the end get so long.
DRAIN_SECONDS = 5
KEEPALIVE_SECONDS = 75


class Server:
    def __init__(self, document: Path, control: Path, owner: tuple[int, int] | None) -> None:
        self._document = document
        self._control = control
        self._owner = owner
        self.proxy = Proxy()
        self._listening: list[str] = []
        self._refused: list[str] = []
        self._ended = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        document = json.loads(self._document.read_text())
        self.proxy.use(compiled(document))
        plain, secure = self._sockets(document)
        control = await self._serve_control()
        if self._owner is not None:
            os.setgroups([])
            os.setgid(self._owner[1])
            os.setuid(self._owner[0])
        await self.proxy.start()
        runner = web.ServerRunner(
            web.Server(self.proxy.answer, access_log=None, keepalive_timeout=KEEPALIVE_SECONDS, max_field_size=2**15),
            shutdown_timeout=DRAIN_SECONDS,
        )
        await runner.setup()
        for each in plain:
            await web.SockSite(runner, each, backlog=BACKLOG).start()
        context = self._tls()
        for each in secure:
            await web.SockSite(runner, each, ssl_context=context, backlog=BACKLOG).start()
        log.info("listening on %s", ", ".join(self._listening))
        reporter = asyncio.create_task(self._report())
        await self._ended.wait()
        reporter.cancel()
        await runner.cleanup()
        await control.cleanup()
        await self.proxy.stop()
        self.proxy.tally.report()

    def _sockets(self, document: dict[str, Any]) -> tuple[list[socket.socket], list[socket.socket]]:
        """Those that can be had: ports below 1024 need a privilege. Raises OSError when there is none at all."""
        found: tuple[list[socket.socket], list[socket.socket]] = ([], [])
        for kind, ports in enumerate((document["ports"]["plain"], document["ports"]["secure"])):
            for port in ports:
                opened = socket.socket()
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    opened.bind((document["address"], port))
                except OSError as problem:
                    opened.close()
                    self._refused.append(f"{port} ({problem.strerror})")
                    continue
                found[kind].append(opened)
                self._listening.append(f"{document['address']}:{port}")
        if not self._listening:
            raise OSError(f"no port of {document['address']} can be listened on: {', '.join(self._refused)}")
        return found

    def _tls(self) -> ssl.SSLContext:
        """The certificate is chosen by the name that the visitor asks for; a name of no zone gets none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])

        def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            chosen = self.proxy.desire.context((name or "").lower())
            if chosen is None:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            tls.context = chosen
            return None

        context.sni_callback = choose
        return context

    async def _serve_control(self) -> web.AppRunner:
        application = web.Application()
        application.router.add_post("/use", self._use)
        application.router.add_post("/purge", self._purge)
        application.router.add_get("/status", self._status)
        runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await runner.setup()
        self._control.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            await web.UnixSite(runner, str(self._control)).start()
        finally:
            os.umask(before)
        return runner

    async def _use(self, request: web.Request) -> web.Response:
        """Takes the document from the request: its file may be out of reach of the user that this runs as."""
        try:
            self.proxy.use(compiled(await request.json()))
        except (ValueError, KeyError, OSError) as problem:
            return web.json_response({"problem": f"{type(problem).__name__}: {problem}"}, status=400)
        return web.json_response({"generation": self.proxy.desire.generation})

    async def _purge(self, request: web.Request) -> web.Response:
        asked = await request.json()
        return web.json_response({"purged": self.proxy.cache.purge(asked.pop("zone"), **asked)})

    async def _status(self, _: web.Request) -> web.Response:
        entries, size = self.proxy.cache.size
        return web.json_response(
            {
                "generation": self.proxy.desire.generation,
                "listening": self._listening,
                "refused": self._refused,
                "cached": {"answers": entries, "bytes": size},
                "requests": {zone: dict(counts) for zone, counts in self.proxy.tally.total.items()},
            }
        )

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            self.proxy.tally.report()


def main(arguments: list[str]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    owner = (int(arguments[2]), int(arguments[3])) if len(arguments) == 4 else None

    async def run() -> None:
        await Server(Path(arguments[0]), Path(arguments[1]), owner).run()

    uvloop.run(run())
