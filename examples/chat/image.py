"""Build OCI images of the chat service's releases, without a container engine.

    python image.py RELEASE… --output FOLDER      an OCI image layout with these releases
    python image.py --list                        the releases there are

An image has two layers, `/dependencies` and `/app`, and takes its interpreter from the host that runs it: the label
`dev.drydock.interpreter` says which. The same inputs give the same digests: entries are sorted, dates are fixed, and
nothing in a layer knows where it was built. Prints one JSON line for each image:
`{"release", "digest", "layout", "bytes", "schema", "reused_dependencies"}`. Progress goes to standard error.
"""

import argparse
import fcntl
import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
INTERPRETER = f"python{sys.version_info.major}.{sys.version_info.minor}"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
INSTALL_SECONDS = 900

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class ImageError(Exception):
    """Says what, why and what to do next."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """One file of `releases/`. `schema` is the newest migration that the image carries."""

    version: str
    summary: str
    created: str
    schema: str
    features: tuple[str, ...] = ()
    fault: str | None = None

    @classmethod
    def load(cls, version: str) -> "Release":
        """Raises ImageError."""
        file = HERE / "releases" / f"{version}.toml"
        if version not in releases():
            raise ImageError(f"there is no release {version}: one of {', '.join(releases())}")
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
            datetime.fromisoformat(values["created"])
            release = cls(version=version, **values | {"features": tuple(values.get("features", ()))})
        except (TypeError, ValueError, KeyError) as error:
            raise ImageError(f"{file.name} can't be read: {error}") from error
        if not any((HERE / "migrations" / "versions").glob(f"{release.schema}_*.py")):
            raise ImageError(f"{file.name} names schema {release.schema}, and there is no such migration")
        return release


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A compressed layer: digest and size of the blob, and the digest of what is in it."""

    path: Path
    digest: str
    diff_id: str
    size: int

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": LAYER, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, kw_only=True)
class Image:
    release: str
    digest: str
    layout: str
    bytes: int
    schema: str
    reused_dependencies: bool


def releases() -> list[str]:
    return sorted(file.name.removesuffix(".toml") for file in (HERE / "releases").glob("*.toml"))


def build(versions: Iterable[str], output: Path, cache: Path | None = None) -> list[Image]:
    """Write an OCI image layout with these releases, each under its version as reference name. A folder that is a
    layout already gets them added, and a release that it has is replaced. Raises ImageError."""
    chosen = [Release.load(version) for version in versions]
    dependencies, reused = dependency_layer(cache or default_cache())
    _check_output(output)
    blobs = output / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    with _only_one(output / ".lock"):
        return [_add(release, dependencies, output, reused) for release in chosen]


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "drydock" / "images"


# The layers


def dependency_layer(cache: Path) -> tuple[Layer, bool]:
    """The layer of requirements.lock, and whether the cache had it. Installed once for a lock and an interpreter, also
    when two ask at once."""
    lock = (HERE / "requirements.lock").read_bytes()
    # The compiled files differ a little from one patch release of the interpreter to the next.
    key = f"{hashlib.sha256(lock).hexdigest()[:16]}-python{platform.python_version()}-{ARCHITECTURE}"
    cache.mkdir(parents=True, exist_ok=True)
    kept, facts = cache / f"dependencies-{key}.tar.gz", cache / f"dependencies-{key}.json"
    with _only_one(cache / f"{key}.lock"):
        if (layer := _kept(kept, facts)) is not None:
            return layer, True
        with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as folder:
            installed = Path(folder) / "dependencies"
            _install(installed)
            _compile(installed)
            layer = _write_layer(_dependency_files(installed), Path(folder) / "layer")
            layer.path.replace(kept)
        _write(facts, json.dumps({"digest": layer.digest, "diff_id": layer.diff_id, "size": layer.size}).encode())
        return Layer(path=kept, digest=layer.digest, diff_id=layer.diff_id, size=layer.size), False


def _kept(kept: Path, facts: Path) -> Layer | None:
    try:
        layer = Layer(path=kept, **json.loads(facts.read_bytes()))
        return layer if _digest_of(kept) == layer.digest else None
    except (OSError, ValueError, TypeError):
        return None


def _install(target: Path) -> None:
    _progress(f"installing the chat service's dependencies for {INTERPRETER} (once; kept for the next time)")
    command = [
        *(
            sys.executable,
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--no-deps",
            "--only-binary=:all:",
            "--no-compile",
        ),
        *("--disable-pip-version-check", "--progress-bar=on", "--target", str(target)),
        *("--requirement", str(HERE / "requirements.lock")),
    ]
    try:
        done = subprocess.run(command, stdout=sys.stderr, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ImageError(
            f"pip did not finish in {INSTALL_SECONDS} s: look at the network, then run this again"
        ) from error
    if done.returncode:
        raise ImageError(
            f"pip failed with code {done.returncode}: its messages are above; run this again when it is mended"
        )


def _compile(installed: Path) -> None:
    """Compile the modules, with the hash of their source instead of its date. A task can't keep what it compiles, so
    each start would cost another second."""
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s"]
    command += [str(installed.parent), str(installed)]
    # Without a fixed seed the order within a set differs each time.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=environment, stdout=sys.stderr, timeout=INSTALL_SECONDS, check=False)
    if done.returncode:
        raise ImageError("some dependency can't be compiled: the messages above say which")


def _dependency_files(installed: Path) -> Iterator[tuple[str, bytes, bool]]:
    for path in _files(installed):
        name = path.relative_to(installed).as_posix()
        # Scripts begin with the path of the interpreter that installed them; nothing here needs them.
        if name.startswith("bin/"):
            continue
        content = path.read_bytes()
        if name.endswith(".dist-info/RECORD"):
            lines = content.splitlines(keepends=True)
            content = b"".join(line for line in lines if not line.startswith((b"../../bin/", b"bin/")))
        yield f"dependencies/{name}", content, os.access(path, os.X_OK)


def application_files(release: Release) -> Iterator[tuple[str, bytes, bool]]:
    """Code and migrations of one release: no fault in a good one, no migration newer than its schema."""
    for folder in ("chat", "migrations"):
        for path in _files(HERE / folder):
            name = path.relative_to(HERE).as_posix()
            if "__pycache__" in path.parts:
                continue
            if name == "chat/faults.py" and release.fault is None:
                continue
            revision = re.fullmatch(r"migrations/versions/(\d+)_.*\.py", name)
            if revision is not None and revision[1] > release.schema:
                continue
            yield f"app/{name}", path.read_bytes(), False


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _write_layer(files: Iterable[tuple[str, bytes, bool]], path: Path) -> Layer:
    """A tar whose every entry belongs to root, has the date 0 and one of two modes, compressed without a date."""
    contents = hashlib.sha256()
    folders: set[str] = set()

    def header(name: str, mode: int, kind: bytes, size: int = 0) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(name)
        entry.mode, entry.type, entry.size = mode, kind, size
        return entry

    with path.open("wb") as raw:
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as compressed:
            sink = _Tee(compressed, contents)
            with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
                for name, content, executable in files:
                    for parent in reversed(Path(name).parents[:-1]):
                        if parent.as_posix() not in folders:
                            folders.add(parent.as_posix())
                            tar.addfile(header(parent.as_posix(), 0o755, tarfile.DIRTYPE))
                    entry = header(name, 0o755 if executable else 0o644, tarfile.REGTYPE, len(content))
                    tar.addfile(entry, io.BytesIO(content))
        raw.flush()
        os.fsync(raw.fileno())
    return Layer(path=path, digest=_digest_of(path), diff_id=f"sha256:{contents.hexdigest()}", size=path.stat().st_size)


class _Tee:
    def __init__(self, file: gzip.GzipFile, digest: "hashlib._Hash") -> None:
        self._file, self._digest = file, digest

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)


# The layout


def _add(release: Release, dependencies: Layer, output: Path, reused: bool) -> Image:
    with tempfile.TemporaryDirectory(dir=output, prefix=".building-") as folder:
        application = _write_layer(application_files(release), Path(folder) / "layer")
        layers = [dependencies, application]
        for layer in layers:
            _keep_blob(output, layer)
    config = _write_document(output, _config(release, layers))
    manifest = _write_document(
        output,
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **config},
            "layers": [layer.descriptor for layer in layers],
            "annotations": _labels(release),
        },
    )
    entry = {
        "mediaType": MANIFEST,
        **manifest,
        "platform": {"architecture": ARCHITECTURE, "os": "linux"},
        "annotations": {"org.opencontainers.image.ref.name": release.version},
    }
    _add_to_index(output, entry)
    return Image(
        release=release.version,
        digest=manifest["digest"],
        layout=str(output),
        bytes=sum(layer.size for layer in layers) + config["size"] + manifest["size"],
        schema=release.schema,
        reused_dependencies=reused,
    )


def _config(release: Release, layers: list[Layer]) -> dict[str, Any]:
    environment = {
        # Relative to the working directory: the image is unpacked to a folder, not to the root.
        "PYTHONPATH": ".:../dependencies",
        "PYTHONUNBUFFERED": "1",
        "RELEASE": release.version,
        "CHAT_FEATURES": ",".join(release.features),
    }
    if release.fault is not None:
        environment["CHAT_FAULT"] = release.fault
    return {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "created": release.created,
        "config": {
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "WorkingDir": "/app",
            # Not an entry point: a task that migrates names another command, which has to replace this one.
            "Cmd": ["python", "-m", "chat"],
            "ExposedPorts": {"8080/tcp": {}},
            "StopSignal": "SIGTERM",
            "Labels": _labels(release),
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [
            {"created": release.created, "created_by": "pip install --require-hashes -r requirements.lock"},
            {"created": release.created, "created_by": "copy of chat and migrations"},
        ],
    }


def _labels(release: Release) -> dict[str, str]:
    lock = (HERE / "requirements.lock").read_bytes()
    sources = [*application_files(release), ("requirements.lock", lock, False)]
    revision = hashlib.sha256(b"".join(hashlib.sha256(x[0].encode() + b"\0" + x[1]).digest() for x in sources))
    return {
        "dev.drydock.interpreter": INTERPRETER,
        "dev.drydock.schema": release.schema,
        "org.opencontainers.image.title": "chat",
        "org.opencontainers.image.description": release.summary,
        "org.opencontainers.image.version": release.version,
        # Of the files that went in, not of a commit: an image may be built from a tree that was never committed.
        "org.opencontainers.image.revision": revision.hexdigest(),
        "org.opencontainers.image.created": release.created,
    }


def _write_document(output: Path, document: dict[str, Any]) -> dict[str, Any]:
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(content).hexdigest()
    _write(output / "blobs" / "sha256" / digest, content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


def _keep_blob(output: Path, layer: Layer) -> None:
    target = output / "blobs" / "sha256" / layer.digest.removeprefix("sha256:")
    if target.exists() and target.stat().st_size == layer.size:
        return
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(layer.path, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _add_to_index(output: Path, entry: dict[str, Any]) -> None:
    index = output / "index.json"
    name = entry["annotations"]["org.opencontainers.image.ref.name"]
    others = json.loads(index.read_bytes())["manifests"] if index.exists() else []
    manifests = [m for m in others if m.get("annotations", {}).get("org.opencontainers.image.ref.name") != name]
    manifests = sorted([*manifests, entry], key=lambda m: str(m.get("annotations")))
    _write(output / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    _write(index, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, indent=1).encode())


def _check_output(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise ImageError(f"{output} is a file: name a folder")
    if output.exists() and any(output.iterdir()) and not (output / "blobs").is_dir():
        raise ImageError(f"{output} holds other things: name an empty folder or an image layout")


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, also when the disk is full or somebody kills us."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _progress("waiting for another build")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="image.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("releases", nargs="*", metavar="RELEASE")
    parser.add_argument("--output", type=Path, metavar="FOLDER")
    parser.add_argument("--list", action="store_true", help="the releases there are, as JSON lines")
    chosen = parser.parse_args(arguments)
    if not chosen.list and not (chosen.releases and chosen.output):
        parser.error("name at least one release and --output, or --list")
    try:
        if chosen.list:
            for version in releases():
                print(json.dumps(asdict(Release.load(version))))
            return 0
        for image in build(chosen.releases, chosen.output):
            print(json.dumps(asdict(image)), flush=True)
    except (ImageError, OSError) as error:
        _progress(f"image.py: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
