"""An environment on what is there already: by ids in its settings."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pulumi
import pytest

from stacks import platforms
from stacks.environment import Environment
from stacks.problems import SettingsError
from stacks.settings import Settings, parse
from tests.stacks import recording
from tests.stacks.files import stack_file
from tests.stacks.recording import Recording, record

VPC = "vpc-0123456789abcdef0"
PUBLIC = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
PRIVATE = ["subnet-0123456789abcdef2", "subnet-0123456789abcdef3"]
NETWORK = {"existing": {"vpc_id": VPC, "public_subnet_ids": PUBLIC, "private_subnet_ids": PRIVATE}}
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shared-master-AbCdEf"
DATABASE = {
    "existing": {"identifier": "shared-main", "master_secret_arn": SECRET},
    "max_connections": 200,
    "storage_gib": 100,
    "multi_az": True,
}
ZONES = dict(zip([*PUBLIC, *PRIVATE], ["us-east-1a", "us-east-1b"] * 2, strict=True))


class NotThere(grpc.RpcError):
    """As the engine answers when the provider finds nothing."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return str(self)


class There:
    """What the account has, as the provider's functions tell it."""

    def __init__(self, *, vpcs: set[str] = frozenset({VPC}), zones: dict[str, str] = ZONES, engine: str = "postgres"):
        self.vpcs, self.zones, self.engine = vpcs, zones, engine

    def answer(self, args: Any) -> dict[str, Any]:
        match args.token.split(":")[-1], args.args:
            case "getVpc", {"id": id} if id in self.vpcs:
                return {"id": id}
            case "getSubnet", {"id": id} if id in self.zones:
                return {"id": id, "vpcId": VPC, "availabilityZone": self.zones[id]}
            case "getCluster", {"clusterName": "shared"}:
                return {"arn": "arn:aws:ecs:us-east-1:123456789012:cluster/shared"}
            case "getInstance", {"dbInstanceIdentifier": "shared-main"}:
                return {"address": "shared.rds.amazonaws.com", "port": 5433, "engine": self.engine}
            case "getRandomPassword", _:
                return {"randomPassword": recording.PASSWORD}
        raise NotThere(f"no such thing {args.args}")


def settings(**changed: Any) -> Settings:
    document = json.loads(json.dumps(stack_file("production")["config"]["drydock:settings"]))
    document |= changed
    parsed = parse(json.dumps(document), "production")
    assert isinstance(parsed, Settings)
    return parsed


def run(monkeypatch: pytest.MonkeyPatch, there: There, **changed: Any) -> Recording:
    monkeypatch.setattr(recording._Cloud, "call", lambda self, args: there.answer(args))
    chosen = settings(**changed)
    return record(lambda: Environment(chosen, platforms.load("chatvrm")))


def test_a_network_that_is_there_is_used_and_none_is_made(monkeypatch):
    made = run(monkeypatch, There(), network=NETWORK)
    assert [each.name for each in made.of("Vpc") + made.of("Subnet") if "recovery" not in each.name] == []
    assert made.one("LoadBalancer", "web-balancer").inputs["subnets"] == PUBLIC
    assert made.one("rds/subnetGroup:SubnetGroup").inputs["subnetIds"] == PRIVATE
    assert made.one("FlowLog").inputs["vpcId"] == VPC


def test_a_cluster_that_is_there_is_used(monkeypatch):
    service = {**stack_file("production")["config"]["drydock:settings"]["service"], "cluster": "shared"}
    made = run(monkeypatch, There(), service=service)
    assert made.of("Cluster") == []
    assert made.one("ecs/service:Service").inputs["cluster"] == "arn:aws:ecs:us-east-1:123456789012:cluster/shared"


def test_a_database_that_is_there_is_used_with_its_own_master(monkeypatch):
    made = run(monkeypatch, There(), database=DATABASE)
    assert made.of("rds/instance:Instance") == []
    assert [each for each in made.of("Secret") if each.name.endswith("database-master")] == []
    (container,) = json.loads(made.one("TaskDefinition", "migrate-template").inputs["containerDefinitions"])
    variables = {each["name"]: each["value"] for each in container["environment"]}
    assert (variables["DATABASE_HOST"], variables["DATABASE_PORT"]) == ("shared.rds.amazonaws.com", "5433")
    assert f"{SECRET}:password::" in [each["valueFrom"] for each in container["secrets"]]
    document = json.loads(made.one("Parameter", "manifest-primary").inputs["insecureValue"])
    assert document["database"]["identifier"] == "shared-main"
    assert document["database"]["max_connections"] == 200


@pytest.mark.parametrize(
    ("there", "changed", "said"),
    [
        (There(vpcs=set()), {"network": NETWORK}, f"drydock:settings.network.existing.vpc_id: {VPC}: "),
        (
            There(zones={id: zone for id, zone in ZONES.items() if id != PRIVATE[1]}),
            {"network": NETWORK},
            f"drydock:settings.network.existing.private_subnet_ids: {PRIVATE[1]}: ",
        ),
        (
            There(zones=dict.fromkeys(ZONES, "us-east-1a")),
            {"network": NETWORK},
            "network.existing.public_subnet_ids: all are in us-east-1a; two zones are needed",
        ),
        (
            There(engine="mysql"),
            {"database": DATABASE},
            "drydock:settings.database.existing.identifier: shared-main runs mysql, not postgres",
        ),
        (
            There(),
            {"database": {**DATABASE, "existing": {"identifier": "gone", "master_secret_arn": SECRET}}},
            "drydock:settings.database.existing.identifier: gone: ",
        ),
    ],
)
def test_what_is_not_there_is_told_by_its_setting_and_nothing_is_made(monkeypatch, there, changed, said):
    seen: list[Any] = []
    register = recording._Monitor.RegisterResource
    monkeypatch.setattr(
        recording._Monitor, "RegisterResource", lambda self, request: (seen.append(request), register(self, request))[1]
    )
    with pytest.raises(pulumi.RunError) as error:
        run(monkeypatch, there, **changed)
    assert said in str(error.value)
    assert "nothing was made" in str(error.value)
    assert {each.type for each in seen} <= {
        "pulumi:providers:aws",
        "pulumi:providers:cloudflare",
        "pulumi:pulumi:Stack",
    }


def test_all_that_is_not_there_is_told_at_once(monkeypatch):
    with pytest.raises(pulumi.RunError) as error:
        run(monkeypatch, There(vpcs=set(), zones={}), network=NETWORK)
    assert len([line for line in str(error.value).splitlines() if line.startswith("  - ")]) == 5


def test_a_resource_that_exists_is_imported_protected_and_never_deleted(monkeypatch):
    adopted = {"aws:ecr:Repository chatvrm-production-web-repository": "web-images"}
    made = run(monkeypatch, There(), adopt=adopted)
    repository = made.one("Repository")
    assert (repository.import_id, repository.protect, repository.retain) == ("web-images", True, True)
    assert [each.name for each in made.custom() if each.import_id] == [repository.name]


def test_adopting_what_the_program_does_not_make_is_refused(monkeypatch):
    with pytest.raises(pulumi.RunError, match=r"adopt: aws:ecr:Repository chatvrm-production-wbe"):
        run(monkeypatch, There(), adopt={"aws:ecr:Repository chatvrm-production-wbe": "x"})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"network": {"existing": {"vpc_id": "vpc-x"}}}, 'network.existing.vpc_id: is "vpc-x"; expected a VPC\'s id'),
        (
            {"network": {"existing": {**NETWORK["existing"], "private_subnet_ids": PUBLIC}}},
            f"{PUBLIC[0]} is named as a public and as a private subnet",
        ),
        ({"network": {**NETWORK, "cidr": "10.0.0.0/16"}}, "network.cidr: there is no such setting"),
        (
            {"database": {**DATABASE, "instance_class": "db.t4g.micro"}},
            "database.instance_class: there is no such setting",
        ),
    ],
)
def test_settings_that_mix_new_and_existing_are_refused(changed, said):
    with pytest.raises(SettingsError) as error:
        settings(**changed)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("backups", "said"),
    [
        ({"lock": None}, 'backups.acknowledgement: "backups of chatvrm production have no lock"'),
        (
            {"lock": {"least_days": 7, "final_after_days": 14}},
            'backups.lock.acknowledgement: "nobody can delete backups of chatvrm production"',
        ),
        ({"lock": {"least_days": 36}}, "longer than daily_days"),
        ({"weekly_days": 5}, "must not become shorter"),
    ],
)
def test_backups_that_are_not_safe_or_can_never_be_removed_take_a_word(backups, said):
    before = stack_file("production")["config"]["drydock:settings"]["backups"]
    with pytest.raises(SettingsError) as error:
        settings(backups={**before, **backups})
    assert said in str(error.value)
