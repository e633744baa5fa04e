from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from operations.errors import OperationError
from operations.push_image import Pushed, push, read_layout
from tests.operations.cloud import AwsRefusal, Cloud, Request, Response

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Layout:
    """An OCI image layout that a test writes."""

    def __init__(self, folder: Path, layers: tuple[bytes, ...] = (b"layer one" * 300, b"layer two")) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        config = self.blob(b'{"architecture":"amd64","os":"linux"}', "application/vnd.oci.image.config.v1+json")
        described = [self.blob(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers]
        content = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described})
        self.manifest = self.blob(content.encode(), MANIFEST)
        self.index(self.manifest)

    def blob(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = digest_of(content)
        self.path(digest).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def path(self, digest: str) -> Path:
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def index(self, *descriptors: dict[str, Any]) -> None:
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": list(descriptors)}))

    @property
    def digests(self) -> list[str]:
        manifest = json.loads(self.path(self.manifest["digest"]).read_bytes())
        return [entry["digest"] for entry in (manifest["config"], *manifest["layers"])]


class Registry:
    """One repository, as ECR keeps it, with immutable tags."""

    def __init__(self, cloud: Cloud, part_size: int = 1000) -> None:
        self.layers: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.uploads: dict[str, bytes] = {}
        self.part_size = part_size
        cloud.answers |= {
            "BatchCheckLayerAvailability": self.check,
            "InitiateLayerUpload": self.initiate,
            "UploadLayerPart": self.upload,
            "CompleteLayerUpload": self.complete,
            "PutImage": self.put,
            "DescribeImages": lambda request: {
                "imageDetails": [{"imageDigest": self.tags[request["imageIds"][0]["imageTag"]]}]
            },
        }

    def check(self, request: Request) -> Response:
        return {
            "layers": [
                {"layerDigest": digest, "layerAvailability": "AVAILABLE" if digest in self.layers else "UNAVAILABLE"}
                for digest in request["layerDigests"]
            ]
        }

    def initiate(self, _: Request) -> Response:
        name = f"upload-{len(self.uploads)}"
        self.uploads[name] = b""
        return {"uploadId": name, "partSize": self.part_size}

    def upload(self, request: Request) -> Response:
        part = request["layerPartBlob"]
        held = self.uploads[request["uploadId"]]
        if request["partFirstByte"] != len(held) or request["partLastByte"] != len(held) + len(part) - 1:
            raise AwsRefusal("InvalidLayerPartException")
        self.uploads[request["uploadId"]] = held + part
        return {}

    def complete(self, request: Request) -> Response:
        content = self.uploads[request["uploadId"]]
        if [digest_of(content)] != request["layerDigests"]:
            raise AwsRefusal("InvalidLayerException", "Layer digest does not match")
        self.layers[request["layerDigests"][0]] = content
        return {}

    def put(self, request: Request) -> Response:
        digest = digest_of(request["imageManifest"].encode())
        held = self.tags.get(request["imageTag"])
        if held == digest:
            raise AwsRefusal("ImageAlreadyExistsException")
        if held is not None:
            raise AwsRefusal("ImageTagAlreadyExistsException")
        self.tags[request["imageTag"]] = digest
        return {"image": {"imageId": {"imageDigest": digest, "imageTag": request["imageTag"]}}}


@pytest.fixture
def registry(cloud: Cloud) -> Registry:
    return Registry(cloud)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "image")


def pushed(cloud: Cloud, layout: Layout, tag: str = "1.0.0") -> Pushed:
    return push(cloud.client("ecr", "us-east-1"), layout.folder, "chatvrm-local-web", tag)


def test_an_image_is_pushed_in_parts_of_the_size_that_ecr_names(
    cloud: Cloud, registry: Registry, layout: Layout
) -> None:
    result = pushed(cloud, layout)
    assert result.digest == layout.manifest["digest"] == registry.tags["1.0.0"]
    assert set(result.uploaded) == set(layout.digests) == set(registry.layers)
    assert max(len(part["layerPartBlob"]) for part in cloud.sent("UploadLayerPart")) == 1000
    assert len(cloud.sent("UploadLayerPart")) == 3 + 1 + 1
    assert not result.existed


def test_a_second_push_uploads_nothing(cloud: Cloud, registry: Registry, layout: Layout) -> None:
    pushed(cloud, layout)
    uploads = len(registry.uploads)
    result = pushed(cloud, layout)
    assert result.existed
    assert (result.uploaded, set(result.skipped)) == ((), set(layout.digests))
    assert len(registry.uploads) == uploads


def test_a_push_that_was_interrupted_is_carried_on(cloud: Cloud, registry: Registry, layout: Layout) -> None:
    complete, registry.layers = registry.complete, {}

    def die_at_the_second(request: Request) -> Response:
        if registry.layers:
            raise AwsRefusal("ServerException", "the test pulled the plug")
        return complete(request)

    cloud.answers["CompleteLayerUpload"] = die_at_the_second
    with pytest.raises(OperationError, match="pulled the plug"):
        pushed(cloud, layout)
    assert not registry.tags
    cloud.answers["CompleteLayerUpload"] = complete
    result = pushed(cloud, layout)
    assert (len(result.skipped), len(result.uploaded)) == (1, 2)


def test_a_layer_that_another_push_completed_meanwhile_is_no_error(
    cloud: Cloud, registry: Registry, layout: Layout
) -> None:
    cloud.answers["CompleteLayerUpload"] = AwsRefusal("LayerAlreadyExistsException")
    assert pushed(cloud, layout).digest in registry.tags.values()


def test_an_immutable_tag_of_another_image_is_refused(
    cloud: Cloud, registry: Registry, layout: Layout, tmp_path: Path
) -> None:
    pushed(cloud, layout)
    other = Layout(tmp_path / "other", (b"another layer",))
    with pytest.raises(OperationError) as error:
        pushed(cloud, other)
    assert f"this one names {layout.manifest['digest']}, not {other.manifest['digest']}" in error.value.why
    assert "new tag" in error.value.next
    assert registry.tags["1.0.0"] == layout.manifest["digest"]


def test_the_same_image_under_a_tag_that_exists_is_success_whatever_ecr_calls_it(
    cloud: Cloud, registry: Registry, layout: Layout
) -> None:
    pushed(cloud, layout)
    cloud.answers["PutImage"] = AwsRefusal("ImageTagAlreadyExistsException")
    assert pushed(cloud, layout).existed


def test_a_repository_that_is_not_there_names_the_command_that_makes_it(cloud: Cloud, layout: Layout) -> None:
    cloud.answers["BatchCheckLayerAvailability"] = AwsRefusal("RepositoryNotFoundException")
    with pytest.raises(OperationError) as error:
        pushed(cloud, layout)
    assert "pulumi up" in error.value.next


def test_a_digest_that_ecr_reports_differently_is_not_trusted(cloud: Cloud, registry: Registry, layout: Layout) -> None:
    cloud.answers["PutImage"] = {"image": {"imageId": {"imageDigest": "sha256:" + "0" * 64}}}
    with pytest.raises(OperationError, match="can't be trusted"):
        pushed(cloud, layout)
    assert not registry.tags


def test_a_layer_that_occurs_twice_is_uploaded_once(cloud: Cloud, registry: Registry, tmp_path: Path) -> None:
    result = pushed(cloud, Layout(tmp_path / "twice", (b"same", b"same")))
    assert len(result.uploaded) == 2
    assert len(registry.layers) == 2


def test_a_changed_blob_is_found_before_ecr_takes_it(cloud: Cloud, registry: Registry, layout: Layout) -> None:
    path = layout.path(layout.digests[1])
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(OperationError, match=f"blob {layout.digests[1]} was changed"):
        pushed(cloud, layout)
    assert layout.digests[1] not in registry.layers
    assert not registry.tags


def test_a_missing_or_shortened_blob_is_named(layout: Layout) -> None:
    path = layout.path(layout.digests[1])
    path.write_bytes(b"short")
    with pytest.raises(OperationError, match="has 5 bytes instead of 2700"):
        read_layout(layout.folder)
    path.unlink()
    with pytest.raises(OperationError, match=f"{path.name} is not there"):
        read_layout(layout.folder)


def test_of_an_index_for_several_platforms_the_linux_one_is_taken(layout: Layout) -> None:
    other = Layout(layout.folder / "arm", (b"arm",))
    for digest in (*other.digests, other.manifest["digest"]):
        layout.path(digest).write_bytes(other.path(digest).read_bytes())
    both = [
        {**layout.manifest, "platform": {"os": "linux", "architecture": "amd64"}},
        {**other.manifest, "platform": {"os": "linux", "architecture": "arm64"}},
    ]
    nested = layout.blob(json.dumps({"schemaVersion": 2, "manifests": both}).encode(), INDEX)
    layout.index(nested)
    assert read_layout(layout.folder).digest == layout.manifest["digest"]
    layout.index(layout.manifest, other.manifest)
    with pytest.raises(OperationError, match="2 images for linux/amd64 instead of one"):
        read_layout(layout.folder)


@pytest.mark.parametrize("content", ["", "[]", '{"manifests": [{}]}', '{"manifests": "x"}'])
def test_nonsense_is_no_layout(layout: Layout, content: str) -> None:
    (layout.folder / "index.json").write_text(content)
    with pytest.raises(OperationError, match="no usable OCI image layout"):
        read_layout(layout.folder)


def test_a_digest_can_not_point_outside_the_layout(layout: Layout) -> None:
    layout.index({"mediaType": MANIFEST, "digest": "sha256:../../../etc/passwd", "size": 1})
    with pytest.raises(OperationError, match="no sha256 digest"):
        read_layout(layout.folder)
