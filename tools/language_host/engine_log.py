"""The engine's client that a program gets: debug messages are sent only where they are shown, and not waited for."""

from __future__ import annotations

from collections import deque
from typing import Any

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

FLUSH_SECONDS = 10
# The engine's own limit; a message can be as long as a traceback is.
OPTIONS = [("grpc.max_send_message_length", 400 * 1024 * 1024)]


class Engine:
    """The SDK tells the engine of each step of each resource, and waits half a millisecond for it each time."""

    def __init__(self, address: str, *, debug: bool) -> None:
        self._debug = debug
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, options=OPTIONS))
        self._sent: deque[Any] = deque()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stub, name)

    def Log(self, request: Any) -> Any:
        if request.severity == engine_pb2.DEBUG:
            if not self._debug:
                return None
            self._sent.append(self._stub.Log.future(request))
            return None
        return self._stub.Log(request)

    def flush(self) -> None:
        """Wait until everything has arrived. A message that can't be delivered is nobody's error."""
        while self._sent:
            self._sent.popleft().exception(timeout=FLUSH_SECONDS)
