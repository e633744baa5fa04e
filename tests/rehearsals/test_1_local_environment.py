"""What a person sees who typed `make up`: nothing is pretended."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.rehearsals.environment import Environment, drydock

pytestmark = [pytest.mark.dock, pytest.mark.engine, pytest.mark.timeout(900)]


def test_the_page_and_the_health_check_answer_through_the_load_balancer(environment: Environment) -> None:
    url = environment.manifest.services["web"].url
    page = httpx.get(f"{url}/")
    assert page.status_code == 200
    assert "<html" in page.text
    health = httpx.get(f"{url}/api/health")
    assert health.status_code == 200
    assert {"database", "cache", "disk", "memory"} <= set(health.json()["checks"])


def test_the_ordinary_aws_command_shows_the_environment(environment: Environment) -> None:
    (instance,) = environment.json("aws rds describe-db-instances")["DBInstances"]
    assert (instance["DBInstanceStatus"], instance["MultiAZ"], instance["Engine"]) == ("available", True, "postgres")
    services = environment.json("aws ecs describe-services --cluster chatvrm-local --services chatvrm-local-web")
    (service,) = services["services"]
    assert (service["runningCount"], service["desiredCount"]) == (2, 2)
    target_group = environment.manifest.services["web"].target_group
    health = environment.json(f"aws elbv2 describe-target-health --target-group-arn {target_group}")
    assert [entry["TargetHealth"]["State"] for entry in health["TargetHealthDescriptions"]] == ["healthy", "healthy"]
    (image,) = environment.json("aws ecr describe-images --repository-name chatvrm-local-web")["imageDetails"]
    assert image["imageTags"] == ["1.0.0"]
    (group,) = environment.json("aws elasticache describe-replication-groups")["ReplicationGroups"]
    assert (group["Status"], group["AutomaticFailover"]) == ("available", "enabled")


def test_psql_works_with_the_endpoint_and_the_secret_and_the_master_is_no_superuser(environment: Environment) -> None:
    database = environment.manifest.database
    secret = environment.secret(database.master_secret)
    login = f"host={database.endpoint} dbname={database.name} user={secret['username']} sslmode=verify-full"
    attached = Environment(environment.home, {**environment.variables, "PGPASSWORD": secret["password"]})
    said = attached.run(f'psql "{login}" -Atc "select rolsuper from pg_roles where rolname = current_user"')
    assert said.stdout.strip() == "f"
    refused = attached.run(f'psql "{login}" -c "copy (select 1) to program \'true\'"', check=False)
    assert refused.returncode != 0
    assert "permission denied" in refused.stderr or "must be superuser" in refused.stderr


def test_redis_cli_works_with_the_endpoint_and_the_secret(environment: Environment) -> None:
    cache = environment.manifest.cache
    token = environment.secret(cache.secret)["auth_token"]
    attached = Environment(environment.home, {**environment.variables, "REDISCLI_AUTH": token})
    said = attached.run(f"redis-cli -h {cache.endpoint} -p {cache.port} --tls --cacert $DRYDOCK_CA ping")
    assert said.stdout.strip() == "PONG"


def test_a_second_pulumi_up_changes_nothing_and_a_second_drydock_up_neither(environment: Environment) -> None:
    environment.run("pulumi preview --stack local --expect-no-changes")
    done = drydock(environment.home, "up")
    assert "nothing to do" in done.stdout
    environment.run("pulumi preview --stack local --refresh --expect-no-changes")


@pytest.mark.parametrize("stack", ["staging", "production"])
def test_any_stack_is_previewed_but_none_of_aws_is_applied_from_a_shell_attached_to_the_dock(
    environment: Environment, stack: str
) -> None:
    preview = environment.run(f"pulumi preview --stack {stack} --non-interactive")
    assert "to create" in preview.stdout
    refused = environment.run(f"pulumi up --yes --skip-preview --stack {stack} --non-interactive", check=False)
    assert refused.returncode != 0
    assert "attached to the dock" in refused.stdout + refused.stderr
    state = environment.json(f"pulumi stack export --stack {stack}")["deployment"].get("resources", [])
    made = [resource["type"] for resource in state if resource.get("id") and "providers" not in resource["type"]]
    assert made == []


def test_a_changed_resource_is_seen_as_drift(environment: Environment) -> None:
    ecr = environment.client("ecr")
    ecr.put_image_tag_mutability(repositoryName="chatvrm-local-web", imageTagMutability="MUTABLE")
    drifted = environment.run("pulumi preview --stack local --refresh --diff --non-interactive")
    assert "imageTagMutability" in drifted.stdout
    ecr.put_image_tag_mutability(repositoryName="chatvrm-local-web", imageTagMutability="IMMUTABLE")
    environment.run("pulumi preview --stack local --refresh --expect-no-changes")


def test_the_first_runbook_passes_on_a_healthy_environment(environment: Environment) -> None:
    output = environment.home / "verify.ipynb"
    environment.run(f"papermill runbooks/verify.ipynb {output}")
    executed = output.read_text()
    assert "passed" in executed
    assert json.loads(executed)["metadata"]["papermill"]["exception"] is None


def test_no_secret_is_in_any_log_record_or_state_in_clear_text(environment: Environment) -> None:
    manifest = environment.manifest
    canaries = {
        environment.secret(manifest.database.master_secret)["password"],
        environment.secret(manifest.database.application_secret)["password"],
        environment.secret(manifest.cache.secret)["auth_token"],
    }
    found = [
        str(path)
        for path in environment.home.rglob("*")
        if path.is_file() and not path.is_symlink()
        for content in [path.read_bytes()]
        for canary in canaries
        if canary.encode() in content
    ]
    assert found == []


def test_status_as_json_follows_its_documented_schema(environment: Environment) -> None:
    status = environment.status()
    assert status["schema_version"] == 2
    assert status["state"] == "running"
    assert {"rds", "elasticache", "elbv2", "ecs"} <= {resource["service"] for resource in status["resources"]}
    assert all({"service", "kind", "name", "state"} <= set(resource) for resource in status["resources"])


def test_everything_that_listens_listens_on_loopback(environment: Environment) -> None:
    import psutil

    status = environment.status()
    pids = {status["pid"], *(process["pid"] for process in status["processes"])}
    family = {child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)} | pids
    listening = [
        connection.laddr.ip
        for connection in psutil.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.pid in family
    ]
    assert listening
    assert [address for address in listening if not address.startswith("127.")] == []
