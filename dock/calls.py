"""The dock's own record of calls: who called what, whether it acted, and what the caller got to know of it.

A trail like CloudTrail's, but complete and at once: a call is in it before its caller has the answer. One JSON object
a line, in two files of bounded size; written without a sync, so it survives the daemon's end and not a power cut.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dock.aws.request import Identified
from dock.http import Answer

MAX_BYTES = 16 * 1024 * 1024
# Only names are kept of what was asked: a parameter may hold a secret.
_NAMES = (
    "name", "names", "identifier", "id", "ids", "arn", "arns", "bucket", "key", "cluster", "service", "services",
    "family", "taskdefinition", "task", "tasks", "secretid", "targetgrouparn", "type", "action",
)  # fmt: skip
_READS = ("Describe", "Get", "List", "BatchGet", "Head", "Lookup", "Search", "Simulate", "Query", "Scan", "Filter")
_LONGEST = 200


class Calls:
    """Appends to the trail."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = folder / "calls.jsonl"
        self._max_bytes = max_bytes
        self._file: int | None = None
        self._size = 0

    def add(
        self,
        identified: Identified,
        account: str | None,
        began: float,
        answer: Answer | None,
        *,
        acted: bool,
        faults: list[str],
    ) -> None:
        """Keep one call. `answer` is None when the caller got none."""
        now = time.time()
        record: dict[str, Any] = {
            "time": round(began, 3),
            "service": identified.service,
            "operation": identified.operation or identified.asked,
            "account": account,
            "region": identified.region,
            "principal": identified.access_key,
            "acted": acted,
            "status": answer.status if answer is not None else None,
            "error": answer.error if answer is not None else "no answer",
            "milliseconds": round((now - began) * 1000, 1),
            "request_id": answer.request_id if answer is not None else None,
        }
        if faults:
            record["faults"] = faults
        if not (identified.operation or "").startswith(_READS):
            record["digest"] = _digest(identified)
            record["about"] = _about(identified)
        self._append(json.dumps(record, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, line: bytes) -> None:
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            self._size = os.fstat(self._file).st_size
        try:
            self._size += os.write(self._file, line)
        except OSError:
            # A full disk must not make a call fail that has acted.
            return
        if self._size >= self._max_bytes:
            self.close()
            self._path.replace(self._path.with_suffix(".jsonl.1"))


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Every call that is kept, the oldest first. A line that was being written is left out."""
    for path in (folder / "calls.jsonl.1", folder / "calls.jsonl"):
        try:
            with path.open("rb") as file:
                for line in file:
                    try:
                        yield json.loads(line)
                    except ValueError:
                        continue
        except FileNotFoundError:
            continue


def _digest(identified: Identified) -> str:
    """The same for the same request: an SDK's retry has the digest of its first try."""
    content = f"{identified.method} {identified.target}\n".encode() + identified.body[:65536]
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _about(identified: Identified) -> dict[str, Any]:
    return {
        name: value[:_LONGEST] if isinstance(value, str) else [str(item)[:_LONGEST] for item in value[:10]]
        for name, value in identified.parameters.items()
        if name.lower().endswith(_NAMES) and isinstance(value, str | list) and _plain(value)
    }


def _plain(value: Any) -> bool:
    return isinstance(value, str) or all(isinstance(item, str) for item in value)
