"""A plugin's process: it prints its port as its first line and serves until the engine interrupts it, or is gone."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc  # type: ignore[import-untyped]

from dock.providers.protocol import provider_grpc

# The engine's own limit: state of a large resource exceeds gRPC's default of 4 MB.
MESSAGE_LIMIT = 400 * 1024 * 1024
# As many calls at once as the engine makes on a small machine; each waits for the cloud most of the time.
WORKERS = 64


def listen(servicer: Any) -> tuple[grpc.Server, int]:
    """A started server on a free loopback port, and the port."""
    server = grpc.server(
        ThreadPoolExecutor(max_workers=WORKERS),
        options=[("grpc.max_send_message_length", MESSAGE_LIMIT), ("grpc.max_receive_message_length", MESSAGE_LIMIT)],
    )
    provider_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def serve(servicer: Any) -> None:
    """Doesn't return."""
    _, port = listen(servicer)

    def end(signum: int, frame: object) -> None:
        # The engine waits for its plugins at the end of each run: nothing is left to be done by then.
        os._exit(0)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    parent = os.getppid()
    print(port, flush=True)
    # An engine that was killed can't interrupt anybody.
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)
