"""Content-addressed files: a blob is named by the SHA-256 of its bytes, and is there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from pathlib import Path

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHUNK = 1 << 20


class BlobError(Exception):
    """A blob's bytes are not those that its name says."""


class UploadError(Exception):
    """A part doesn't follow on what was received; `received` is the number of bytes that are there."""

    def __init__(self, received: int) -> None:
        super().__init__(f"the next part must start at byte {received}")
        self.received = received


class Blobs:
    """Blobs below one folder, and uploads that are still growing. Every method blocks: use a thread."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._uploads = root / "uploads"

    def create(self) -> None:
        """Make the folders."""
        for folder in (self._blobs, self._uploads):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, digest: str) -> Path:
        """Where the blob is, or would be. Raises BlobError when the digest isn't `sha256:` and 64 hex digits."""
        if not DIGEST.fullmatch(digest):
            raise BlobError(f"{digest!r} is not a sha256 digest")
        return self._blobs / digest.removeprefix("sha256:")

    def size(self, digest: str) -> int | None:
        """Size in bytes; None when there is no such blob."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def begin(self) -> str:
        """Start an upload; returns its id."""
        upload = str(uuid.uuid4())
        (self._uploads / upload).touch(mode=0o600)
        return upload

    def received(self, upload: str) -> int | None:
        """How many bytes of an upload are there; None when it is unknown."""
        try:
            return (self._uploads / upload).stat().st_size
        except FileNotFoundError:
            return None

    def append(self, upload: str, first_byte: int, part: bytes) -> int:
        """Add a part and return the number of bytes received. A part that is sent again replaces what came after its
        first byte, so that a client may repeat a part whose answer was lost. Raises UploadError at a gap."""
        with (self._uploads / upload).open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if first_byte > size:
                raise UploadError(size)
            file.seek(first_byte)
            file.write(part)
            file.truncate()
            return file.tell()

    def finish(self, upload: str, digest: str) -> int:
        """Turn an upload into a durable blob; returns its size. Raises BlobError when the bytes have another digest
        (the upload is then dropped, since no part of it can be trusted)."""
        source = self._uploads / upload
        found = file_digest(source)
        if found != digest:
            source.unlink(missing_ok=True)
            raise BlobError(f"the uploaded bytes are {found}, not {digest}")
        return self._keep(source, digest)

    def read(self, digest: str) -> bytes:
        """A small blob's bytes, verified. Raises BlobError when they are damaged, FileNotFoundError when missing."""
        content = self.path(digest).read_bytes()
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise BlobError(f"{digest} is damaged on disk: push it again")
        return content

    def delete(self, digest: str) -> None:
        self.path(digest).unlink(missing_ok=True)

    def digests(self, older_than: float) -> set[str]:
        """The blobs that have been there for so many seconds."""
        limit = time.time() - older_than
        return {f"sha256:{path.name}" for path in self._blobs.iterdir() if path.stat().st_mtime < limit}

    def abandon(self, upload: str) -> None:
        """Drop an upload."""
        (self._uploads / upload).unlink(missing_ok=True)

    def stale_uploads(self, seconds: float) -> list[str]:
        """Uploads to which nothing was added for so long."""
        limit = time.time() - seconds
        return [path.name for path in self._uploads.iterdir() if path.stat().st_mtime < limit]

    def _keep(self, source: Path, digest: str) -> int:
        target = self.path(digest)
        descriptor = os.open(source, os.O_RDWR)
        try:
            os.fchmod(descriptor, 0o400)
            os.utime(descriptor)
            os.fsync(descriptor)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        source.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return size


def file_digest(path: Path) -> str:
    """The digest of a file's bytes, read in pieces."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            state.update(piece)
    return f"sha256:{state.hexdigest()}"
