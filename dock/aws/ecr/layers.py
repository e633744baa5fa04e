"""Layers: uploaded in parts, verified by their digest, downloaded through the front door."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from dock.aws.ecr.repositories import Repositories
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.blobs import DIGEST, BlobError, UploadError
from dock.store import EVERYWHERE, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

DOWNLOAD_PATH = "/ecr-layers/"
PART_BYTES = 20 * 1024 * 1024
_DOWNLOAD_SECONDS = 3600
_LAYER_MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


class Layers(Repositories):
    """Handlers of layers. A layer belongs to each repository that it was pushed to; its bytes are kept once."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        # Capability → (file, expiry). A restart of the dock ends them; clients ask for new ones.
        self._downloads: dict[str, tuple[Path, float]] = {}

    def layer_size(self, scope: Scope, repository: str, digest: str) -> int | None:
        """Size of a repository's layer in bytes; None when it hasn't got it or the bytes are gone."""
        if not DIGEST.fullmatch(digest) or self.layers.get(scope, f"{repository}@{digest}") is None:
            return None
        return self.blobs.size(digest)

    @operation("BatchCheckLayerAvailability", acts="registryId repositoryName layerDigests")
    async def batch_check_layer_availability(self, call: Call, request: Request) -> Response:
        repository = self.repository(call, request)["name"]
        layers, failures = [], []
        for digest in request["layerDigests"]:
            if not DIGEST.fullmatch(digest):
                reason = f"Invalid layer digest: {digest}"
                failures.append({"layerDigest": digest, "failureCode": "InvalidLayerDigest", "failureReason": reason})
                continue
            size = self.layer_size(call.scope, repository, digest)
            available = {"layerAvailability": "AVAILABLE", "layerSize": size, "mediaType": _LAYER_MEDIA_TYPE}
            layers.append(
                {"layerDigest": digest, **(available if size is not None else {"layerAvailability": "UNAVAILABLE"})}
            )
        return {"layers": layers, "failures": failures}

    @operation("InitiateLayerUpload", acts="registryId repositoryName")
    async def initiate_layer_upload(self, call: Call, request: Request) -> Response:
        repository = self.repository(call, request)["name"]
        upload = await asyncio.to_thread(self.blobs.begin)
        self.uploads.put(EVERYWHERE, upload, {"account": call.account, "region": call.region, "repository": repository})
        return {"uploadId": upload, "partSize": PART_BYTES}

    @operation("UploadLayerPart", acts="registryId repositoryName uploadId partFirstByte partLastByte layerPartBlob")
    async def upload_layer_part(self, call: Call, request: Request) -> Response:
        repository, upload = self._upload(call, request)
        first, last, part = request["partFirstByte"], request["partLastByte"], request["layerPartBlob"]
        if last - first + 1 != len(part):
            raise AwsError(
                "InvalidLayerPartException", f"bytes {first} to {last} are not the {len(part)} bytes of the part"
            )
        try:
            received = await asyncio.to_thread(self.blobs.append, upload, first, part)
        except UploadError as problem:
            raise AwsError("InvalidLayerPartException", f"upload {upload}: {problem}") from None
        return {
            "registryId": call.account,
            "repositoryName": repository,
            "uploadId": upload,
            "lastByteReceived": received - 1,
        }

    @operation("CompleteLayerUpload", acts="registryId repositoryName uploadId layerDigests")
    async def complete_layer_upload(self, call: Call, request: Request) -> Response:
        repository, upload = self._upload(call, request)
        digest = request["layerDigests"][0]
        if len(request["layerDigests"]) != 1 or not DIGEST.fullmatch(digest):
            raise AwsError("InvalidLayerException", "layerDigests must be one sha256 digest")
        if not self.blobs.received(upload):
            raise AwsError("EmptyUploadException", f"The upload with id '{upload}' has no layer parts")
        known = self.layer_size(call.scope, repository, digest)
        try:
            await asyncio.to_thread(self.blobs.finish, upload, digest)
        except BlobError as problem:
            self.forget_upload(upload)
            raise AwsError("InvalidLayerException", str(problem)) from None
        self.layers.put(call.scope, f"{repository}@{digest}", {"repository": repository, "digest": digest})
        self.forget_upload(upload)
        if self.blobs.size(digest) is None:
            # The last image with this layer was deleted in this very moment.
            raise AwsError("InvalidLayerException", f"{digest} was removed meanwhile: upload it again")
        if known is not None:
            raise AwsError(
                "LayerAlreadyExistsException",
                f"Layer with digest '{digest}' already exists in the repository with name '{repository}'",
            )
        return {
            "registryId": call.account,
            "repositoryName": repository,
            "uploadId": upload,
            "layerDigest": digest,
        }

    def forget_upload(self, upload: str) -> None:
        """Drop an upload's record."""
        self.uploads.delete(EVERYWHERE, upload)

    def _upload(self, call: Call, request: Request) -> tuple[str, str]:
        repository = str(self.repository(call, request)["name"])
        upload = str(request["uploadId"])
        expected = {"account": call.account, "region": call.region, "repository": repository}
        if self.uploads.get(EVERYWHERE, upload) != expected or self.blobs.received(upload) is None:
            raise AwsError(
                "UploadNotFoundException",
                f"The upload with id '{upload}' does not exist in the repository with name '{repository}'; start again",
            )
        return repository, upload

    @operation("GetDownloadUrlForLayer", acts="registryId repositoryName layerDigest")
    async def get_download_url_for_layer(self, call: Call, request: Request) -> Response:
        repository = self.repository(call, request)["name"]
        digest = request["layerDigest"]
        if self.layer_size(call.scope, repository, digest) is None:
            raise AwsError(
                "LayersNotFoundException",
                f"Layer with digest '{digest}' does not exist in the repository with name '{repository}'",
            )
        now = time.monotonic()
        self._downloads = {key: entry for key, entry in self._downloads.items() if entry[1] > now}
        capability = secrets.token_urlsafe(32)
        self._downloads[capability] = self.blobs.path(digest), now + _DOWNLOAD_SECONDS
        return {"downloadUrl": f"{self.cloud.url}{DOWNLOAD_PATH}{capability}", "layerDigest": digest}

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Answer a URL of `GetDownloadUrlForLayer`."""
        path, expiry = self._downloads.get(request.path.removeprefix(DOWNLOAD_PATH), (None, 0.0))
        if path is None or expiry < time.monotonic() or not path.exists():
            return web.Response(
                status=403, text="this layer's URL has expired: ask GetDownloadUrlForLayer for a new one"
            )
        return web.FileResponse(path)

    def drop_layers(self, scope: Scope, repository: str, digests: set[str]) -> None:
        """Remove those of these layers that no image of the repository needs, and their bytes when no repository has
        them any more."""
        needed = {digest for image in self.images_of(scope, repository) for digest in image["blobs"]}
        with self.cloud.store.transaction():
            for digest in digests - needed:
                self.layers.delete(scope, f"{repository}@{digest}")
        for digest in digests - self.known_digests():
            self.blobs.delete(digest)
