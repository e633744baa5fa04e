"""What a process wrote to its log file: read once, line by line, and given back to the disk when it was read."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

# A line that never ends is cut here: CloudWatch Logs takes no event above 256 KiB.
MAX_LINE_BYTES = 256 * 1024 - 26
_CHUNK = 1 << 20
# How much of what was read stays on disk for a person who looks at the file.
_KEEP = 4 << 20
_FREE_STEP = 8 << 20
_FALLOC_FL_KEEP_SIZE, _FALLOC_FL_PUNCH_HOLE = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


class Output:
    """The file that a process appends to. Offsets are of the file and never shrink: space is given back by punching a
    hole at its beginning, so that no line is lost between reading and truncating."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._freed = 0

    def size(self) -> int:
        """Bytes written until now; 0 when there is no file."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def modified(self) -> int:
        """When it was last written to, in milliseconds since the epoch."""
        return self.path.stat().st_mtime_ns // 1_000_000

    def read(self, offset: int, *, ended: bool) -> tuple[list[str], int]:
        """Whole lines from `offset` on (at most about 1 MiB of them) and the offset behind them. With `ended` the last
        line counts even without its newline. Empty lines are left out. Blocks."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return [], offset
        try:
            try:
                offset = os.lseek(descriptor, offset, os.SEEK_DATA)
            except OSError as problem:
                if problem.errno == errno.ENXIO:
                    return [], offset
                raise
            chunk = os.pread(descriptor, _CHUNK, offset)
        finally:
            os.close(descriptor)
        end = chunk.rfind(b"\n") + 1
        if ended and len(chunk) < _CHUNK:
            end = len(chunk)
        elif end == 0 and len(chunk) >= MAX_LINE_BYTES:
            end = MAX_LINE_BYTES
        lines = [
            line[start : start + MAX_LINE_BYTES].decode("utf-8", "replace")
            for line in chunk[:end].split(b"\n")
            for start in range(0, len(line), MAX_LINE_BYTES)
        ]
        return [line.rstrip("\r") for line in lines if line.strip()], offset + end

    def free(self, offset: int) -> None:
        """Give the disk back what lies well before `offset`; nothing happens where the file system can't."""
        end = (offset - _KEEP) & ~4095
        if end - self._freed < _FREE_STEP:
            return
        descriptor = os.open(self.path, os.O_WRONLY)
        try:
            _libc.fallocate(
                descriptor,
                _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE,
                ctypes.c_int64(0),
                ctypes.c_int64(end),
            )
        finally:
            os.close(descriptor)
        self._freed = end
