from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from operations import deploy, migration, rollout, task_definition
from operations.errors import OperationError
from operations.manifest import Manifest
from operations.migration import MigrationFailed
from operations.parameters import DeployParameters
from operations.rollout import RolloutFailed
from operations.runs.journal import unrecorded
from operations.target import Target
from tests.operations.cloud import AwsRefusal, Cloud, Request, Response

ARN = "arn:aws:ecs:us-east-1:000000000001:"
GOOD, NEXT = "sha256:" + "a" * 64, "sha256:" + "b" * 64
URL = "000000000001.dkr.ecr.us-east-1.amazonaws.com/chatvrm-local-web"


def template(family: str, container: str) -> dict[str, Any]:
    """A template as ECS describes it, with what ECS writes and fills in."""
    return {
        "taskDefinitionArn": f"{ARN}task-definition/{family}:1",
        "family": family,
        "revision": 1,
        "status": "ACTIVE",
        "requiresAttributes": [{"name": "ecs.capability.task-eni"}],
        "compatibilities": ["EC2", "FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "volumes": [],
        "placementConstraints": [],
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [
            {
                "name": container,
                "image": "placeholder",
                "cpu": 0,
                "essential": True,
                "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
                "mountPoints": [],
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {"awslogs-group": "/chatvrm/local/web", "awslogs-stream-prefix": container},
                },
            }
        ],
    }


class Ecs:
    """A cluster with one service, which gets where `course` says, one step with every look at it."""

    def __init__(self, cloud: Cloud) -> None:
        self.definitions = {
            found["taskDefinitionArn"]: found
            for found in (
                template("chatvrm-local-web-template", "web"),
                template("chatvrm-local-web-migrate-template", "migrate"),
            )
        }
        first = f"{ARN}task-definition/chatvrm-local-web-template:1"
        self.service: dict[str, Any] = {
            "status": "ACTIVE",
            "taskDefinition": first,
            "desiredCount": 0,
            "runningCount": 0,
            "deployments": [self.deployment(first, "COMPLETED", 0, 0)],
            "events": [{"id": "e0", "message": "an event of long ago"}],
        }
        self.images = {GOOD: ["1.0.0"], NEXT: ["1.1.0"]}
        self.exit_code: int | None = 0
        self.running_migrations: list[str] = []
        self.course: Callable[[dict[str, Any]], None] = complete
        cloud.answers |= {
            "DescribeServices": self.describe,
            "DescribeTaskDefinition": self.definition,
            "RegisterTaskDefinition": self.register,
            "DescribeImages": self.image,
            "ListTasks": lambda _: {"taskArns": self.running_migrations},
            "RunTask": lambda request: {"tasks": [self.task(request["taskDefinition"], "PENDING")], "failures": []},
            "DescribeTasks": self.stopped,
            "UpdateService": self.update,
            "PutMetricData": {},
            "GetLogEvents": {"events": [{"message": "relation exists already; password=canary\n", "timestamp": 1}]},
        }

    @staticmethod
    def deployment(definition: str, state: str, desired: int, running: int, failed: int = 0) -> dict[str, Any]:
        return {
            "id": f"ecs-svc/{definition.rpartition('/')[2]}",
            "status": "PRIMARY",
            "taskDefinition": definition,
            "desiredCount": desired,
            "runningCount": running,
            "failedTasks": failed,
            "rolloutState": state,
        }

    def describe(self, _: Request) -> Response:
        self.course(self.service)
        return {"services": [copy.deepcopy(self.service)], "failures": []}

    def definition(self, request: Request) -> Response:
        name = request["taskDefinition"]
        found = self.definitions.get(name)
        if found is None:
            of_family = [entry for entry in self.definitions.values() if entry["family"] == name]
            if not of_family:
                raise AwsRefusal("ClientException", "Unable to describe task definition.")
            found = max(of_family, key=lambda entry: entry["revision"])
        return {"taskDefinition": found}

    def register(self, request: Request) -> Response:
        definition = {key: value for key, value in request.items() if key != "tags"}
        revision = 1 + sum(entry["family"] == request["family"] for entry in self.definitions.values())
        arn = f"{ARN}task-definition/{request['family']}:{revision}"
        # ECS fills in what was left out.
        definition |= {"taskDefinitionArn": arn, "revision": revision, "status": "ACTIVE", "volumes": []}
        self.definitions[arn] = definition
        return {"taskDefinition": definition}

    def image(self, request: Request) -> Response:
        digest = request["imageIds"][0]["imageDigest"]
        if digest not in self.images:
            raise AwsRefusal("ImageNotFoundException")
        return {"imageDetails": [{"imageDigest": digest, "imageTags": self.images[digest]}]}

    @staticmethod
    def task(definition: str, status: str, **more: Any) -> dict[str, Any]:
        return {"taskArn": f"{ARN}task/chatvrm-local/t1", "taskDefinitionArn": definition, "lastStatus": status, **more}

    def stopped(self, _: Request) -> Response:
        definition = self.definition({"taskDefinition": "chatvrm-local-web-migrate"})["taskDefinition"]
        container = {"name": "migrate"} | ({} if self.exit_code is None else {"exitCode": self.exit_code})
        ended = {"containers": [container], "stoppedReason": "Essential container in task exited"}
        return {"tasks": [self.task(definition["taskDefinitionArn"], "STOPPED", **ended)], "failures": []}

    def update(self, request: Request) -> Response:
        definition, count = request["taskDefinition"], request["desiredCount"]
        if self.service["taskDefinition"] != definition or request["forceNewDeployment"]:
            for old in self.service["deployments"]:
                old["status"] = "ACTIVE"
            self.service["deployments"].insert(0, self.deployment(definition, "IN_PROGRESS", count, 0))
        self.service |= {"taskDefinition": definition, "desiredCount": count}
        self.service["deployments"][0]["desiredCount"] = count
        return {"service": copy.deepcopy(self.service)}


def complete(service: dict[str, Any]) -> None:
    """The rollout goes well, and at once."""
    primary = service["deployments"][0]
    primary |= {"rolloutState": "COMPLETED", "runningCount": service["desiredCount"]}
    service["runningCount"] = service["desiredCount"]
    service["deployments"] = [primary]
    if service["events"][0]["id"] == "e0" and service["desiredCount"]:
        service["events"].insert(0, {"id": "e1", "message": "has reached a steady state."})


def roll_back(service: dict[str, Any]) -> None:
    """The circuit breaker gives the rollout up and returns to the one before."""
    failed = service["deployments"][0]
    if failed["rolloutState"] == "IN_PROGRESS" and len(service["deployments"]) > 1:
        before = {**service["deployments"][1], "status": "PRIMARY", "rolloutState": "COMPLETED", "runningCount": 2}
        failed |= {
            "status": "ACTIVE",
            "rolloutState": "FAILED",
            "failedTasks": 3,
            "rolloutStateReason": "circuit breaker",
        }
        service["deployments"] = [before, failed]
        service["taskDefinition"] = before["taskDefinition"]
        service["events"].insert(0, {"id": "e2", "message": "deployment failed: tasks failed to start."})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rollout, migration):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.01)


@pytest.fixture
def ecs(cloud: Cloud) -> Ecs:
    return Ecs(cloud)


@pytest.fixture
def target(manifest: Manifest, cloud: Cloud, ecs: Ecs) -> Target:
    return Target(manifest, cloud.client)


def request(digest: str = GOOD, **more: Any) -> DeployParameters:
    return DeployParameters(image_digest=digest, **more)


def planned(target: Target, digest: str = GOOD, **more: Any) -> deploy.Plan:
    return deploy.plan(deploy.gather(target, "web", digest), request(digest, **more))


def deployed(target: Target, digest: str = GOOD, **more: Any) -> deploy.Outcome:
    return deploy.execute(planned(target, digest, **more), target, unrecorded())


def test_the_first_release_is_planned_step_by_step(target: Target) -> None:
    plan = planned(target)
    assert plan.steps == (
        "register chatvrm-local-web-migrate from chatvrm-local-web-migrate-template:1",
        "run the migration as a task of that revision",
        "register chatvrm-local-web from chatvrm-local-web-template:1",
        "point chatvrm-local-web at it, with 2 tasks (now 0)",
        "wait until ECS has rolled it out",
    )
    shown = repr(plan)
    assert "Deploy 1.0.0 to chatvrm-local-web" in shown
    assert "point of no return: the migration" in shown
    assert "way back: there is no earlier release" in shown


def test_a_release_is_deployed(target: Target, cloud: Cloud, ecs: Ecs) -> None:
    outcome = deployed(target)
    assert outcome.result == "deployed"
    assert outcome.task_definition == f"{ARN}task-definition/chatvrm-local-web:1"
    assert outcome.events == ("has reached a steady state.",)
    migration, web = cloud.sent("RegisterTaskDefinition")
    assert migration["family"] == "chatvrm-local-web-migrate"
    assert migration["containerDefinitions"][0]["image"] == f"{URL}@{GOOD}"
    assert web["containerDefinitions"][0]["image"] == f"{URL}@{GOOD}"
    assert {"key": "drydock:release", "value": "1.0.0"} in web["tags"]
    assert "requiresAttributes" not in web
    (run,) = cloud.sent("RunTask")
    assert run["networkConfiguration"]["awsvpcConfiguration"]["subnets"] == ["subnet-1", "subnet-2"]
    operations = [name for name, _ in cloud.calls]
    assert operations.index("RunTask") < operations.index("UpdateService")
    assert ecs.service["desiredCount"] == 2


def test_a_release_that_runs_already_leaves_nothing_to_do(target: Target, cloud: Cloud) -> None:
    deployed(target)
    before = len(cloud.calls)
    plan = planned(target)
    assert plan.empty
    assert "nothing to do" in repr(plan)
    outcome = deploy.execute(plan, target, unrecorded())
    assert outcome.result == "nothing to do"
    changed = {name for name, _ in cloud.calls[before:]} & {"RegisterTaskDefinition", "RunTask", "UpdateService"}
    assert not changed


def test_a_deployment_keeps_the_tasks_that_auto_scaling_added(target: Target, cloud: Cloud, ecs: Ecs) -> None:
    deployed(target)
    ecs.service["desiredCount"] = 3
    deployed(target, NEXT)
    assert cloud.sent("UpdateService")[-1]["desiredCount"] == 3


def test_alarms_hear_of_a_deployment_while_it_runs(target: Target, cloud: Cloud) -> None:
    deployed(target)
    names = [name for name, _ in cloud.calls]
    # From a thread of its own: it may come just before or just after the update.
    assert "PutMetricData" in names
    (datum,) = cloud.sent("PutMetricData")[0]["MetricData"]
    assert (cloud.sent("PutMetricData")[0]["Namespace"], datum["MetricName"], datum["Value"]) == (
        "chatvrm/local",
        "DeploymentInProgress",
        1,
    )


def test_a_deployment_goes_on_where_cloudwatch_is_away_and_says_so_once(target: Target, cloud: Cloud) -> None:
    cloud.answers["PutMetricData"] = AwsRefusal("AccessDenied")
    said: list[str] = []
    plan = planned(target)
    assert deploy.execute(plan, target, unrecorded(said.append)).result == "deployed"
    assert len([line for line in said if "alarms don't know" in line]) == 1


def test_another_count_is_set_without_a_migration(target: Target, cloud: Cloud) -> None:
    deployed(target)
    plan = planned(target, desired_count=4)
    assert plan.steps == ("point chatvrm-local-web at it, with 4 tasks (now 2)", "wait until ECS has rolled it out")
    deploy.execute(plan, target, unrecorded())
    assert cloud.sent("UpdateService")[-1]["desiredCount"] == 4
    assert len(cloud.sent("RunTask")) == 1


def test_a_template_that_changed_makes_a_new_revision_of_the_same_image(target: Target, ecs: Ecs) -> None:
    deployed(target)
    changed = ecs.definitions[f"{ARN}task-definition/chatvrm-local-web-template:1"]
    changed["containerDefinitions"][0]["environment"].append({"name": "C", "value": "3"})
    assert "register chatvrm-local-web from chatvrm-local-web-template:1" in planned(target).steps


def test_the_way_back_names_the_digest_that_runs(target: Target) -> None:
    deployed(target)
    assert planned(target, NEXT).way_back == f"deploy {GOOD} (the image that runs now)"


def test_an_interrupted_deployment_reuses_the_revisions_it_registered(target: Target, cloud: Cloud, ecs: Ecs) -> None:
    ecs.exit_code = 1
    with pytest.raises(MigrationFailed):
        deployed(target)
    ecs.exit_code = 0
    assert "run the migration as a task of chatvrm-local-web-migrate:1" in planned(target).steps
    deployed(target)
    families = [sent["family"] for sent in cloud.sent("RegisterTaskDefinition")]
    assert families == ["chatvrm-local-web-migrate", "chatvrm-local-web"]


def test_a_failed_migration_leaves_the_service_alone_and_shows_its_last_words(
    target: Target, cloud: Cloud, ecs: Ecs
) -> None:
    ecs.exit_code = 1
    with pytest.raises(MigrationFailed) as error:
        deployed(target)
    assert "exit code 1" in error.value.why
    assert "relation exists already" in error.value.why
    assert "canary" not in str(error.value)
    assert "still runs its old release" in error.value.next
    assert not cloud.sent("UpdateService")
    assert cloud.sent("GetLogEvents")[0]["logStreamName"] == "migrate/migrate/t1"


def test_a_migration_whose_container_never_ran_has_failed(target: Target, ecs: Ecs) -> None:
    ecs.exit_code = None
    with pytest.raises(MigrationFailed, match="it never ran; Essential container in task exited"):
        deployed(target)


def test_a_migration_that_ecs_does_not_start_has_failed(target: Target, cloud: Cloud, ecs: Ecs) -> None:
    cloud.answers["RunTask"] = {"tasks": [], "failures": [{"reason": "RESOURCE:MEMORY"}]}
    with pytest.raises(MigrationFailed, match="RESOURCE:MEMORY"):
        deployed(target)


def test_a_log_that_can_not_be_read_does_not_hide_the_failure(target: Target, cloud: Cloud, ecs: Ecs) -> None:
    ecs.exit_code = 1
    cloud.answers["GetLogEvents"] = AwsRefusal("ResourceNotFoundException", "no such stream")
    with pytest.raises(MigrationFailed, match=r"(?s)exit code 1.*its log can't be read"):
        deployed(target)


def test_a_migration_that_runs_already_is_waited_for_instead_of_doubled(target: Target, cloud: Cloud, ecs: Ecs) -> None:
    plan = planned(target)
    assert plan.migration_definition is not None
    arn = ecs.register(plan.migration_definition)["taskDefinition"]["taskDefinitionArn"]
    ecs.running_migrations = [f"{ARN}task/chatvrm-local/t1"]
    deploy.execute(plan.model_copy(update={"reuse_migration": arn}), target, unrecorded())
    assert not cloud.sent("RunTask")
    assert cloud.sent("UpdateService")


def test_a_migration_that_outlasts_the_deadline_is_left_running(target: Target, cloud: Cloud, ecs: Ecs) -> None:
    cloud.answers["DescribeTasks"] = lambda _: {"tasks": [ecs.task("x", "RUNNING")], "failures": []}
    with pytest.raises(MigrationFailed, match="was left running") as error:
        deployed(target, deadline_seconds=0.05)
    assert "it waits for this task" in error.value.next
    assert not cloud.sent("StopTask")


def test_a_rollout_that_is_rolled_back_is_a_failure_with_ecs_s_events(target: Target, ecs: Ecs) -> None:
    deployed(target)
    ecs.course = roll_back
    with pytest.raises(RolloutFailed) as error:
        deployed(target, NEXT)
    assert "the service is on chatvrm-local-web:1 again (2 of 2 tasks)" in error.value.why
    assert "circuit breaker" in error.value.why
    assert error.value.events == ["deployment failed: tasks failed to start."]
    assert "aws logs tail /chatvrm/local/web" in error.value.next


def test_a_rollout_that_failed_for_good_is_rolled_out_anew_by_the_next_deployment(
    target: Target, cloud: Cloud, ecs: Ecs
) -> None:
    def give_up(service: dict[str, Any]) -> None:
        if service["desiredCount"]:
            service["deployments"][0] |= {"rolloutState": "FAILED", "rolloutStateReason": "tasks failed to start"}

    ecs.course = give_up
    with pytest.raises(RolloutFailed, match="the failed release stays"):
        deployed(target)
    plan = planned(target)
    assert plan.steps[0] == "roll chatvrm-local-web out anew: ECS gave the last rollout up"
    ecs.course = complete
    assert deploy.execute(plan, target, unrecorded()).result == "deployed"
    assert cloud.sent("UpdateService")[-1]["forceNewDeployment"] is True


def test_a_rollout_that_outlasts_the_deadline_says_how_far_it_is(target: Target, ecs: Ecs) -> None:
    ecs.course = lambda service: None
    with pytest.raises(RolloutFailed, match=r"is not done after 0\.2 s: 0 of 2 tasks run"):
        deployed(target, deadline_seconds=0.2)


def test_all_that_is_wrong_is_refused_at_once(target: Target, cloud: Cloud, ecs: Ecs) -> None:
    ecs.service["status"] = "DRAINING"
    del ecs.definitions[f"{ARN}task-definition/chatvrm-local-web-migrate-template:1"]
    ecs.definitions[f"{ARN}task-definition/chatvrm-local-web-template:1"]["containerDefinitions"][0]["name"] = "api"
    plan = planned(target, "sha256:" + "c" * 64)
    assert len(plan.refusals) == 4
    assert any("ECR has no image" in refusal for refusal in plan.refusals)
    assert any("is DRAINING" in refusal for refusal in plan.refusals)
    assert any("has no container 'web'; it has api" in refusal for refusal in plan.refusals)
    assert any("migrate-template:1 is not there" in refusal for refusal in plan.refusals)
    with pytest.raises(OperationError, match="can't deploy"):
        deploy.execute(plan, target, unrecorded())
    assert not cloud.sent("RegisterTaskDefinition")


def test_where_migrations_are_manual_a_deployment_does_not_run_them(manifest: Manifest, cloud: Cloud, ecs: Ecs) -> None:
    policy = manifest.policy.model_copy(update={"migrations": "manual"})
    target = Target(manifest.model_copy(update={"policy": policy}), cloud.client)
    assert "migrations are manual here" in planned(target).refusals[0]
    assert planned(target, migrate=False).steps[0] == "register chatvrm-local-web from chatvrm-local-web-template:1"
    deployed(target, migrate=False)
    assert not cloud.sent("RunTask")
    assert planned(target).empty


def test_another_rollout_under_way_is_not_disturbed(target: Target, ecs: Ecs) -> None:
    deployed(target)
    ecs.course = lambda service: None
    ecs.service["deployments"][0]["rolloutState"] = "IN_PROGRESS"
    assert "is under way" in planned(target, NEXT).refusals[0]


def test_a_rollout_of_this_release_under_way_is_waited_for(target: Target, cloud: Cloud, ecs: Ecs) -> None:
    deployed(target)
    ecs.course = lambda service: None
    ecs.service["deployments"][0]["rolloutState"] = "IN_PROGRESS"
    plan = planned(target)
    assert plan.steps == ("wait until ECS has rolled it out",)
    ecs.course = complete
    assert deploy.execute(plan, target, unrecorded()).result == "deployed"
    assert len(cloud.sent("RunTask")) == 1


@pytest.mark.parametrize("digest", ["latest", "sha256:abc", "sha256:" + "A" * 64])
def test_a_digest_that_is_none_is_refused(digest: str) -> None:
    with pytest.raises(ValueError, match="image_digest"):
        DeployParameters(image_digest=digest)


def test_definitions_are_compared_by_what_they_run() -> None:
    one = template("f", "web")
    other = copy.deepcopy(one)
    other["containerDefinitions"][0]["environment"].reverse()
    del other["containerDefinitions"][0]["cpu"]
    other |= {"revision": 9, "registeredBy": "someone", "volumes": []}
    assert task_definition.same(one, other)
    other["containerDefinitions"][0]["image"] = "another"
    assert not task_definition.same(one, other)
