"""A release on its way through the dock's own ECR and ECS: pushed, migrated, rolled out; and a bad one, rolled back."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dock.aws.ecr.ecr import Ecr
from dock.aws.ecs.ecs import Ecs
from dock.aws.logs.logs import Logs
from dock.cloud import Cloud
from dock.home import Home
from operations import deploy
from operations import manifest as manifests
from operations.errors import OperationError
from operations.migration import MigrationFailed
from operations.parameters import DeployParameters
from operations.push_image import push
from operations.rollout import RolloutFailed
from operations.runs.journal import unrecorded
from operations.target import Target
from tests.dock.conftest import home, running_cloud  # noqa: F401  (home is a fixture)
from tests.dock.iam.roles import make_execution_role
from tests.operations.environment import until

pytestmark = [pytest.mark.dock, pytest.mark.timeout(240)]

SERVE = "import time\nprint('serving', flush=True)\ntime.sleep(3600)\n"
CRASH = "import sys\nprint('crashing', flush=True)\nsys.exit(3)\n"
MIGRATE = "print('migrated', flush=True)\n"
BREAK = "import sys\nprint('relation \"messages\" exists already', flush=True)\nsys.exit(1)\n"


def layout(folder: Path, serve: str, migrate: str) -> Path:
    """An OCI image layout with two programs."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for name, text in (("app/serve.py", serve), ("app/migrate.py", migrate)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        name = hashlib.sha256(content).hexdigest()
        (blobs / name).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{name}", "size": len(content)}

    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "WorkingDir": "/app",
            "Cmd": ["python3", "serve.py"],
            "Labels": {"dev.drydock.interpreter": "python3.11"},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(json.dumps(config).encode(), "config.v1+json"),
        "layers": [blob(layer.getvalue(), "layer.v1.tar")],
    }
    index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), "manifest.v1+json")]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def prepare(cloud: Cloud, document: dict[str, Any], role: str = "execution") -> Target:
    """What the program would have made: repository, log group, templates, a service without tasks, and the role that
    its tasks are started with."""

    def connect(service: str, region: str) -> Any:
        return cloud.client(service, "000000000001", region)

    ecr, ecs, logs, ec2 = (connect(service, "us-east-1") for service in ("ecr", "ecs", "logs", "ec2"))
    role_arn = make_execution_role(connect("iam", "us-east-1"), name=role)
    web = document["services"]["web"]
    repository = ecr.create_repository(repositoryName=web["repository"], imageTagMutability="IMMUTABLE")
    web["repository_url"] = repository["repository"]["repositoryUri"]
    logs.create_log_group(logGroupName=web["log_group"])
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    web["subnets"] = [ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]]
    web["security_groups"] = [ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]]
    ecs.create_cluster(clusterName=web["cluster"])
    for key, name, command in (("template", "web", "serve.py"), ("migration_template", "migrate", "migrate.py")):
        answer = ecs.register_task_definition(
            family=f"{web['family' if key == 'template' else 'migration_family']}-template",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            executionRoleArn=role_arn,
            containerDefinitions=[
                {
                    "name": name,
                    "image": f"{web['repository_url']}:none",
                    "command": ["python3", command],
                    "essential": True,
                    "logConfiguration": {
                        "logDriver": "awslogs",
                        "options": {
                            "awslogs-group": web["log_group"],
                            "awslogs-stream-prefix": name,
                            "awslogs-region": "us-east-1",
                        },
                    },
                }
            ],
        )
        web[key] = answer["taskDefinition"]["taskDefinitionArn"]
    ecs.create_service(
        cluster=web["cluster"],
        serviceName=web["service"],
        taskDefinition=web["template"],
        desiredCount=0,
        launchType="FARGATE",
        networkConfiguration={
            "awsvpcConfiguration": {"subnets": web["subnets"], "securityGroups": web["security_groups"]}
        },
        deploymentConfiguration={
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "minimumHealthyPercent": 100,
            "maximumPercent": 200,
        },
    )
    return Target(manifests.parse(json.dumps(document), document["platform"], document["environment"]), connect)


@pytest.fixture
async def target(home: Home, document: dict[str, Any]) -> AsyncIterator[Target]:  # noqa: F811
    async with running_cloud(home, [Ecr, Logs, Ecs]) as cloud:
        target = await asyncio.to_thread(prepare, cloud, document)
        yield target
        await asyncio.to_thread(scale_to_nothing, target)


def release(target: Target, folder: Path, tag: str, serve: str = SERVE, migrate: str = MIGRATE) -> str:
    """Push a release; its digest."""
    repository = target.manifest.service("web").repository
    return push(target.client("ecr"), layout(folder / tag, serve, migrate), repository, tag).digest


def deployed(target: Target, digest: str) -> deploy.Outcome:
    request = DeployParameters(image_digest=digest, deadline_seconds=90)
    return deploy.execute(deploy.plan(deploy.gather(target, "web", digest), request), target, unrecorded(print))


def service(target: Target) -> dict[str, Any]:
    web = target.manifest.service("web")
    found: dict[str, Any] = target.client("ecs").describe_services(cluster=web.cluster, services=[web.service])
    return dict(found["services"][0])


def scale_to_nothing(target: Target) -> None:
    web = target.manifest.service("web")
    target.client("ecs").update_service(cluster=web.cluster, service=web.service, desiredCount=0)
    until(lambda: service(target)["runningCount"] == 0, 30)


async def test_a_release_is_pushed_deployed_and_replaced(target: Target, tmp_path: Path) -> None:
    def act() -> None:
        first = release(target, tmp_path, "1.0.0")
        assert deployed(target, first).result == "deployed"
        assert (service(target)["runningCount"], service(target)["desiredCount"]) == (2, 2)
        assert deployed(target, first).result == "nothing to do"
        second = release(target, tmp_path, "1.1.0", SERVE + "# better\n")
        assert deployed(target, second).result == "deployed"
        assert service(target)["taskDefinition"].endswith("task-definition/chatvrm-local-web:2")

    await asyncio.to_thread(act)


async def test_a_release_that_crashes_is_rolled_back_and_told_so(target: Target, tmp_path: Path) -> None:
    def act() -> None:
        deployed(target, release(target, tmp_path, "1.0.0"))
        crashing = release(target, tmp_path, "1.2.2", CRASH)
        with pytest.raises(RolloutFailed) as error:
            deployed(target, crashing)
        assert "the service is on chatvrm-local-web:1 again (2 of 2 tasks)" in error.value.why
        assert error.value.events
        assert service(target)["runningCount"] == 2

    await asyncio.to_thread(act)


async def test_a_migration_that_fails_leaves_the_service_alone(target: Target, tmp_path: Path) -> None:
    def act() -> None:
        broken = release(target, tmp_path, "1.0.0", SERVE, BREAK)
        with pytest.raises(MigrationFailed) as error:
            deployed(target, broken)
        assert "exit code 1" in error.value.why
        assert 'relation "messages" exists already' in error.value.why
        assert service(target)["desiredCount"] == 0

    await asyncio.to_thread(act)


async def test_a_tag_that_was_pushed_keeps_its_image(target: Target, tmp_path: Path) -> None:
    def act() -> None:
        release(target, tmp_path / "a", "1.0.0")
        with pytest.raises(OperationError, match="its tags can't be moved"):
            release(target, tmp_path / "b", "1.0.0", CRASH)
        repository = target.manifest.service("web").repository
        again = push(target.client("ecr"), tmp_path / "a" / "1.0.0", repository, "1.0.0")
        assert again.existed
        assert not again.uploaded

    await asyncio.to_thread(act)
