"""What a task definition and a service may say: everything is done, recorded, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import botocore.model
import pytest
from botocore.exceptions import ClientError

from dock.aws.ecs import Ecs, declared, fargate
from dock.aws.ecs.names import family_and_revision
from dock.aws.ecs.records import Container, Shelf, Task
from dock.aws.models import service_model
from dock.aws.service import AwsError
from dock.store import Scope, Store
from tests.dock.conftest import call
from tests.dock.ecs.conftest import CLUSTER, World


def request(**container: Any) -> dict[str, Any]:
    options = {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}
    return {
        "family": "web",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::000000000001:role/execution",
        "containerDefinitions": [
            {
                "name": "web",
                "image": "x",
                "logConfiguration": {"logDriver": "awslogs", "options": options},
                **container,
            }
        ],
    }


def check(asked: dict[str, Any]) -> None:
    declared.check_nested("containerDefinitions", asked["containerDefinitions"])
    fargate.check(asked)


@pytest.mark.parametrize(
    ("cpu", "memory", "normalised"),
    [("256", "512", ("256", "512")), (".5 vCPU", "2 GB", ("512", "2048")), ("4 vcpu", "30GB", ("4096", "30720"))],
)
def test_a_size_may_be_said_in_words(cpu: str, memory: str, normalised: tuple[str, str]) -> None:
    assert fargate.size({"cpu": cpu, "memory": memory}) == normalised


@pytest.mark.parametrize(("cpu", "memory"), [("256", "4096"), ("300", "512"), ("1024", "1024"), ("x", "512")])
def test_a_size_that_fargate_has_not_got_is_refused(cpu: str, memory: str) -> None:
    with pytest.raises(AwsError):
        fargate.size({"cpu": cpu, "memory": memory})


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ({"mountPoints": [{"sourceVolume": "a"}]}, "containerDefinitions.mountPoints"),
        ({"privileged": True}, "containerDefinitions.privileged"),
        ({"linuxParameters": {"capabilities": {"add": ["SYS_PTRACE"]}}}, "linuxParameters.capabilities.add"),
        ({"portMappings": [{"containerPortRange": "80-90"}]}, "portMappings.containerPortRange"),
        ({"logConfiguration": {"logDriver": "splunk"}}, "log driver awslogs alone"),
        ({"logConfiguration": {"logDriver": "awslogs", "options": {}}}, "requires options"),
        ({"portMappings": [{"containerPort": 80, "hostPort": 81}]}, "must match"),
        ({"stopTimeout": 121}, "stopTimeout"),
        ({"healthCheck": {"command": ["curl"]}}, "CMD or CMD-SHELL"),
        ({"healthCheck": {"command": ["CMD", "x"], "interval": 1}}, "healthCheck.interval"),
        ({"dependsOn": [{"containerName": "none", "condition": "START"}]}, "which is not there"),
        ({"ulimits": [{"name": "nice", "softLimit": 1, "hardLimit": 1}]}, "ulimit nice"),
        ({"memory": 1024}, "must not exceed"),
        ({"essential": False}, "at least one essential"),
        (
            {"environment": [{"name": "A", "value": ""}], "secrets": [{"name": "A", "valueFrom": "x"}]},
            "must be unique",
        ),
    ],
)
def test_what_the_dock_cannot_do_is_refused_by_name(container: dict[str, Any], said: str) -> None:
    with pytest.raises(AwsError) as caught:
        check(request(**container))
    assert said in caught.value.message


def test_what_is_empty_or_false_is_no_reason_to_refuse() -> None:
    check(request(mountPoints=[], volumesFrom=[], privileged=False, systemControls=[], linuxParameters={}))


def test_a_circle_of_dependencies_is_refused() -> None:
    asked = request(dependsOn=[{"containerName": "b", "condition": "START"}])
    second = {"name": "b", "image": "x", "dependsOn": [{"containerName": "web", "condition": "START"}]}
    asked["containerDefinitions"].append(second)
    with pytest.raises(AwsError, match="circle"):
        check(asked)


def test_every_declared_nested_name_is_one_of_the_model() -> None:
    shapes = {
        "containerDefinitions": "ContainerDefinition",
        "deploymentConfiguration": "DeploymentConfiguration",
        "overrides": "TaskOverride",
        "loadBalancers": "LoadBalancer",
    }
    for name, allowed in [*declared.ACTS.items(), *declared.RECORDS.items()]:
        for path in allowed:
            shape: Any = service_model("ecs").shape_for(shapes[name])
            for step in path.split("."):
                if isinstance(shape, botocore.model.ListShape):
                    shape = shape.member
                assert step in shape.members, f"{name}.{path}"
                shape = shape.members[step]


def test_every_declared_parameter_is_one_of_the_model() -> None:
    for operation in Ecs.operations().values():
        shape = service_model("ecs").operation_model(operation.name).input_shape
        assert operation.acts | operation.records <= set(shape.members), operation.name
        assert not operation.acts & operation.records, operation.name


def test_names_and_arns_are_taken_apart() -> None:
    assert family_and_revision("web") == ("web", None)
    assert family_and_revision("arn:aws:ecs:us-east-1:000000000001:task-definition/web:7") == ("web", 7)
    for wrong in ("web:x", "web:", "a b", ""):
        with pytest.raises(AwsError):
            family_and_revision(wrong)


def test_records_come_back_from_the_store_as_they_were(tmp_path: Path) -> None:
    def stored() -> Shelf[Task]:
        return Shelf(Store(tmp_path / "dock.sqlite").table("ecs/task"), Task.load)

    task = Task(
        id="t1",
        account="000000000001",
        region="us-east-1",
        cluster="c",
        definition="arn",
        family="web",
        revision=3,
        group="service:web",
        cpu="256",
        memory="512",
        network={},
        zone="us-east-1a",
        created=1.5,
        containers=[Container("web", "image", True, "r1", "arn", exit_code=3)],
        targets=[{"arn": "tg", "port": 80}],
    )
    stored().save(task)
    assert stored().get(Scope("000000000001", "us-east-1"), "t1") == task
    assert stored().get(Scope("000000000001", "us-west-2"), "t1") is None


@pytest.mark.dock
async def test_definitions_are_numbered_described_and_retired(world: World) -> None:
    first = await world.register()
    second = await world.register()
    assert (first[-2:], second[-2:]) == (":1", ":2")
    tags = [{"key": "team", "value": "chat"}]
    await call(world.ecs.tag_resource, resourceArn=first, tags=tags)
    answer = await call(world.ecs.describe_task_definition, taskDefinition="web:1", include=["TAGS"])
    assert answer["tags"] == tags
    container = answer["taskDefinition"]["containerDefinitions"][0]
    assert container["portMappings"] == [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}]
    assert (await call(world.ecs.describe_task_definition, taskDefinition="web"))["taskDefinition"]["revision"] == 2
    await call(world.ecs.deregister_task_definition, taskDefinition=second)
    listed = await call(world.ecs.list_task_definitions, familyPrefix="web")
    assert listed["taskDefinitionArns"] == [first]
    deleted = await call(world.ecs.delete_task_definitions, taskDefinitions=[first, second])
    assert [failure["arn"] for failure in deleted["failures"]] == [first]
    # A number is used once.
    assert (await world.register())[-2:] == ":3"


@pytest.mark.dock
async def test_services_and_tasks_that_cannot_be_are_refused(world: World) -> None:
    definition = await world.register()

    async def refused(method: Any, **more: Any) -> str:
        with pytest.raises(ClientError) as caught:
            await call(method, cluster=CLUSTER, **more)
        return f"{caught.value.response['Error']['Code']}: {caught.value.response['Error']['Message']}"

    base = {"serviceName": "web", "taskDefinition": definition, "networkConfiguration": world.network}
    for more, said in (
        ({"launchType": "EC2"}, "FARGATE alone"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "controller ECS alone"),
        ({"deploymentConfiguration": {"strategy": "BLUE_GREEN"}}, "bakeTimeInMinutes must be provided"),
        ({"deploymentConfiguration": {"maximumPercent": 100}}, "will block deployments"),
        ({"enableExecuteCommand": True}, "no ExecuteCommand"),
        ({"serviceConnectConfiguration": {"enabled": True}}, "UnsupportedOperation"),
        ({"taskDefinition": "none"}, "TaskDefinition not found."),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-0"]}}}, "retrieving subnet"),
        ({"loadBalancers": [{"targetGroupArn": "arn:x", "containerName": "web", "containerPort": 8080}]}, "not exist"),
        ({"loadBalancers": [{"targetGroupArn": "arn:x", "containerName": "web", "containerPort": 1}]}, "port 1"),
    ):
        assert said in await refused(world.ecs.create_service, **{**base, **more})
    without = {key: value for key, value in base.items() if key != "networkConfiguration"}
    assert "Network Configuration" in await refused(world.ecs.create_service, **without)
    run = {"taskDefinition": definition, "networkConfiguration": world.network}
    override = {"containerOverrides": [{"name": "other"}]}
    assert "not a container" in await refused(world.ecs.run_task, **run, overrides=override)
    assert "UnsupportedOperation" in await refused(world.ecs.execute_command, task="x", command="sh", interactive=True)
    answer = await call(world.ecs.describe_services, cluster=CLUSTER, services=["none"])
    assert answer["failures"][0]["reason"] == "MISSING"
    with pytest.raises(world.ecs.exceptions.ClusterNotFoundException):
        await call(world.ecs.list_services, cluster="none")


@pytest.mark.dock
async def test_a_client_token_makes_a_thing_once(world: World) -> None:
    definition = await world.register()
    first = await world.run(definition, clientToken="once")
    second = await world.run(definition, clientToken="once")
    assert first["taskArn"] == second["taskArn"]
    await world.create_service(definition, 0, balanced=False, clientToken="service")
    await world.create_service(definition, 0, balanced=False, clientToken="service")
    with pytest.raises(ClientError, match="not idempotent"):
        await world.create_service(definition, 0, balanced=False, clientToken="another")
