"""The registry as a client sees it: boto3 on the front door."""

from __future__ import annotations

import asyncio
import hashlib
import json
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from dock.aws.ecr import Ecr
from dock.aws.ecr.lifecycle import Policy, expired
from dock.cloud import Cloud
from dock.engines.images import ImageError
from dock.home import Home
from tests.dock.conftest import call, running_cloud
from tests.dock.ecs import oci

NAME = "chat-local-web"


@pytest.fixture
async def cloud(home: Home) -> AsyncIterator[Cloud]:
    async with running_cloud(home, [Ecr]) as running:
        yield running


@pytest.fixture
async def ecr(cloud: Cloud, account: str, region: str) -> Any:
    client = cloud.client("ecr", account, region)
    await call(client.create_repository, repositoryName=NAME)
    return client


async def refused(method: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        await call(method, **parameters)
    return str(caught.value.response["Error"]["Code"])


def image(text: str = "print('hello')", **settings: Any) -> tuple[list[bytes], bytes]:
    layers = [oci.layer({"app/main.py": text.encode()})]
    return layers, oci.config(WorkingDir="/app", Cmd=["python", "main.py"], **settings)


def reference(account: str, region: str, rest: str) -> str:
    return f"{account}.dkr.ecr.{region}.amazonaws.com/{NAME}{rest}"


@pytest.mark.dock
async def test_an_image_that_was_pushed_is_described_listed_and_got_back(ecr: Any, account: str, region: str) -> None:
    layers, config = image()
    digest = await asyncio.to_thread(oci.push, ecr, NAME, "v1", layers, config)
    (detail,) = (await call(ecr.describe_images, repositoryName=NAME))["imageDetails"]
    assert (detail["imageDigest"], detail["imageTags"]) == (digest, ["v1"])
    assert detail["imageSizeInBytes"] == len(layers[0])
    assert (await call(ecr.list_images, repositoryName=NAME))["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    (found,) = (await call(ecr.batch_get_image, repositoryName=NAME, imageIds=[{"imageTag": "v1"}]))["images"]
    assert f"sha256:{hashlib.sha256(found['imageManifest'].encode()).hexdigest()}" == digest
    (repository,) = (await call(ecr.describe_repositories, repositoryNames=[NAME]))["repositories"]
    assert repository["repositoryUri"] == reference(account, region, "")
    answer = await call(ecr.get_download_url_for_layer, repositoryName=NAME, layerDigest=oci.digest(layers[0]))
    content = await asyncio.to_thread(lambda: urllib.request.urlopen(answer["downloadUrl"], timeout=5).read())
    assert content == layers[0]


@pytest.mark.dock
async def test_the_newest_image_comes_first_and_a_tag_moves_to_it(ecr: Any) -> None:
    first = await asyncio.to_thread(oci.push, ecr, NAME, "latest", *image("1"))
    second = await asyncio.to_thread(oci.push, ecr, NAME, "latest", *image("2"))
    details = (await call(ecr.describe_images, repositoryName=NAME))["imageDetails"]
    assert [(detail["imageDigest"], detail.get("imageTags")) for detail in details] == [
        (second, ["latest"]),
        (first, None),
    ]
    answer = await call(ecr.describe_images, repositoryName=NAME, filter={"tagStatus": "UNTAGGED"})
    assert [detail["imageDigest"] for detail in answer["imageDetails"]] == [first]


@pytest.mark.dock
async def test_an_immutable_tag_is_not_overwritten(ecr: Any) -> None:
    await call(ecr.put_image_tag_mutability, repositoryName=NAME, imageTagMutability="IMMUTABLE")
    layers, config = image("1")
    await asyncio.to_thread(oci.push, ecr, NAME, "v1", layers, config)
    again = {"repositoryName": NAME, "imageManifest": oci.manifest(config, layers), "imageTag": "v1"}
    assert await refused(ecr.put_image, **again) == "ImageAlreadyExistsException"
    with pytest.raises(ecr.exceptions.ImageTagAlreadyExistsException):
        await asyncio.to_thread(oci.push, ecr, NAME, "v1", *image("2"))


@pytest.mark.dock
async def test_a_manifest_needs_its_blobs(ecr: Any) -> None:
    layers, config = image()
    await asyncio.to_thread(oci.upload, ecr, NAME, config)
    text = oci.manifest(config, layers)
    assert await refused(ecr.put_image, repositoryName=NAME, imageManifest=text) == "LayersNotFoundException"
    assert await refused(ecr.put_image, repositoryName=NAME, imageManifest="{]") == "InvalidParameterException"
    assert await refused(ecr.put_image, repositoryName=NAME, imageManifest="{}") == "InvalidParameterException"
    answer = await call(
        ecr.batch_check_layer_availability,
        repositoryName=NAME,
        layerDigests=[oci.digest(config), oci.digest(layers[0])],
    )
    assert [entry["layerAvailability"] for entry in answer["layers"]] == ["AVAILABLE", "UNAVAILABLE"]


@pytest.mark.dock
async def test_an_upload_is_checked(ecr: Any) -> None:
    upload = (await call(ecr.initiate_layer_upload, repositoryName=NAME))["uploadId"]
    at = {"repositoryName": NAME, "uploadId": upload}
    digest = oci.digest(b"abcdef")
    assert await refused(ecr.complete_layer_upload, **at, layerDigests=[digest]) == "EmptyUploadException"
    gap = {"partFirstByte": 3, "partLastByte": 5, "layerPartBlob": b"def"}
    assert await refused(ecr.upload_layer_part, **at, **gap) == "InvalidLayerPartException"
    await call(ecr.upload_layer_part, **at, partFirstByte=0, partLastByte=2, layerPartBlob=b"abc")
    # A part whose answer was lost is sent again.
    await call(ecr.upload_layer_part, **at, partFirstByte=0, partLastByte=2, layerPartBlob=b"abc")
    await call(ecr.upload_layer_part, **at, **gap)
    assert (
        await refused(ecr.complete_layer_upload, **at, layerDigests=[oci.digest(b"other")]) == "InvalidLayerException"
    )
    assert await refused(ecr.complete_layer_upload, **at, layerDigests=[digest]) == "UploadNotFoundException"


@pytest.mark.dock
async def test_blobs_are_shared_and_go_with_the_last_image_that_needs_them(cloud: Cloud, ecr: Any) -> None:
    await call(ecr.create_repository, repositoryName="other")
    layers, config = image()
    digest = await asyncio.to_thread(oci.push, ecr, NAME, "v1", layers, config)
    await asyncio.to_thread(oci.push, ecr, "other", "v1", layers, config)
    blobs = cloud.home.data("ecr") / "blobs" / "sha256"
    assert len(list(blobs.iterdir())) == 2
    await call(ecr.batch_delete_image, repositoryName=NAME, imageIds=[{"imageDigest": digest}])
    assert len(list(blobs.iterdir())) == 2
    assert await refused(ecr.delete_repository, repositoryName="other") == "RepositoryNotEmptyException"
    await call(ecr.delete_repository, repositoryName="other", force=True)
    assert list(blobs.iterdir()) == []


@pytest.mark.dock
async def test_an_image_unpacks_with_its_whiteouts(
    cloud: Cloud, ecr: Any, account: str, region: str, tmp_path: Path
) -> None:
    layers = [
        oci.layer({"app/gone.py": b"1", "app/kept.py": b"1", "data/old/a": b"a", "bin": "usr/bin"}),
        oci.layer({"app/.wh.gone.py": b"", "data/old/.wh..wh..opq": b"", "data/old/b": b"b", "bin/tool": b"t"}),
    ]
    digest = await asyncio.to_thread(oci.push, ecr, NAME, "v1", layers, oci.config(WorkingDir="/work/here"))
    registry = cloud.service(Ecr)
    unpacked = await registry.unpack(account, region, reference(account, region, f"@{digest}"), tmp_path)
    files = {str(path.relative_to(unpacked.root)) for path in unpacked.root.rglob("*") if path.is_file()}
    assert files == {"app/kept.py", "data/old/b", "usr/bin/tool"}
    assert (unpacked.root / "bin" / "tool").read_bytes() == b"t"
    assert (unpacked.root / "work" / "here").is_dir()
    assert unpacked.labels == {"dev.drydock.interpreter": "python3.11"}


@pytest.mark.dock
@pytest.mark.parametrize(
    "files",
    [{"../out": b""}, {"link": "../..", "link/out": b""}, {"link": "/../../etc", "link/out": b""}],
)
async def test_a_layer_cannot_leave_its_image(
    cloud: Cloud, ecr: Any, account: str, region: str, tmp_path: Path, files: dict[str, Any]
) -> None:
    await asyncio.to_thread(oci.push, ecr, NAME, "evil", [oci.layer(files)], oci.config())
    with pytest.raises(ImageError, match="leads out of the image"):
        await cloud.service(Ecr).unpack(account, region, reference(account, region, ":evil"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.dock
async def test_a_flipped_byte_in_a_layer_is_noticed(
    cloud: Cloud, ecr: Any, account: str, region: str, tmp_path: Path
) -> None:
    layers, config = image()
    await asyncio.to_thread(oci.push, ecr, NAME, "v1", layers, config)
    path = cloud.home.data("ecr") / "blobs" / "sha256" / oci.digest(layers[0]).removeprefix("sha256:")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    with pytest.raises(ImageError, match="is damaged"):
        await cloud.service(Ecr).unpack(account, region, reference(account, region, ":v1"), tmp_path)


@pytest.mark.dock
async def test_an_image_that_is_not_there_is_named(
    cloud: Cloud, ecr: Any, account: str, region: str, tmp_path: Path
) -> None:
    registry = cloud.service(Ecr)
    with pytest.raises(ImageError, match=r":v9: not found"):
        await registry.unpack(account, region, reference(account, region, ":v9"), tmp_path)
    with pytest.raises(ImageError, match="its own registry"):
        await registry.unpack(account, region, "nginx:latest", tmp_path)


@pytest.mark.dock
async def test_a_lifecycle_policy_expires_images_and_a_wrong_one_is_refused(ecr: Any) -> None:
    for number in range(4):
        await asyncio.to_thread(oci.push, ecr, NAME, f"v{number}", *image(str(number)))
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 2}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    wrong = json.dumps({"rules": [{**rule, "selection": {**selection, "countUnit": "days"}}]})
    code = await refused(ecr.put_lifecycle_policy, repositoryName=NAME, lifecyclePolicyText=wrong)
    assert code == "InvalidParameterException"
    assert await refused(ecr.get_lifecycle_policy, repositoryName=NAME) == "LifecyclePolicyNotFoundException"
    await call(ecr.put_lifecycle_policy, repositoryName=NAME, lifecyclePolicyText=json.dumps({"rules": [rule]}))
    details = (await call(ecr.describe_images, repositoryName=NAME))["imageDetails"]
    assert [detail["imageTags"] for detail in details] == [["v3"], ["v2"]]


@pytest.mark.dock
async def test_images_survive_a_restart_of_the_dock(home: Home, account: str, region: str) -> None:
    async with running_cloud(home, [Ecr]) as cloud:
        client = cloud.client("ecr", account, region)
        await call(client.create_repository, repositoryName=NAME, tags=[{"Key": "team", "Value": "chat"}])
        digest = await asyncio.to_thread(oci.push, client, NAME, "v1", *image())
    async with running_cloud(home, [Ecr]) as cloud:
        client = cloud.client("ecr", account, region)
        (detail,) = (await call(client.describe_images, repositoryName=NAME))["imageDetails"]
        assert detail["imageDigest"] == digest
        arn = (await call(client.describe_repositories))["repositories"][0]["repositoryArn"]
        assert (await call(client.list_tags_for_resource, resourceArn=arn))["tags"] == [
            {"Key": "team", "Value": "chat"}
        ]
        other = cloud.client("ecr", account, "us-west-2")
        assert (await call(other.describe_repositories))["repositories"] == []


@pytest.mark.dock
async def test_an_upload_goes_on_after_a_restart_of_the_dock(home: Home, account: str, region: str) -> None:
    first = Cloud(home, [Ecr])
    await first.start()
    client = first.client("ecr", account, region)
    await call(client.create_repository, repositoryName=NAME)
    at = {
        "repositoryName": NAME,
        "uploadId": (await call(client.initiate_layer_upload, repositoryName=NAME))["uploadId"],
    }
    await call(client.upload_layer_part, **at, partFirstByte=0, partLastByte=2, layerPartBlob=b"abc")
    await first.leave()
    async with running_cloud(home, [Ecr]):
        await call(client.upload_layer_part, **at, partFirstByte=3, partLastByte=5, layerPartBlob=b"def")
        digest = oci.digest(b"abcdef")
        assert (await call(client.complete_layer_upload, **at, layerDigests=[digest]))["layerDigest"] == digest


def policy(*rules: dict[str, Any]) -> Policy:
    return Policy.model_validate(
        {
            "rules": [
                {"rulePriority": number + 1, "selection": rule, "action": {"type": "expire"}}
                for number, rule in enumerate(rules)
            ]
        }
    )


def test_an_image_belongs_to_the_first_rule_that_covers_it() -> None:
    images = [
        {"digest": "a", "tags": ["prod-1"], "pushed": 1.0},
        {"digest": "b", "tags": ["test-1"], "pushed": 2.0},
        {"digest": "c", "tags": [], "pushed": 3.0},
    ]
    keep_prod = {
        "tagStatus": "tagged",
        "tagPrefixList": ["prod-"],
        "countType": "imageCountMoreThan",
        "countNumber": 5,
    }
    rest = {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}
    gone = expired(policy(keep_prod, rest), images, now=10 * 86400.0)
    assert sorted(entry["digest"] for entry in gone) == ["b", "c"]


@given(st.lists(st.floats(0, 1e9), max_size=30), st.integers(1, 10))
def test_a_count_rule_keeps_the_newest(times: list[float], count: int) -> None:
    images = [{"digest": str(number), "tags": [], "pushed": time} for number, time in enumerate(times)]
    rule = {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": count}
    gone = {entry["digest"] for entry in expired(policy(rule), images, now=2e9)}
    kept = [entry["pushed"] for entry in images if entry["digest"] not in gone]
    assert len(kept) == min(count, len(times))
    assert sorted(kept) == sorted(times)[len(times) - len(kept) :]
