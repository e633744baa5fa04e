"""Evidence: what a run leaves behind, on this machine and in the locked bucket, also when it failed."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from operations.control import Control
from operations.errors import explained

_TYPES = {".ipynb": "application/x-ipynb+json", ".jsonl": "application/x-ndjson"}


def prefix(environment: str, run: str) -> str:
    """Where a run's files are in the bucket; `environment` is `platform/environment`."""
    return f"{environment}/{run}"


def files(folder: Path) -> list[Path]:
    """A run's evidence on this machine, without what is being written."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def upload(s3: Any, control: Control, environment: str, run: str, paths: Iterable[Path]) -> list[str]:
    """Put these files into the bucket, which locks each version for a while; returns their keys.

    A file that is put again becomes another version: nothing is ever replaced. Raises OperationError.
    """
    keys = []
    with explained(f"the evidence of run {run} is only on this machine"):
        for path in paths:
            keys.append(put(s3, control, environment, run, path.name, path.read_bytes()))
    return keys


def put(s3: Any, control: Control, environment: str, run: str, name: str, body: bytes) -> str:
    """Put one file; returns its key."""
    key = f"{prefix(environment, run)}/{name}"
    kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    # What the bucket says is compared with what was sent, and the lock is the bucket's own default.
    s3.put_object(Bucket=control.runs.evidence_bucket, Key=key, Body=body, ContentType=kind, ChecksumAlgorithm="SHA256")
    return key
