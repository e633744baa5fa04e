"""OCI images on disk: layers unpacked in order, whiteouts included, into a folder that tasks can only read."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tarfile
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dock.engines.blobs import file_digest

# What a Fargate task has by default for image and scratch space together.
MAX_UNPACKED_BYTES = 20 * 1024**3
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class ImageError(Exception):
    """An image can't be had or can't be run here. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's file and the digest that its bytes must have."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Image:
    """An unpacked image: `root` is its file system, `config` the `config` member of its OCI configuration."""

    digest: str
    root: Path
    config: dict[str, Any]

    @property
    def entry_point(self) -> list[str]:
        return list(self.config.get("Entrypoint") or [])

    @property
    def command(self) -> list[str]:
        return list(self.config.get("Cmd") or [])

    @property
    def environment(self) -> dict[str, str]:
        pairs = (entry.partition("=") for entry in self.config.get("Env") or [])
        return {name: value for name, _, value in pairs}

    @property
    def working_directory(self) -> str:
        return str(self.config.get("WorkingDir") or "/")

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.config.get("Labels") or {})

    @property
    def stop_signal(self) -> str:
        return str(self.config.get("StopSignal") or "SIGTERM")


def unpacked(folder: Path, digest: str) -> Image | None:
    """The image of this manifest digest if it was unpacked below `folder` before."""
    home = folder / digest.removeprefix("sha256:")
    try:
        return Image(digest, home / "root", json.loads((home / "config.json").read_text()))
    except FileNotFoundError:
        return None


def unpack(folder: Path, digest: str, config: dict[str, Any], layers: Sequence[Layer]) -> Image:
    """Unpack layers to `folder/<digest>/root`: all of it or nothing. Blocks.

    Files get no write permission and the daemon's owner, so that a task that runs as another user can only read them.
    Raises ImageError when a layer is damaged, is no tar archive, leaves the image's root, or is too large.
    """
    known = unpacked(folder, digest)
    if known is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder.resolve() / f".{uuid.uuid4().hex}"
    root = partial / "root"
    try:
        root.mkdir(parents=True)
        for path in (partial, root):
            path.chmod(0o755)
        budget = MAX_UNPACKED_BYTES
        for layer in layers:
            budget = _apply(layer, root, budget)
        working_directory = PurePosixPath(str(config.get("WorkingDir") or "/"))
        _directory(root, working_directory.parts[1:])
        (partial / "config.json").write_text(json.dumps(config))
        with contextlib.suppress(OSError):
            # Another task of the same image may have been faster; then its result is as good.
            partial.rename(folder / digest.removeprefix("sha256:"))
    except OSError as problem:
        raise ImageError(f"failed to unpack {digest}: {problem.strerror or problem}") from problem
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    image = unpacked(folder, digest)
    if image is None:
        raise ImageError(f"failed to unpack {digest}: it was removed meanwhile")
    return image


def remove_unused(folder: Path, used: set[str], keep: int) -> None:
    """Remove unpacked images that no task uses, but for the `keep` most recent, and what a crash left half-way."""
    if not folder.exists():
        return
    idle = []
    for home in folder.iterdir():
        if home.name.startswith("."):
            shutil.rmtree(home, ignore_errors=True)
        elif f"sha256:{home.name}" not in used:
            idle.append((home.stat().st_mtime, home))
    for _, home in sorted(idle, reverse=True)[keep:]:
        shutil.rmtree(home, ignore_errors=True)


def _apply(layer: Layer, root: Path, budget: int) -> int:
    """Unpack one layer over those below it; returns what is left of the budget in bytes."""
    try:
        found = file_digest(layer.path)
    except FileNotFoundError:
        raise ImageError(f"layer {layer.digest} is missing from the registry: push the image again") from None
    if found != layer.digest:
        raise ImageError(f"layer {layer.digest} is damaged (its bytes are {found}): push the image again")
    with layer.path.open("rb") as file:
        if file.read(4) == _ZSTD_MAGIC:
            raise ImageError(f"layer {layer.digest} is compressed with zstd: build the image with gzip layers")
    # Paths of this layer: a whiteout hides only what lower layers put there.
    added: set[Path] = {root}
    try:
        with tarfile.open(layer.path) as archive:
            for member in archive:
                budget -= member.size
                if budget < 0:
                    raise ImageError(f"the image needs more than {MAX_UNPACKED_BYTES >> 30} GiB unpacked")
                _extract(archive, member, root, added)
    except (tarfile.TarError, zlib.error, EOFError) as problem:
        raise ImageError(f"layer {layer.digest} is not a tar archive: {problem}") from problem
    return budget


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path, added: set[Path]) -> None:
    parts = _parts(member.name)
    if not parts:
        return
    parent = _directory(root, parts[:-1])
    _note(parent, root, added)
    name = parts[-1]
    if name == _OPAQUE:
        for child in list(parent.iterdir()):
            _hide(child, added)
        return
    if name.startswith(_WHITEOUT):
        _hide(parent / name.removeprefix(_WHITEOUT), added)
        return
    path = parent / name
    if member.isdir():
        if not path.is_dir() or path.is_symlink():
            _remove(path)
            path.mkdir()
        path.chmod(0o755)
    elif member.isreg():
        _remove(path)
        source = archive.extractfile(member)
        assert source is not None
        with path.open("xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        path.chmod((member.mode & 0o555) | 0o444)
        # Compiled Python is only valid beside a source of the time that it remembers.
        os.utime(path, (member.mtime, member.mtime))
    elif member.issym():
        _remove(path)
        path.symlink_to(member.linkname)
    elif member.islnk():
        target_parts = _parts(member.linkname)
        origin = _directory(root, target_parts[:-1]) / target_parts[-1]
        if origin != path:
            _remove(path)
            os.link(origin, path, follow_symlinks=False)
    else:
        raise ImageError(f"{member.name!r} is a device or a pipe, which a task on this host can't have")
    added.add(path)


def _parts(name: str) -> list[str]:
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".")]
    if ".." in parts:
        raise ImageError(f"{name!r} leads out of the image")
    return parts


def _directory(root: Path, parts: Sequence[str]) -> Path:
    """The directory inside the image, made when missing. Links are followed as the image means them: from its root."""
    path = root
    for part in parts:
        path = path / part
        if path.is_symlink():
            link = str(path.readlink())
            base = root if link.startswith("/") else path.parent
            path = Path(os.path.realpath(base / link.lstrip("/")))
            if not path.is_relative_to(root) or path.is_file():
                raise ImageError(f"{'/'.join(parts)!r} passes a link that leads out of the image")
            path.mkdir(parents=True, exist_ok=True)
        elif not path.is_dir():
            _remove(path)
            path.mkdir(mode=0o755)
    return path


def _note(path: Path, root: Path, added: set[Path]) -> None:
    while path != root and path not in added:
        added.add(path)
        path = path.parent


def _hide(path: Path, added: set[Path]) -> None:
    """Remove what lower layers left at `path`, and keep what this layer put there."""
    if path not in added:
        _remove(path)
    elif path.is_dir() and not path.is_symlink():
        for child in list(path.iterdir()):
            _hide(child, added)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
