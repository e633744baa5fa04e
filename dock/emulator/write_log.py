"""Writes of items to DynamoDB, kept one by one. Runs inside the emulator's own environment, beside `launch.py`.

A snapshot of all tables for each item would cost the more the longer a store of runs is used. So requests that change
items are appended to a log, encrypted, in the order in which they were carried out, and carried out again after the
last snapshot when the emulator starts. Each snapshot begins a new log, named by a generation that the snapshot knows:
whichever of the two a crash leaves behind, they fit.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

LOGGED = "dynamodb"
#: A log of this size is replaced by a snapshot.
MAX_BYTES = 2 * 1024 * 1024
_WRITES = frozenset(
    {
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
        "TransactWriteItems",
        "ExecuteStatement",
        "BatchExecuteStatement",
        "ExecuteTransaction",
    }
)

Scope = dict[str, Any]


def covers(service: str, scope: Scope) -> bool:
    """Whether a request changes items alone."""
    target = dict(scope["headers"]).get(b"x-amz-target", b"").decode()
    return service == LOGGED and target.rpartition(".")[2] in _WRITES


class WriteLog:
    """One file, appended to. `add` only remembers, `sync` returns when all that was added is on disk."""

    def __init__(self, folder: Path, cipher: Fernet) -> None:
        self._folder = folder
        self._cipher = cipher
        self._file: int | None = None
        self._waiting: list[bytes] = []
        self._added = 0
        self._synced = 0
        #: Held while the file is written to, or replaced.
        self.lock = asyncio.Lock()
        self.generation = 0
        self.size = 0

    def begin(self, generation: int) -> None:
        """Go on in the log of this generation; all that was added before is in a snapshot."""
        self._synced = self._added
        self._waiting.clear()
        if self._file is not None:
            os.close(self._file)
        self._file = os.open(self._path(generation), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.size = os.fstat(self._file).st_size
        self.generation = generation
        for old in self._folder.glob(f"{LOGGED}.*.log"):
            if old != self._path(generation):
                old.unlink()

    def requests(self, generation: int) -> Iterator[tuple[Scope, bytes]]:
        """What was carried out since the snapshot of this generation. Raises ValueError when it can't be read."""
        path = self._path(generation)
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        # The last one is empty, or was being written when the emulator ended: then nobody was told that it is kept.
        whole, torn = lines[:-1], lines[-1:]
        for number, line in enumerate(whole, 1):
            try:
                kept = json.loads(self._cipher.decrypt(line))
            except InvalidToken:
                raise ValueError(f"line {number} of {path} can't be read") from None
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept["headers"]]
            scope = {**kept["scope"], "type": "http", "headers": headers, "asgi": {"version": "3.0"}}
            for name in ("raw_path", "query_string"):
                scope[name] = scope[name].encode("latin-1")
            yield scope, base64.b64decode(kept["body"])
        if torn != [b""] and path.exists():
            os.truncate(path, sum(len(line) + 1 for line in whole))

    def add(self, scope: Scope, body: bytes) -> None:
        """Remember a request that was carried out."""
        kept = {
            "scope": {
                "method": scope["method"],
                "path": scope["path"],
                "raw_path": scope.get("raw_path", b"").decode("latin-1"),
                "query_string": scope.get("query_string", b"").decode("latin-1"),
                "scheme": "http",
                "http_version": "1.1",
            },
            "headers": [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
            "body": base64.b64encode(body).decode(),
        }
        self._waiting.append(self._cipher.encrypt(json.dumps(kept).encode()) + b"\n")
        self._added += 1

    async def sync(self) -> None:
        """Requests that wait share one sync. Raises OSError."""
        mine = self._added
        async with self.lock:
            if self._synced >= mine:
                return
            covered, lines = self._added, len(self._waiting)
            content = b"".join(self._waiting)
            assert self._file is not None
            try:
                await asyncio.to_thread(_write, self._file, content)
            except OSError:
                # A full disk: half a line must not stand before the next ones, which carry these along.
                os.ftruncate(self._file, self.size)
                raise
            del self._waiting[:lines]
            self.size += len(content)
            self._synced = covered

    def _path(self, generation: int) -> Path:
        return self._folder / f"{LOGGED}.{generation}.log"


def _write(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
    os.fdatasync(file)
