"""`pulumi-language-python [ENGINE_ADDRESS]`: prints its port as its first line, serves until it is interrupted."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

try:
    import grpc  # type: ignore[import-untyped]

    from tools.language_host.host import LanguageHost
    from tools.language_host.protocol import language_grpc
except ImportError as error:
    sys.exit(
        f"pulumi-language-python: {sys.executable} lacks the Pulumi SDK ({error}): "
        "run `make setup`, or `pip install pulumi`"
    )


# The engine's own limit; a program's configuration or a package list may be larger than gRPC's 4 MB.
MESSAGE_LIMIT = 400 * 1024 * 1024


def main() -> None:
    engine = next((argument for argument in reversed(sys.argv[1:]) if not argument.startswith("-")), "")
    host = LanguageHost(engine)
    server = grpc.server(
        ThreadPoolExecutor(max_workers=8),
        options=[("grpc.max_send_message_length", MESSAGE_LIMIT), ("grpc.max_receive_message_length", MESSAGE_LIMIT)],
    )
    language_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def end(signum: int, frame: object) -> None:
        # The engine ends its plugins with an interrupt, and waits for them: nothing to say, nothing to wait for.
        host.stop()
        os._exit(0)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    parent = os.getppid()
    print(port, flush=True)
    # An engine that was killed can't interrupt anybody.
    while os.getppid() == parent:
        time.sleep(1)
    host.stop()
    os._exit(0)


main()
