"""What a load balancer answered itself, by status: HAProxy logs these answers and no others."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from pathlib import Path


class OwnAnswers(asyncio.DatagramProtocol):
    """Counts the lines that HAProxy sends to a socket, each an answer's status. HAProxy doesn't wait for a reader: what
    it answers while no daemon reads is not counted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[int] = Counter()
        self._transport: asyncio.DatagramTransport | None = None

    async def listen(self, owner: tuple[int, int] | None) -> None:
        """Make the socket, which only `owner`, the (uid, gid) of HAProxy's workers, may write to (None: as we).
        Nothing happens when it is there. OSError when it can't be made."""
        if self._transport is not None:
            return
        self.path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listening.setblocking(False)
        listening.bind(str(self.path))
        self.path.chmod(0o600)
        if owner is not None:
            os.chown(self.path, *owner)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=listening)
        self._transport = transport

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self.path.unlink(missing_ok=True)

    def datagram_received(self, data: bytes, addr: object) -> None:
        status = data.strip()
        if status.isdigit():
            self.counts[int(status)] += 1
