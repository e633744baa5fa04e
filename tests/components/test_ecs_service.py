import json

from components.ecs_service import BlueGreen
from tests.components.build import build

_ELB = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
SIDES = BlueGreen(
    bake_minutes=5,
    alternate_target_group_arn=f"{_ELB}:targetgroup/b/2",
    production_rule_arn=f"{_ELB}:listener-rule/app/a/1/2/3",
    test_rule_arn=f"{_ELB}:listener-rule/app/a/1/2/4",
)


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


def test_without_two_sides_deployments_are_rolling():
    run = build("ecs_service", "EcsService")
    service = run.one("Service").inputs
    assert {"deploymentConfiguration", "alarms"}.isdisjoint(service)
    assert "advancedConfiguration" not in service["loadBalancers"][0]
    assert "thing-traffic" not in {each.name for each in run.of("Role")}


def test_blue_green_moves_traffic_between_two_target_groups():
    service = build("ecs_service", "EcsService", blue_green=SIDES).one("Service").inputs
    # The SDK's type is text.
    assert service["deploymentConfiguration"] == {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": "5"}
    (balancer,) = service["loadBalancers"]
    assert balancer["targetGroupArn"] != balancer["advancedConfiguration"]["alternateTargetGroupArn"]
    assert balancer["advancedConfiguration"]["productionListenerRule"] == SIDES.production_rule_arn
    assert balancer["advancedConfiguration"]["testListenerRule"] == SIDES.test_rule_arn


def test_ecs_may_change_these_rules_and_no_other():
    run = build("ecs_service", "EcsService", blue_green=SIDES)
    trust = json.loads(run.one("Role", "thing-traffic").inputs["assumeRolePolicy"])["Statement"][0]
    assert trust["Principal"] == {"Service": "ecs.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    statements = json.loads(run.one("RolePolicy", "thing-traffic").inputs["policy"])["Statement"]
    (rules,) = [each["Resource"] for each in statements if each["Action"] == "elasticloadbalancing:ModifyRule"]
    assert rules == [SIDES.production_rule_arn, SIDES.test_rule_arn]
    assert [each["Resource"] for each in statements].count("*") == 1


def test_an_alarm_during_a_deployment_rolls_it_back():
    service = build("ecs_service", "EcsService", deployment_alarms=["chatvrm-test-error-rate"]).one("Service").inputs
    assert service["alarms"] == {"alarmNames": ["chatvrm-test-error-rate"], "enable": True, "rollback": True}
