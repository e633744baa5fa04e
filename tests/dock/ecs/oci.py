"""Small OCI images, made in memory and pushed as any client does: layers first, then the manifest."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
from typing import Any

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def layer(files: dict[str, bytes | str], *, mode: int = 0o644) -> bytes:
    """A gzipped tar of files by path; a value that is a str makes a symbolic link to it, a path that ends in / a
    directory."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = mode
            if name.endswith("/"):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)


def manifest(config: bytes, layers: list[bytes]) -> str:
    described = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(content), "size": len(content)}
        for content in layers
    ]
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(config),
                "size": len(config),
            },
            "layers": described,
        }
    )


def config(**settings: Any) -> bytes:
    """An image's configuration; `settings` are Entrypoint, Cmd, Env, WorkingDir, Labels."""
    settings.setdefault("Labels", {"dev.drydock.interpreter": "python3.11"})
    return json.dumps({"architecture": "amd64", "os": "linux", "config": settings, "rootfs": {}}).encode()


def upload(ecr: Any, repository: str, content: bytes) -> str:
    """Upload one blob in parts; returns its digest."""
    started = ecr.initiate_layer_upload(repositoryName=repository)
    step = min(started["partSize"], max(1, (len(content) + 1) // 2))
    for first in range(0, len(content), step):
        part = content[first : first + step]
        ecr.upload_layer_part(
            repositoryName=repository,
            uploadId=started["uploadId"],
            partFirstByte=first,
            partLastByte=first + len(part) - 1,
            layerPartBlob=part,
        )
    with contextlib.suppress(ecr.exceptions.LayerAlreadyExistsException):
        ecr.complete_layer_upload(
            repositoryName=repository, uploadId=started["uploadId"], layerDigests=[digest(content)]
        )
    return digest(content)


def push(ecr: Any, repository: str, tag: str, layers: list[bytes], configuration: bytes) -> str:
    """Push an image; returns the manifest's digest."""
    for content in (configuration, *layers):
        upload(ecr, repository, content)
    answer = ecr.put_image(repositoryName=repository, imageManifest=manifest(configuration, layers), imageTag=tag)
    return str(answer["image"]["imageId"]["imageDigest"])
