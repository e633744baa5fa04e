"""Images: manifests and the tags that point at them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from fnmatch import fnmatchcase
from typing import Any

from dock.aws.ecr.layers import Layers
from dock.aws.ecr.repositories import paginate
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.blobs import DIGEST
from dock.store import EVERYWHERE, Record, Scope

MANIFEST_MEDIA_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEX_MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class Images(Layers):
    """Handlers of images. An image's record holds its manifest; blobs hold its config and layers."""

    def find_image(
        self, scope: Scope, repository: str, *, tag: str | None = None, digest: str | None = None
    ) -> Record | None:
        """An image by digest, or by tag, or by both when they agree."""
        for image in self.images_of(scope, repository):
            if (digest is None or image["digest"] == digest) and (tag is None or tag in image["tags"]):
                return image
        return None

    @operation("PutImage", acts="registryId repositoryName imageManifest imageManifestMediaType imageTag imageDigest")
    async def put_image(self, call: Call, request: Request) -> Response:
        repository = self.repository(call, request)
        name, text, tag = repository["name"], request["imageManifest"], request.get("imageTag")
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        if request.get("imageDigest", digest) != digest:
            raise AwsError(
                "ImageDigestDoesNotMatchException",
                f"The digest of the manifest is {digest}, not {request['imageDigest']}",
            )
        media_type, manifest = _parse_manifest(text, request.get("imageManifestMediaType"))
        blobs, size = self._contents(call.scope, name, media_type, manifest)
        before = self.find_image(call.scope, name, digest=digest)
        if before is not None and (tag is None or tag in before["tags"]):
            identity = f"imageTag '{tag}'" if tag else f"imageDigest '{digest}'"
            raise AwsError(
                "ImageAlreadyExistsException",
                f"Image with digest '{digest}' and {identity} already exists in the repository with name '{name}' in"
                f" registry with id '{call.account}'",
            )
        previous = self.find_image(call.scope, name, tag=tag) if tag else None
        if previous is not None and not _is_mutable(repository, tag or ""):
            raise AwsError(
                "ImageTagAlreadyExistsException",
                f"The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the"
                " tag is immutable.",
            )
        image = before or {
            "repository": name,
            "digest": digest,
            "manifest": text,
            "media_type": media_type,
            "artifact_type": manifest.get("artifactType") or (manifest.get("config") or {}).get("mediaType"),
            "blobs": blobs,
            "size": size,
            "pushed": time.time(),
            "tags": [],
        }
        with self.cloud.store.transaction():
            if previous is not None:
                previous["tags"].remove(tag)
                self.images.put(call.scope, f"{name}@{previous['digest']}", previous)
            if tag:
                image["tags"].append(tag)
            self.images.put(call.scope, f"{name}@{digest}", image)
        return {"image": _view(call, image, {"imageDigest": digest, "imageTag": tag})}

    def _contents(
        self, scope: Scope, repository: str, media_type: str, manifest: dict[str, Any]
    ) -> tuple[list[str], int]:
        """Digests of the blobs that a manifest needs, and the image's size in bytes; raises AwsError when one isn't
        there."""
        try:
            if media_type in INDEX_MEDIA_TYPES:
                children = [entry["digest"] for entry in manifest["manifests"]]
                images = {digest: self.find_image(scope, repository, digest=digest) for digest in children}
                absent = [digest for digest, image in images.items() if image is None]
                if absent:
                    raise AwsError(
                        "ReferencedImagesNotFoundException",
                        f"The images with digests {absent} are not in the repository '{repository}'",
                    )
                return [], sum(image["size"] for image in images.values() if image)
            layers = [layer["digest"] for layer in manifest["layers"]]
            needed = [manifest["config"]["digest"], *layers]
        except (KeyError, TypeError, AttributeError):
            raise AwsError(
                "InvalidParameterException",
                "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'",
            ) from None
        sizes = {digest: self.layer_size(scope, repository, digest) for digest in needed}
        missing = [digest for digest, size in sizes.items() if size is None]
        if missing:
            raise AwsError(
                "LayersNotFoundException",
                f"Layers with digests '{missing}' required for pushing image into repository with name '{repository}'"
                " don't exist: upload them first",
            )
        return needed, sum(sizes[digest] or 0 for digest in layers)

    @operation("BatchGetImage", acts="registryId repositoryName imageIds acceptedMediaTypes")
    async def batch_get_image(self, call: Call, request: Request) -> Response:
        name = self.repository(call, request)["name"]
        accepted = request.get("acceptedMediaTypes")
        images, failures = [], []
        for wanted in request["imageIds"]:
            image, failure = self._look_up(call.scope, name, wanted)
            if image is None or (accepted and image["media_type"] not in accepted):
                failures.append(failure or _failure(wanted, "ImageNotFound", "Requested image has another media type"))
            else:
                identity = {"imageDigest": image["digest"], "imageTag": wanted.get("imageTag")}
                images.append(_view(call, image, identity))
        return {"images": images, "failures": failures}

    @operation("DescribeImages", acts="registryId repositoryName imageIds nextToken maxResults filter")
    async def describe_images(self, call: Call, request: Request) -> Response:
        name = self.repository(call, request)["name"]
        if wanted := request.get("imageIds"):
            found = []
            for identity in wanted:
                image, _ = self._look_up(call.scope, name, identity)
                if image is None:
                    wanted_digest, tag = identity.get("imageDigest", "null"), identity.get("imageTag", "null")
                    raise AwsError(
                        "ImageNotFoundException",
                        f"The image with imageId {{imageDigest:'{wanted_digest}', imageTag:'{tag}'}}"
                        f" does not exist within the repository with name '{name}' in the registry with id"
                        f" '{call.account}'",
                    )
                found.append(image)
        else:
            found = _filtered(self.images_of(call.scope, name), request)
        found = sorted({image["digest"]: image for image in found}.values(), key=lambda image: -image["pushed"])
        page, token = paginate(found, request, lambda image: str(image["digest"]))
        return {"imageDetails": [_detail(call, image) for image in page], "nextToken": token}

    @operation("ListImages", acts="registryId repositoryName nextToken maxResults filter")
    async def list_images(self, call: Call, request: Request) -> Response:
        name = self.repository(call, request)["name"]
        found = _filtered(self.images_of(call.scope, name), request)
        identities = [
            {"imageDigest": image["digest"], "imageTag": tag}
            for image in sorted(found, key=lambda image: -image["pushed"])
            for tag in image["tags"] or [None]
        ]
        page, token = paginate(identities, request, lambda entry: f"{entry['imageDigest']}:{entry['imageTag']}")
        return {"imageIds": page, "nextToken": token}

    @operation("BatchDeleteImage", acts="registryId repositoryName imageIds")
    async def batch_delete_image(self, call: Call, request: Request) -> Response:
        name = self.repository(call, request)["name"]
        deleted, failures = [], []
        for wanted in request["imageIds"]:
            image, failure = self._look_up(call.scope, name, wanted)
            if image is None:
                failures.append(failure)
                continue
            if "imageDigest" in wanted:
                holders = [
                    index["digest"]
                    for index in self.images_of(call.scope, name)
                    if index["media_type"] in INDEX_MEDIA_TYPES and image["digest"] in index["manifest"]
                ]
                if holders:
                    reason = f"Requested image referenced by manifest list: {holders}"
                    failures.append(_failure(wanted, "ImageReferencedByManifestList", reason))
                    continue
            # By tag alone, the image goes with its last tag.
            gone = [wanted["imageTag"]] if "imageDigest" not in wanted else list(image["tags"]) or [None]
            deleted += [{"imageDigest": image["digest"], "imageTag": tag} for tag in gone]
            left = [tag for tag in image["tags"] if tag not in gone]
            if left:
                self.images.put(call.scope, f"{name}@{image['digest']}", image | {"tags": left})
            else:
                self.delete_image(call.scope, image)
        return {"imageIds": deleted, "failures": failures}

    def delete_image(self, scope: Scope, image: Record) -> None:
        """Remove an image and the layers that no other needs."""
        self.images.delete(scope, f"{image['repository']}@{image['digest']}")
        self.drop_layers(scope, image["repository"], set(image["blobs"]))

    @operation("DeleteRepository", acts="registryId repositoryName force")
    async def delete_repository(self, call: Call, request: Request) -> Response:
        repository = self.repository(call, request)
        name = repository["name"]
        images = self.images_of(call.scope, name)
        if images and not request.get("force"):
            raise AwsError(
                "RepositoryNotEmptyException",
                f"The repository with name '{name}' in registry with id '{call.account}' cannot be deleted because it"
                " still contains images",
            )
        described = await self.describe_repositories(call, {"repositoryNames": [name]})
        layers = [layer["digest"] for layer in self.layers.list(call.scope) if layer["repository"] == name]
        place = {"account": call.account, "region": call.region, "repository": name}
        uploads = [upload for _, upload, record in self.uploads.all() if record == place]
        with self.cloud.store.transaction():
            for image in images:
                self.images.delete(call.scope, f"{name}@{image['digest']}")
            for digest in layers:
                self.layers.delete(call.scope, f"{name}@{digest}")
            for upload in uploads:
                self.uploads.delete(EVERYWHERE, upload)
            self.repositories.delete(call.scope, name)
        for upload in uploads:
            await asyncio.to_thread(self.blobs.abandon, upload)
        for digest in set(layers) - self.known_digests():
            self.blobs.delete(digest)
        return {"repository": described["repositories"][0]}

    def _look_up(
        self, scope: Scope, repository: str, wanted: dict[str, str]
    ) -> tuple[Record | None, dict[str, Any] | None]:
        tag, digest = wanted.get("imageTag"), wanted.get("imageDigest")
        if tag is None and digest is None:
            return None, _failure(
                wanted, "MissingDigestAndTag", "Invalid request parameters: both tag and digest missing"
            )
        if digest is not None and not DIGEST.fullmatch(digest):
            return None, _failure(wanted, "InvalidImageDigest", "Invalid request parameters: image digest")
        image = self.find_image(scope, repository, tag=tag, digest=digest)
        if image is not None:
            return image, None
        if tag and digest and self.find_image(scope, repository, tag=tag):
            return None, _failure(wanted, "ImageTagDoesNotMatchDigest", "Requested image tag is of another digest")
        return None, _failure(wanted, "ImageNotFound", "Requested image not found")


def _failure(wanted: dict[str, str], code: str, reason: str) -> dict[str, Any]:
    return {"imageId": wanted, "failureCode": code, "failureReason": reason}


def _parse_manifest(text: str, declared: str | None) -> tuple[str, dict[str, Any]]:
    try:
        manifest = json.loads(text)
        media_type = declared or manifest.get("mediaType")
    except (ValueError, AttributeError):
        raise AwsError(
            "InvalidParameterException",
            "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'",
        ) from None
    if media_type is None:
        media_type = INDEX_MEDIA_TYPES[0] if "manifests" in manifest else MANIFEST_MEDIA_TYPES[0]
    if media_type not in (*MANIFEST_MEDIA_TYPES, *INDEX_MEDIA_TYPES):
        raise AwsError("InvalidParameterException", f"The manifest's media type {media_type!r} is not supported")
    return media_type, manifest


def _is_mutable(repository: Record, tag: str) -> bool:
    excluded = any(fnmatchcase(tag, entry["filter"]) for entry in repository["exclusions"])
    return bool(repository["mutability"].startswith("MUTABLE")) != excluded


def _filtered(images: list[Record], request: Request) -> list[Record]:
    conditions = request.get("filter", {})
    if conditions.get("imageStatus", "ACTIVE") not in ("ACTIVE", "ANY"):
        return []
    status = conditions.get("tagStatus", "ANY")
    return [image for image in images if status == "ANY" or bool(image["tags"]) == (status == "TAGGED")]


def _view(call: Call, image: Record, identity: dict[str, Any]) -> dict[str, Any]:
    return {
        "registryId": call.account,
        "repositoryName": image["repository"],
        "imageId": identity,
        "imageManifest": image["manifest"],
        "imageManifestMediaType": image["media_type"],
    }


def _detail(call: Call, image: Record) -> dict[str, Any]:
    return {
        "registryId": call.account,
        "repositoryName": image["repository"],
        "imageDigest": image["digest"],
        "imageTags": image["tags"] or None,
        "imageSizeInBytes": image["size"],
        "imagePushedAt": image["pushed"],
        "imageManifestMediaType": image["media_type"],
        "artifactMediaType": image["artifact_type"],
        "imageStatus": "ACTIVE",
    }
