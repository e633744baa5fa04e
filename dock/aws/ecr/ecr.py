"""The registry, put together; what ECS calls to get an image."""

from __future__ import annotations

import asyncio
import json
import logging
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dock.aws.ecr.images import INDEX_MEDIA_TYPES
from dock.aws.ecr.layers import DOWNLOAD_PATH
from dock.aws.ecr.lifecycle import Lifecycle
from dock.engines import images as oci
from dock.engines.blobs import BlobError
from dock.engines.images import Image, ImageError, Layer
from dock.store import Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

log = logging.getLogger(__name__)

_UPLOAD_SECONDS = 24 * 3600
_SWEEP_SECONDS = 3600
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Reference(NamedTuple):
    """An image reference's parts; exactly one of `tag` and `digest` is set."""

    scope: Scope
    repository: str
    tag: str | None
    digest: str | None


class Ecr(Lifecycle):
    """Repositories, layers, images, lifecycle policies. `docker push` to a registry endpoint is not served."""

    name = "ecr"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.blobs.create()
        self._sweep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.cloud.front_door.add_path(DOWNLOAD_PATH, self.download)
        if self._sweep is None:
            self._sweep = self.cloud.spawn(self._clean(), "image registry sweep")

    async def stop(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def _clean(self) -> None:
        while True:
            for upload in await asyncio.to_thread(self.blobs.stale_uploads, _UPLOAD_SECONDS):
                await asyncio.to_thread(self.blobs.abandon, upload)
                self.forget_upload(upload)
            for scope, name, _ in self.repositories.all():
                self.expire_images(scope, name)
            # A blob without a record is what a crash left between writing one and recording it.
            for digest in await asyncio.to_thread(self.blobs.digests, _SWEEP_SECONDS) - self.known_digests():
                self.blobs.delete(digest)
            await asyncio.sleep(_SWEEP_SECONDS)

    async def unpack(self, account: str, region: str, reference: str, into: Path) -> Image:
        """Have an image unpacked below `into` (a folder that keeps unpacked images by digest) for a task of `account`.

        `reference` is that of a task definition: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG` or `…@sha256:…`.
        Raises ImageError, whose message is what follows `CannotPullContainerError: ` in a task's stopped reason.
        """
        digest, manifest = self._manifest(account, reference)
        try:
            config = json.loads(await asyncio.to_thread(self.blobs.read, manifest["config"]["digest"]))
        except (BlobError, FileNotFoundError, ValueError) as problem:
            raise ImageError(f"failed to unpack image {reference}: {problem}") from None
        layers = [Layer(self.blobs.path(layer["digest"]), layer["digest"]) for layer in manifest["layers"]]
        return await asyncio.to_thread(oci.unpack, into, digest, config.get("config") or {}, layers)

    def _manifest(self, account: str, reference: str) -> tuple[str, dict[str, Any]]:
        wanted = parse_reference(reference)
        if wanted.scope.account != account:
            raise ImageError(
                f"pull access denied for {reference}: the dock gives no account images of another's repositories"
            )
        if self.repositories.get(wanted.scope, wanted.repository) is None:
            raise ImageError(f"pull access denied for {reference}: the repository {wanted.repository} does not exist")
        image = self.find_image(wanted.scope, wanted.repository, tag=wanted.tag, digest=wanted.digest)
        if image is None:
            raise ImageError(f"{reference}: not found")
        manifest = json.loads(image["manifest"])
        if image["media_type"] not in INDEX_MEDIA_TYPES:
            return image["digest"], manifest
        machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
        for entry in manifest["manifests"]:
            if entry.get("platform", {}).get("architecture") == machine:
                child = self.find_image(wanted.scope, wanted.repository, digest=entry["digest"])
                if child is not None:
                    return child["digest"], json.loads(child["manifest"])
        raise ImageError(f"image Manifest does not contain descriptor matching platform linux/{machine}: {reference}")


def parse_reference(reference: str) -> Reference:
    """Take a reference apart. Raises ImageError when it isn't one of this cloud's registries."""
    host, _, path = reference.partition("/")
    labels = host.split(".")
    if labels[1:3] != ["dkr", "ecr"] or labels[4:] != ["amazonaws", "com"] or not path:
        raise ImageError(
            f"failed to resolve ref {reference}: the dock pulls only from its own registry"
            " (ACCOUNT.dkr.ecr.REGION.amazonaws.com); push the image there"
        )
    scope = Scope(labels[0], labels[3])
    name, at, digest = path.partition("@")
    if at:
        return Reference(scope, name.partition(":")[0], None, digest)
    name, _, tag = path.partition(":")
    return Reference(scope, name, tag or "latest", None)
