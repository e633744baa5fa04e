"""A bad stretch of network: carries bytes late, or swallows them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

_CHUNK = 64 * 1024
_CONNECT_SECONDS = 5.0
# What is under way on a slow stretch; a sender that has more waits, as with a full window.
_MAX_UNDER_WAY = 256


class Relay:
    """Listens, and sends every chunk on after `latency` seconds, each way; with None it never says anything."""

    def __init__(self, target: Callable[[], tuple[str, int] | None], latency: float | None) -> None:
        self._target = target
        self._latency = latency
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    async def start(self, address: str) -> tuple[str, int]:
        """Listen on a free port of this address; returns both. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, address, 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def stop(self) -> None:
        """Close every session."""
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        assert session is not None
        self._sessions.add(session)
        try:
            if self._latency is None:
                await self._swallow(reader)
            else:
                await self._carry(reader, writer, self._latency)
        except (OSError, TimeoutError, asyncio.CancelledError):
            # Cancelled by `stop`, and nobody waits for more than the end.
            pass
        finally:
            self._sessions.discard(session)
            writer.close()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(_CHUNK):
            pass

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency: float) -> None:
        target = self._target()
        if target is None:
            return
        # The handshake goes there and back.
        await asyncio.sleep(2 * latency)
        async with asyncio.timeout(_CONNECT_SECONDS):
            far_reader, far_writer = await asyncio.open_connection(*target)
        try:
            ways = [
                asyncio.create_task(_way(reader, far_writer, latency)),
                asyncio.create_task(_way(far_reader, writer, latency)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            far_writer.close()


async def _way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency: float) -> None:
    """One direction: what came at a time goes on at that time plus the latency, however much follows it."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MAX_UNDER_WAY)

    async def deliver() -> None:
        while True:
            due, chunk = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not chunk:
                return
            writer.write(chunk)
            with contextlib.suppress(ConnectionError):
                await writer.drain()

    delivery = asyncio.create_task(deliver())
    try:
        chunk = b" "
        while chunk:
            chunk = await reader.read(_CHUNK)
            await under_way.put((loop.time() + latency, chunk))
        await delivery
    finally:
        delivery.cancel()
