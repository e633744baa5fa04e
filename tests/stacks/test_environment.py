"""Each environment's whole graph, as the program asks for it."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from operations.manifest import Manifest
from operations.manifest import parse as parse_manifest
from stacks import platforms
from stacks.environment import Environment
from stacks.settings import RESERVED, Settings
from tests.stacks.files import FILES, PROFILES, STACKS, settings_of
from tests.stacks.golden import PLACE, graph
from tests.stacks.recording import PASSWORD, Recording, policy, record
from tests.stacks.sdk_types import complaints

EDGE = {f"cloudflare:index/{name[0].lower()}{name[1:]}:{name}" for name in
        ("DnsRecord", "List", "Ruleset", "Zone", "ZoneSetting")}  # fmt: skip
every_stack = pytest.mark.parametrize("stack", STACKS)


@cache
def recorded(stack: str) -> Recording:
    settings = settings_of(stack)
    return record(lambda: Environment(settings, platforms.load(settings.platform)), stack, lambda made: made.outputs)


@cache
def protected() -> tuple[str, ...]:
    return tuple(stack for stack in STACKS if settings_of(stack).protection.data)


@every_stack
def test_the_graph_is_the_reviewed_one(stack):
    """After a wanted change: `python -m tests.stacks.golden`, and review the difference."""
    assert graph(recorded(stack)) == (PLACE / f"{stack}.txt").read_text()


@every_stack
def test_no_two_resources_share_a_urn(stack):
    shared = {urn: count for urn, count in Counter(each.urn for each in recorded(stack).resources).items() if count > 1}
    assert shared == {}


@every_stack
def test_every_input_is_one_that_the_sdk_knows(stack):
    wrong = [line for each in recorded(stack).custom() for line in complaints(each.type, each.inputs)]
    assert wrong == []


@every_stack
def test_every_resource_names_the_environments_own_provider(stack):
    run = recorded(stack)
    clouds = {each.type.partition(":")[0] for each in run.custom()}
    own = {cloud: run.one(cloud).urn for cloud in clouds}
    others = {
        each.name for each in run.custom() if not each.provider.startswith(f"{own[each.type.partition(':')[0]]}::")
    }
    assert others == set()
    provider = run.one("aws")
    assert json.loads(provider.inputs["allowedAccountIds"]) == [settings_of(stack).account]
    assert json.loads(provider.inputs["defaultTags"]) == {
        "tags": {"platform": "chatvrm", "environment": stack, "managed-by": "drydock"}
    }


@every_stack
def test_all_environments_have_the_same_kinds_of_resources(stack):
    def kinds(stack):
        found = {each.type for each in recorded(stack).custom()}
        # An edge is an environment's own choice.
        return found if settings_of(stack).edge else found | EDGE

    assert kinds(stack) == kinds("production")


@every_stack
def test_an_edge_leads_to_route_53s_name_and_what_incidents_change_is_left_to_operations(stack):
    run, settings = recorded(stack), settings_of(stack)
    manifest = json.loads(run.of("Parameter")[0].inputs["insecureValue"])
    if settings.edge is None:
        assert manifest["edge"] is None
        assert not [each for each in run.custom() if each.type.startswith("cloudflare:")]
        return
    hostname = run.one("DnsRecord", "edge-hostname").inputs
    assert (hostname["content"], hostname["proxied"]) == (settings.dns.record, True)
    delegated = {each.inputs["content"] for each in run.of("DnsRecord") if each.inputs["type"] == "NS"}
    assert delegated == {f"ns-{number}.awsdns.com" for number in range(1, 5)}
    ignored = {each.name: each.ignore_changes for each in run.custom() if each.type.startswith("cloudflare:")}
    assert {name.rpartition("edge-")[2]: paths for name, paths in ignored.items() if paths} == {
        "blocked": ("items",), "security_level": ("value",)
    }  # fmt: skip
    assert manifest["edge"]["blocked_list"] == f"chatvrm_{stack}_edge_blocked"
    assert manifest["edge"]["security_level"] == settings.edge.security_level


@every_stack
def test_the_manifest_is_what_operations_read_in_both_regions(stack):
    settings = settings_of(stack)
    primary, recovery = sorted(recorded(stack).of("Parameter"), key=lambda each: each.name)
    assert primary.inputs["insecureValue"] == recovery.inputs["insecureValue"]
    assert primary.inputs["name"] == recovery.inputs["name"] == f"/drydock/chatvrm/{stack}/manifest"
    assert (primary.inputs.get("region"), recovery.inputs["region"]) == (None, settings.recovery_region)
    assert len(primary.inputs["insecureValue"].encode()) <= 8192

    manifest = parse_manifest(primary.inputs["insecureValue"], "chatvrm", stack)
    assert isinstance(manifest, Manifest)
    web = manifest.service("web")
    assert (web.family, web.migration_family) == (f"chatvrm-{stack}-web", f"chatvrm-{stack}-web-migrate")
    assert web.desired_count == settings.service.desired_count
    assert manifest.database.max_connections == settings.database.max_connections


@every_stack
def test_no_secret_is_in_clear_text_anywhere(stack):
    run = recorded(stack)
    shown = [
        (each.name, name)
        for each in run.resources
        for name, value in each.inputs.items()
        if PASSWORD in json.dumps(value) and name not in each.secret
    ]
    assert shown == []
    assert PASSWORD not in json.dumps(run.made)
    hidden = {each.type.split(":")[-1] for each in run.resources if PASSWORD in json.dumps(each.inputs)}
    assert hidden == {"SecretVersion", "Instance", "ReplicationGroup"}


@every_stack
def test_only_the_load_balancer_is_open_and_only_on_https(stack):
    run = recorded(stack)
    world = [each for each in run.of("SecurityGroupIngressRule") if each.inputs.get("cidrIpv4") == "0.0.0.0/0"]
    assert {each.inputs["fromPort"] for each in world} <= {80, 443}
    doors = {f"chatvrm-{stack}-load-balancer-id", f"chatvrm-{stack}-recovery-load-balancer-id"}
    assert {each.inputs["securityGroupId"] for each in world} <= doors
    leading_to_https = [each for each in run.of("Listener") if each.inputs["port"] == 80]
    assert all(each.inputs["defaultActions"][0]["redirect"]["protocol"] == "HTTPS" for each in leading_to_https)
    outwards = [each for each in run.of("SecurityGroupEgressRule") if "cidrIpv4" in each.inputs]
    assert [each.inputs["fromPort"] for each in outwards] == [443]


def test_an_unencrypted_listener_is_open_to_this_machine_alone():
    sources = {
        each.inputs["cidrIpv4"]
        for each in recorded("local").of("SecurityGroupIngressRule")
        if "cidrIpv4" in each.inputs
    }
    assert all(ipaddress.ip_network(source).is_loopback for source in sources)


@pytest.mark.parametrize("stack", protected())
def test_what_holds_data_can_not_be_deleted(stack):
    run = recorded(stack)
    kinds = {"Instance", "ReplicationGroup", "Key", "Secret", "SecretVersion", "Repository"}
    data = [each for each in run.custom() if each.type.split(":")[-1] in kinds]
    assert {each.type.split(":")[-1] for each in data} == kinds
    assert [each.name for each in data if not each.protect] == []
    database = run.one("Instance").inputs
    assert database["deletionProtection"] is True
    assert database["skipFinalSnapshot"] is False
    assert database["finalSnapshotIdentifier"] == f"chatvrm-{stack}-database-final"
    assert database["backupRetentionPeriod"] >= 7
    balancers = [each for each in run.of("LoadBalancer") if each.custom]
    assert [each.inputs["enableDeletionProtection"] for each in balancers] == [True, True]
    assert run.one("Repository").inputs["forceDelete"] is False


def test_production_and_staging_are_protected():
    assert set(protected()) == {"staging", "production"}


@every_stack
def test_everything_at_rest_is_encrypted_with_the_environments_key(stack):
    run = recorded(stack)
    key = run.one("Key", f"-{stack}-key")
    arn = f"arn:aws:kms:us-east-1:123456789012:{key.name}"
    database, cache = run.one("Instance").inputs, run.one("ReplicationGroup").inputs
    assert (database["storageEncrypted"], database["kmsKeyId"]) == (True, arn)
    assert (cache["atRestEncryptionEnabled"], cache["kmsKeyId"]) == (True, arn)
    assert {each.inputs["kmsKeyId"] for each in run.of("Secret") + run.of("LogGroup")} == {arn}
    assert run.one("Repository").inputs["encryptionConfigurations"] == [{"encryptionType": "KMS", "kmsKey": arn}]


# AWS knows no resource for them.
UNRESTRICTABLE = {
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "ecs:DescribeTaskDefinition",
    "ecs:ListTasks",
    "elasticloadbalancing:DescribeTargetHealth",
    "tag:GetResources",
}


@every_stack
def test_no_role_but_peoples_is_an_administrator(stack):
    # People's roles end at the boundary; tests/dock/iam tries them.
    run = recorded(stack)
    peoples = {each.urn for each in run.of("People")}
    for each in (each for each in run.of("RolePolicy") if each.parent not in peoples):
        for statement in policy(each.inputs["policy"]):
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not any("*" in action for action in actions)
            assert statement["Resource"] != "*" or set(actions) <= UNRESTRICTABLE, actions


@every_stack
def test_the_service_never_sees_the_masters_password(stack):
    run = recorded(stack)
    (serving,) = json.loads(run.one("TaskDefinition", "web-template").inputs["containerDefinitions"])
    (migrating,) = json.loads(run.one("TaskDefinition", "migrate-template").inputs["containerDefinitions"])
    names = {secret["name"] for secret in serving["secrets"]}
    assert names == {"DATABASE_USER", "DATABASE_PASSWORD", "CACHE_AUTH_TOKEN"}
    more = {secret["name"] for secret in migrating["secrets"]} - names
    assert more == {"DATABASE_MASTER_USER", "DATABASE_MASTER_PASSWORD"}
    assert migrating["command"] == ["python", "-m", "chat.migrate"]
    master = f"chatvrm-{stack}-database-master"
    assert master not in run.one("RolePolicy", "web-execution").inputs["policy"]
    assert master in run.one("RolePolicy", "migrate-execution").inputs["policy"]


@every_stack
def test_the_application_learns_everything_that_it_needs(stack):
    (container,) = json.loads(recorded(stack).one("TaskDefinition", "web-template").inputs["containerDefinitions"])
    variables = {entry["name"]: entry["value"] for entry in container["environment"]}
    assert variables.pop("PGSSLROOTCERT", None) == settings_of(stack).database.root_certificate
    assert variables == {
        "PLATFORM": "chatvrm",
        "ENVIRONMENT": stack,
        "PORT": "8080",
        "DATABASE_HOST": f"chatvrm-{stack}-database-instance.rds.amazonaws.com",
        "DATABASE_PORT": "5432",
        "DATABASE_NAME": "chat",
        "DATABASE_SSLMODE": "verify-full",
        "CACHE_HOST": f"chatvrm-{stack}-cache-group.cache.amazonaws.com",
        "CACHE_PORT": "6379",
        "CACHE_TLS": "true",
    }


@every_stack
def test_deployments_own_what_runs(stack):
    service = recorded(stack).one("Service")
    assert service.inputs["desiredCount"] == 0
    assert set(service.ignore_changes) == {"taskDefinition", "desiredCount"}
    for version in recorded(stack).of("SecretVersion"):
        assert version.ignore_changes == ("secretString",)


@every_stack
def test_a_database_and_a_cache_survive_a_zone(stack):
    run = recorded(stack)
    assert run.one("Instance").inputs["multiAz"] is True
    cache = run.one("ReplicationGroup").inputs
    assert cache["multiAzEnabled"] is cache["automaticFailoverEnabled"] is True
    assert cache["numCacheClusters"] >= 2
    assert (cache["transitEncryptionEnabled"], cache["transitEncryptionMode"]) == (True, "required")


@every_stack
def test_the_name_leads_to_a_site_in_the_recovery_region_that_stands_alone(stack):
    settings, run = settings_of(stack), recorded(stack)
    primary, secondary = sorted(run.of("Record"), key=lambda each: each.inputs["setIdentifier"])
    assert primary.inputs["name"] == secondary.inputs["name"] == settings.dns.record
    assert primary.inputs["aliases"][0]["name"] == f"chatvrm-{stack}-web-balancer.elb.amazonaws.com"
    assert secondary.inputs["aliases"][0]["name"] == f"chatvrm-{stack}-recovery-balancer.elb.amazonaws.com"
    site = [each for each in run.custom() if each.name.startswith(f"chatvrm-{stack}-recovery")]
    assert {each.inputs.get("region") for each in site} == {settings.recovery_region}
    endpoint = run.one("HealthCheck", "dns-endpoint").inputs
    assert (endpoint["fqdn"], endpoint["resourcePath"]) == (primary.inputs["aliases"][0]["name"], "/api/health")
    assert run.made["dns_predicted_recovery_seconds"] == (
        settings.dns.interval_seconds * settings.dns.failure_threshold + 60
    )


def test_the_url_is_the_certificates_name_or_the_load_balancers():
    assert recorded("production").made["url"] == "https://chatvrm.com"
    assert recorded("local").made["url"] == "http://chatvrm-local-web-balancer.elb.amazonaws.com:8080"


def test_variables_of_the_settings_reach_the_application():
    settings = settings_of("production")
    more = settings.service.model_copy(update={"variables": {"LOG_LEVEL": "DEBUG"}})
    changed: Settings = settings.model_copy(update={"service": more})
    run = record(lambda: Environment(changed, platforms.load("chatvrm")))
    (container,) = json.loads(run.one("TaskDefinition", "web-template").inputs["containerDefinitions"])
    variables = {entry["name"]: entry["value"] for entry in container["environment"]}
    assert variables["LOG_LEVEL"] == "DEBUG"


def test_settings_may_not_set_a_variable_that_the_program_sets():
    task = recorded("production").one("TaskDefinition", "migrate-template").inputs["containerDefinitions"]
    (container,) = json.loads(task)
    assert {entry["name"] for entry in container["environment"] + container["secrets"]} == RESERVED


def test_a_golden_graph_exists_for_each_stack_and_no_other():
    assert {path.stem for path in Path(PLACE).glob("*.txt")} == {*FILES, *PROFILES}
