import json

from tests.components.build import build


def test_it_starts_empty_and_leaves_releases_alone():
    service = build("ecs_service", "EcsService").one("Service")
    assert service.inputs["desiredCount"] == 0
    assert set(service.ignore_changes) == {"taskDefinition", "desiredCount"}
    assert service.inputs["waitForSteadyState"] is False


def test_a_deployment_that_fails_goes_back_by_itself():
    service = build("ecs_service", "EcsService").one("Service").inputs
    assert service["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert (service["deploymentMinimumHealthyPercent"], service["deploymentMaximumPercent"]) == (100, 200)


def test_tasks_run_in_private_subnets_behind_the_load_balancer():
    service = build("ecs_service", "EcsService").one("Service").inputs
    assert service["networkConfiguration"] == {
        "subnets": ["subnet-a", "subnet-b"],
        "securityGroups": ["sg-a"],
        "assignPublicIp": False,
    }
    (balancer,) = service["loadBalancers"]
    assert (balancer["containerName"], balancer["containerPort"]) == ("web", 8080)


def test_only_the_migration_has_the_migrations_secrets():
    run = build("ecs_service", "EcsService")
    names = {
        task.inputs["family"]: {
            secret["name"] for secret in json.loads(task.inputs["containerDefinitions"])[0]["secrets"]
        }
        for task in run.of("TaskDefinition")
    }
    assert names == {"thing-template": {"PASSWORD"}, "thing-migrate-template": {"PASSWORD", "MASTER"}}
    readers = [each.name for each in run.of("RolePolicy") if "secret:s-master" in each.inputs["policy"]]
    assert readers == ["thing-migrate-execution"]


def test_the_application_itself_has_no_permission():
    run = build("ecs_service", "EcsService")
    task = run.one("Role", "thing-task")
    assert [each.name for each in run.of("RolePolicy") if each.inputs["role"] == task.inputs["name"]] == []
    assert {each.inputs["taskRoleArn"] for each in run.of("TaskDefinition")} == {
        f"arn:aws:iam:us-east-1:123456789012:{task.name}"
    }


def test_its_log_is_encrypted_and_ends():
    log = build("ecs_service", "EcsService").one("LogGroup").inputs
    assert (log["name"], log["retentionInDays"]) == ("/chatvrm/test/web", 7)
    assert log["kmsKeyId"].startswith("arn:aws:kms:")
