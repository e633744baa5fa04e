"""Runs inside the emulator's own environment: serves MiniStack unmodified and makes its writes durable.

MiniStack keeps its state in memory and saves it, in clear text, when it is ended in order. Here a write is answered
only when the state of the service it changed is on disk, encrypted: an acknowledged write survives SIGKILL, and no
secret lies in a file in clear text. It relies on each service module's `get_state` and `load_persisted_state` and on
the two JSON hooks of `ministack.core.persistence`; the version is pinned by hash and tests hold this contract.

Environment: DRYDOCK_EMULATOR_BIND (address:port), DRYDOCK_EMULATOR_STATE (folder), DRYDOCK_EMULATOR_KEY (file).
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

STATE = Path(os.environ["DRYDOCK_EMULATOR_STATE"])
os.environ.update(
    S3_PERSIST="1",
    S3_DATA_DIR=str(STATE / "objects"),
    PERSIST_STATE="0",
    STATE_DIR=str(STATE / "unused"),
    SFTP_ENABLED="0",
    IOT_MTLS_ENABLED="0",
    GATEWAY_PORT=os.environ["DRYDOCK_EMULATOR_BIND"].rpartition(":")[2],
    MINISTACK_HOST=os.environ["DRYDOCK_EMULATOR_BIND"].rpartition(":")[0],
)

from cryptography.fernet import Fernet  # noqa: E402
from hypercorn.asyncio import serve  # noqa: E402
from hypercorn.config import Config  # noqa: E402
from ministack import app as ministack  # noqa: E402
from ministack.core import persistence  # noqa: E402
from write_log import LOGGED, MAX_BYTES, WriteLog, covers  # type: ignore[import-not-found]  # noqa: E402

log = logging.getLogger("drydock.emulator")

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

# The front door's name of a service → the emulator's modules whose state a write to it can change.
MODULES: dict[str, tuple[str, ...]] = {
    "budgets": ("budgets",),
    "dynamodb": ("dynamodb",),
    "ec2": ("ec2",),
    "kms": ("kms",),
    "s3": ("s3",),
    "secretsmanager": ("secretsmanager",),
    "sns": ("sns", "sqs"),
    "sqs": ("sqs",),
    "ssm": ("ssm",),
}
WRITE_HEADER = b"x-drydock-write"


class Snapshots:
    """One encrypted file for each module, replaced as a whole; for DynamoDB's items a log since its last snapshot."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder = folder
        self._cipher = Fernet(key)
        self._locks = {module: asyncio.Lock() for modules in MODULES.values() for module in modules}
        self._wanted = dict.fromkeys(self._locks, 0)
        self._saved = dict.fromkeys(self._locks, 0)
        self.log = WriteLog(folder, self._cipher)
        # Requests to DynamoDB are carried out and written down in one order.
        self.order = asyncio.Lock()

    async def load(self) -> None:
        """Restore every module that has a file. A file that can't be read stops the start: nothing is lost silently."""
        generation = 0
        for module in self._locks:
            path = self._path(module)
            if path.exists():
                text = self._cipher.decrypt(path.read_bytes())
                state = json.loads(text, object_hook=persistence._json_object_hook)
                if module == LOGGED and "generation" in state:
                    generation, state = state["generation"], state["state"]
                importlib.import_module(f"ministack.services.{module}").load_persisted_state(state)
        for scope, body in self.log.requests(generation):
            await _carry_out(scope, body)
        self.log.begin(generation)

    async def keep(self) -> None:
        """Return when the requests that were added to the log are on disk."""
        await self.log.sync()
        # The larger the tables, the dearer a snapshot, and the rarer.
        if self.log.size > max(MAX_BYTES, 2 * self._path(LOGGED).stat().st_size):
            async with self.order:
                await self.save(LOGGED)

    async def save(self, service: str) -> None:
        """Return when every change so far of this service's modules is on disk. Writers that wait share one save."""
        for module in MODULES[service]:
            self._wanted[module] += 1
            mine = self._wanted[module]
            async with self._locks[module]:
                if self._saved[module] < mine:
                    covered = self._wanted[module]
                    async with self.log.lock if module == LOGGED else nullcontext():
                        self._write(module)
                    self._saved[module] = covered

    def save_all(self) -> None:
        for module in self._locks:
            self._write(module)

    def _write(self, module: str) -> None:
        loaded = sys.modules.get(f"ministack.services.{module}")
        if loaded is None:
            return
        state = loaded.get_state()
        generation = self.log.generation + 1
        if module == LOGGED:
            state = {"generation": generation, "state": state}
        text = json.dumps(state, default=persistence._json_default)
        path = self._path(module)
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(self._cipher.encrypt(text.encode()))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        if module == LOGGED:
            self.log.begin(generation)

    def _path(self, module: str) -> Path:
        return self._folder / f"{module}.state"


class Durable:
    """ASGI middleware: holds the answer to a write back until it is saved."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        service = dict(scope.get("headers") or ()).get(WRITE_HEADER, b"").decode()
        if scope["type"] != "http" or service not in MODULES:
            await ministack.app(scope, receive, send)
            return
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        try:
            if service == LOGGED:
                await self._in_order(service, scope, receive, hold, held)
            else:
                await ministack.app(scope, receive, hold)
                await self._snapshots.save(service)
        except OSError as problem:
            log.error("%s could not be saved: %s", service, problem)
            body = json.dumps(
                {"__type": "InternalFailure", "message": f"the dock could not store the change to {service}: {problem}"}
            ).encode()
            held = [
                {"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"application/json")]},
                {"type": "http.response.body", "body": body},
            ]
        for message in held:
            await send(message)

    async def _in_order(self, service: str, scope: Message, receive: Receive, hold: Send, held: list[Message]) -> None:
        """Carry a request to DynamoDB out, and return when its change is on disk."""
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        async with self._snapshots.order:
            await ministack.app(scope, _received(body), hold)
            if not covers(service, scope):
                await self._snapshots.save(service)
                return
            if held and held[0].get("status") == 200:
                self._snapshots.log.add(scope, body)
        await self._snapshots.keep()


async def _carry_out(scope: Message, body: bytes) -> None:
    """A request once more, whose answer nobody waits for."""

    async def nobody(_: Message) -> None:
        pass

    await ministack.app(scope, _received(body), nobody)


def _received(body: bytes) -> Receive:
    """An ASGI `receive` that gives a body that is there already."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    snapshots = Snapshots(STATE, Path(os.environ["DRYDOCK_EMULATOR_KEY"]).read_bytes())
    await snapshots.load()
    config = Config()
    config.bind = [os.environ["DRYDOCK_EMULATOR_BIND"]]
    config.accesslog = None
    config.graceful_timeout = 3
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await serve(Durable(snapshots), config, shutdown_trigger=ended.wait)
    snapshots.save_all()


if __name__ == "__main__":
    asyncio.run(main())
