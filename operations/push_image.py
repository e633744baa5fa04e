"""Push an image from an OCI image layout to ECR, through ECR's own API: no container engine, no registry
client.

Safe to repeat and to interrupt: layers that ECR has are skipped, and a tag appears only when all of its
layers are there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operations.errors import OperationError, explained

Progress = Callable[[str], None]

MANIFEST_TYPES = frozenset(
    {"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
)
INDEX_TYPES = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
#: ECR takes that many digests in one BatchCheckLayerAvailability.
DIGESTS_PER_CALL = 100
#: A manifest is small; what is larger is no manifest.
MANIFEST_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of the layout, named by its content: `sha256:` and 64 hexadecimal digits. `size` is in bytes."""

    path: Path
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """An image as a layout holds it: the manifest's bytes, its media type, and the blobs it refers to."""

    digest: str
    media_type: str
    manifest: bytes
    blobs: tuple[Blob, ...]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What ECR has now. `uploaded` and `skipped` are blobs' digests; `existed` when the tag was there
    already.
    """

    repository: str
    tag: str
    digest: str
    uploaded: tuple[str, ...]
    skipped: tuple[str, ...]
    existed: bool


def push(ecr: Any, layout: Path, repository: str, tag: str, progress: Progress = lambda _: None) -> Pushed:
    """Push the one image in `layout` to `repository` as `tag`; `ecr` is a boto3 client
    (`Target.client("ecr")`).

    Raises OperationError: a broken layout, no such repository, an immutable tag that names another image.
    """
    image = read_layout(layout)
    with explained(f"can't push {repository}:{tag}"):
        return _push(ecr, image, repository, tag, progress)


def _push(ecr: Any, image: Layout, repository: str, tag: str, progress: Progress) -> Pushed:
    present = _present(ecr, repository, image)
    uploaded, skipped = [], []
    for blob in image.blobs:
        if blob.digest in present:
            skipped.append(blob.digest)
            continue
        progress(f"uploading {blob.digest[:19]}… ({blob.size / 2**20:.1f} MiB)")
        _upload(ecr, repository, blob)
        uploaded.append(blob.digest)
    existed = _put(ecr, repository, tag, image)
    progress(f"{repository}:{tag} is {image.digest}" + (" (was there already)" if existed else ""))
    return Pushed(repository, tag, image.digest, tuple(uploaded), tuple(skipped), existed)


def read_layout(folder: Path) -> Layout:
    """The one image in an OCI image layout, every blob checked for presence and size.

    An index for several platforms must hold exactly one image for linux/amd64 or of no named platform.
    """
    try:
        descriptors = json.loads((folder / "index.json").read_bytes())["manifests"]
        descriptor = _choose(folder, descriptors)
        blob = _blob(folder, descriptor)
        if blob.size > MANIFEST_BYTES:
            raise _broken(folder, f"the manifest {blob.digest} has {blob.size} bytes")
        content = b"".join(_chunks(blob, MANIFEST_BYTES))
        manifest = json.loads(content)
        described = [manifest["config"], *manifest["layers"]]
        # An image may hold the same layer twice; ECR wants it once.
        blobs = {entry["digest"]: _blob(folder, entry) for entry in described}
    except FileNotFoundError as error:
        raise _broken(folder, f"{error.filename} is not there") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(folder, f"{type(error).__name__}: {error}") from None
    return Layout(blob.digest, descriptor["mediaType"], content, tuple(blobs.values()))


def _choose(folder: Path, descriptors: list[dict[str, Any]]) -> dict[str, Any]:
    fitting = []
    for descriptor in descriptors:
        if descriptor["mediaType"] in INDEX_TYPES:
            nested = json.loads(b"".join(_chunks(_blob(folder, descriptor), MANIFEST_BYTES)))
            fitting.append(_choose(folder, nested["manifests"]))
        elif descriptor["mediaType"] in MANIFEST_TYPES:
            platform = descriptor.get("platform") or {"os": "linux", "architecture": "amd64"}
            if (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
                fitting.append(descriptor)
    if len(fitting) != 1:
        raise _broken(folder, f"it holds {len(fitting)} images for linux/amd64 instead of one")
    return fitting[0]


def _blob(folder: Path, descriptor: dict[str, Any]) -> Blob:
    digest, size = descriptor["digest"], descriptor["size"]
    algorithm, _, hexadecimal = digest.partition(":")
    if algorithm != "sha256" or len(hexadecimal) != 64 or not set(hexadecimal) <= set("0123456789abcdef"):
        raise _broken(folder, f"{digest!r} is no sha256 digest")
    path = folder / "blobs" / "sha256" / hexadecimal
    found = path.stat().st_size
    if found != size:
        raise _broken(folder, f"blob {digest} has {found} bytes instead of {size}")
    return Blob(path, digest, size)


def _chunks(blob: Blob, size: int) -> Iterator[bytes]:
    """The blob in pieces; raises OperationError at the end when its content does not fit its name."""
    digest = hashlib.sha256()
    with blob.path.open("rb") as file:
        while chunk := file.read(size):
            digest.update(chunk)
            yield chunk
    if f"sha256:{digest.hexdigest()}" != blob.digest:
        raise _broken(blob.path.parent.parent.parent, f"the content of blob {blob.digest} was changed")


def _present(ecr: Any, repository: str, image: Layout) -> set[str]:
    digests = [blob.digest for blob in image.blobs]
    present: set[str] = set()
    for start in range(0, len(digests), DIGESTS_PER_CALL):
        part = digests[start : start + DIGESTS_PER_CALL]
        try:
            answer = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=part)
        except ecr.exceptions.RepositoryNotFoundException:
            raise OperationError(
                f"can't push to {repository}",
                f"ECR has no such repository in {ecr.meta.region_name}",
                "`pulumi up` creates the environment's repositories",
            ) from None
        present |= {layer["layerDigest"] for layer in answer["layers"] if layer["layerAvailability"] == "AVAILABLE"}
    return present


def _upload(ecr: Any, repository: str, blob: Blob) -> None:
    upload = ecr.initiate_layer_upload(repositoryName=repository)
    first = 0
    try:
        for chunk in _chunks(blob, upload["partSize"]):
            ecr.upload_layer_part(
                repositoryName=repository,
                uploadId=upload["uploadId"],
                partFirstByte=first,
                partLastByte=first + len(chunk) - 1,
                layerPartBlob=chunk,
            )
            first += len(chunk)
        ecr.complete_layer_upload(repositoryName=repository, uploadId=upload["uploadId"], layerDigests=[blob.digest])
    except ecr.exceptions.LayerAlreadyExistsException:
        pass  # another push of the same layer was faster
    except ecr.exceptions.InvalidLayerException as error:
        raise OperationError(
            f"ECR refused the layer {blob.digest}", str(error), "build the image again, then push it again"
        ) from None


def _put(ecr: Any, repository: str, tag: str, image: Layout) -> bool:
    """Name the image; True when the tag named this very image before."""
    try:
        answer = ecr.put_image(
            repositoryName=repository,
            imageManifest=image.manifest.decode(),
            imageManifestMediaType=image.media_type,
            imageTag=tag,
            imageDigest=image.digest,
        )
    except ecr.exceptions.ImageAlreadyExistsException:
        return True
    except ecr.exceptions.ImageTagAlreadyExistsException:
        found = _tagged(ecr, repository, tag)
        if found == image.digest:
            return True
        raise OperationError(
            f"can't push {repository}:{tag}",
            f"its tags can't be moved, and this one names {found or 'another image'}, not {image.digest}",
            "push under a new tag: a release keeps its name for ever",
        ) from None
    except (ecr.exceptions.LayersNotFoundException, ecr.exceptions.ImageDigestDoesNotMatchException) as error:
        raise OperationError(f"can't push {repository}:{tag}", str(error), "push it again") from None
    digest = answer["image"]["imageId"].get("imageDigest")
    if digest != image.digest:
        raise OperationError(
            f"{repository}:{tag} can't be trusted",
            f"ECR says that it is {digest}, what was pushed is {image.digest}",
            "push it again; if this stays, the registry is at fault",
        )
    return False


def _tagged(ecr: Any, repository: str, tag: str) -> str | None:
    try:
        answer = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
    except ecr.exceptions.ImageNotFoundException:
        return None
    details = answer["imageDetails"]
    return str(details[0]["imageDigest"]) if details else None


def _broken(folder: Path, why: str) -> OperationError:
    return OperationError(f"{folder} is no usable OCI image layout", why, "build the image again")
