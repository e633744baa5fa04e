"""A program with the real engine: through the language host and the plugin to a running dock and back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.providers.project import Project

pytestmark = [pytest.mark.engine, pytest.mark.dock]

CANARY = "canary-4be1f0"


def program(
    cidr: str = "10.0.0.0/16",
    retention: int = 30,
    description: str = "web",
    account: str = "000000000001",
    more: str = "",
) -> str:
    return f"""
import json
import pulumi
import pulumi_aws as aws

home = aws.Provider("home", region="us-east-1", allowed_account_ids=["{account}"],
    default_tags={{"tags": {{"team": "a"}}}})
away = aws.Provider("away", region="us-west-2", allowed_account_ids=["{account}"])
here, there = pulumi.ResourceOptions(provider=home), pulumi.ResourceOptions(provider=away)
vpc = aws.ec2.Vpc("vpc", cidr_block="{cidr}", enable_dns_hostnames=True, tags={{"Name": "net"}}, opts=here)
narrow = vpc.cidr_block.apply(lambda c: c.replace("/16", "/24"))
subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block=narrow, opts=here)
group = aws.ec2.SecurityGroup("group", vpc_id=vpc.id, opts=here)
aws.vpc.SecurityGroupIngressRule("rule", security_group_id=group.id, ip_protocol="tcp", from_port=80, to_port=80,
    cidr_ipv4="0.0.0.0/0", description="{description}", opts=here)
key = aws.kms.Key("key", enable_key_rotation=True, deletion_window_in_days=7, opts=here)
logs = aws.cloudwatch.LogGroup("logs", name="/test/web", retention_in_days={retention}, opts=here)
trust = {{"Effect": "Allow", "Principal": {{"Service": "ecs-tasks.amazonaws.com"}}, "Action": "sts:AssumeRole"}}
policy = json.dumps({{"Version": "2012-10-17", "Statement": [trust]}})
role = aws.iam.Role("role", assume_role_policy=policy, opts=here)
token = aws.ssm.Parameter("token", type="SecureString", value=pulumi.Output.secret("{CANARY}"), opts=here)
note = aws.ssm.Parameter("note", name="/test/note", type="String", insecure_value="one", opts=there)
pulumi.export("vpc", vpc.id)
pulumi.export("subnet", subnet.id)
pulumi.export("token", token.name)
pulumi.export("value", token.value)
pulumi.export("key", key.arn)
pulumi.export("tags", vpc.tags_all)
{more}
"""


@pytest.fixture(scope="module")
def shared(dock_url: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    project = Project.make(tmp_path_factory.mktemp("shared") / "project", dock_url)
    yield project
    project.pulumi("destroy", "--yes", "--skip-preview", code=None)


@pytest.fixture
def running(shared: Project) -> Project:
    """The program, applied: what the test before this one did is put right first."""
    shared.write(program())
    shared.up("--refresh")
    return shared


def test_what_was_applied_is_there_and_applying_it_again_changes_nothing(running: Project, api: Any) -> None:
    outputs = running.outputs()
    (vpc,) = api("ec2").describe_vpcs(VpcIds=[outputs["vpc"]])["Vpcs"]
    assert vpc["CidrBlock"] == "10.0.0.0/16"
    assert {tag["Key"]: tag["Value"] for tag in vpc["Tags"]} == outputs["tags"] == {"Name": "net", "team": "a"}
    assert api("ssm", "us-west-2").get_parameter(Name="/test/note")["Parameter"]["Value"] == "one"
    assert running.unchanged()
    assert "created" not in running.up("--expect-no-changes")


def test_a_secret_is_in_the_cloud_and_nowhere_in_clear_text(running: Project, api: Any) -> None:
    outputs = running.outputs()
    assert outputs["value"] == CANARY
    stored = api("ssm").get_parameter(Name=outputs["token"], WithDecryption=True)["Parameter"]
    assert (stored["Type"], stored["Value"]) == ("SecureString", CANARY)
    assert CANARY not in running.up() + running.pulumi("preview", "--diff") + running.pulumi("stack", "output")
    for path in (running.folder / "state").rglob("*"):
        assert not path.is_file() or CANARY not in path.read_text(errors="replace"), path


def test_a_change_is_made_in_place_where_that_is_possible(running: Project, api: Any) -> None:
    before = running.resources()
    running.write(program(retention=7, description="web and more"))
    said = running.up()
    assert "2 updated" in said
    after = running.resources()
    assert {name: each.get("id") for name, each in before.items()} == {
        name: each.get("id") for name, each in after.items()
    }
    (group,) = api("logs").describe_log_groups(logGroupNamePrefix="/test/web")["logGroups"]
    assert group["retentionInDays"] == 7
    (rule,) = api("ec2").describe_security_group_rules(SecurityGroupRuleIds=[after["rule"]["id"]])["SecurityGroupRules"]
    assert rule["Description"] == "web and more"
    assert running.unchanged()


def test_what_can_not_be_changed_is_replaced_with_all_that_stands_on_it(running: Project, api: Any) -> None:
    before = running.outputs()
    running.write(program(cidr="10.1.0.0/16"))
    running.up()
    after = running.outputs()
    assert after["vpc"] != before["vpc"]
    assert after["subnet"] != before["subnet"]
    with pytest.raises(ClientError, match=r"InvalidVpcID\.NotFound"):
        api("ec2").describe_vpcs(VpcIds=[before["vpc"]])
    assert running.unchanged()


def test_a_preview_shows_a_replacement_and_touches_nothing(running: Project, api: Any) -> None:
    before = running.outputs()
    running.write(program(cidr="10.1.0.0/16"))
    said = running.pulumi("preview")
    assert re.search(r"Vpc\s+vpc\s+replace", said)
    assert re.search(r"Subnet\s+subnet\s+replace", said)
    (vpc,) = api("ec2").describe_vpcs(VpcIds=[before["vpc"]])["Vpcs"]
    assert vpc["CidrBlock"] == "10.0.0.0/16"


def test_what_somebody_else_changed_is_seen_and_put_right(running: Project, api: Any) -> None:
    vpc = running.outputs()["vpc"]
    api("logs").put_retention_policy(logGroupName="/test/web", retentionInDays=1)
    api("ec2").create_tags(Resources=[vpc], Tags=[{"Key": "who", "Value": "somebody"}])
    running.refresh()
    said = running.pulumi("preview", "--diff")
    assert "retentionInDays: 1 => 30" in said
    assert "who" in said
    running.up()
    (group,) = api("logs").describe_log_groups(logGroupNamePrefix="/test/web")["logGroups"]
    assert group["retentionInDays"] == 30
    (found,) = api("ec2").describe_vpcs(VpcIds=[vpc])["Vpcs"]
    assert "who" not in {tag["Key"] for tag in found["Tags"]}
    assert running.unchanged()


def test_what_somebody_else_deleted_is_made_again(running: Project, api: Any) -> None:
    api("logs").delete_log_group(logGroupName="/test/web")
    running.refresh()
    assert "logs" not in running.resources()
    running.up()
    assert api("logs").describe_log_groups(logGroupNamePrefix="/test/web")["logGroups"]


def test_what_is_there_already_is_imported_without_a_change(running: Project, api: Any) -> None:
    api("ssm").put_parameter(Name="/test/theirs", Type="String", Value="kept", Description="by hand")
    imported = """
aws.ssm.Parameter("theirs", name="/test/theirs", type="String", insecure_value="kept", description="by hand",
    opts=pulumi.ResourceOptions(provider=home, import_="/test/theirs"))
"""
    running.write(program(more=imported))
    assert "imported" in running.up()
    assert api("ssm").get_parameter(Name="/test/theirs")["Parameter"]["Version"] == 1
    running.write(program(more=imported.replace(', import_="/test/theirs"', "")))
    assert running.unchanged()


def test_a_resource_of_another_region_is_imported_by_its_id_with_the_region(running: Project, api: Any) -> None:
    api("ssm", "us-west-2").put_parameter(Name="/test/far", Type="String", Value="v")
    running.pulumi(
        "import",
        "--yes",
        "--generate-code=false",
        "--protect=false",
        "aws:ssm/parameter:Parameter",
        "far",
        "/test/far@us-west-2",
        "--provider",
        f"home={running.resources()['home']['urn']}",
    )
    assert running.resources()["far"]["outputs"]["region"] == "us-west-2"
    api("ssm", "us-west-2").delete_parameter(Name="/test/far")


def test_destroying_leaves_nothing_behind(running: Project, api: Any) -> None:
    outputs = running.outputs()
    running.pulumi("destroy", "--yes", "--skip-preview")
    assert api("logs").describe_log_groups(logGroupNamePrefix="/test/web")["logGroups"] == []
    with pytest.raises(ClientError, match="ParameterNotFound"):
        api("ssm").get_parameter(Name=outputs["token"])
    with pytest.raises(ClientError, match=r"InvalidVpcID\.NotFound"):
        api("ec2").describe_vpcs(VpcIds=[outputs["vpc"]])
    assert api("kms").describe_key(KeyId=outputs["key"])["KeyMetadata"]["KeyState"] == "PendingDeletion"


def test_destroying_what_is_gone_already_succeeds(running: Project, api: Any) -> None:
    api("logs").delete_log_group(logGroupName="/test/web")
    api("ssm", "us-west-2").delete_parameter(Name="/test/note")
    assert "errored" not in running.pulumi("destroy", "--yes", "--skip-preview")


def test_a_stack_of_another_account_is_previewed_but_not_applied(project: Project, api: Any) -> None:
    project.write(program(account="123456789012"))
    assert "to create" in project.pulumi("preview")
    said = project.up(code=None)
    assert "whose account is 000000000001; stack test allows only 123456789012, so nothing was changed" in said
    assert api("logs").describe_log_groups(logGroupNamePrefix="/test/web")["logGroups"] == []


def test_a_creation_that_fails_half_way_is_carried_on_by_the_next_up(project: Project, api: Any) -> None:
    api("ssm").put_parameter(Name="/test/taken", Type="String", Value="theirs")
    both = """
aws.ssm.Parameter("taken", name="/test/taken", type="String", insecure_value="ours", opts=here)
"""
    project.write(program(more=both))
    said = project.up(code=None)
    assert "creating taken" in said
    assert "ParameterAlreadyExists" in said
    api("ssm").delete_parameter(Name="/test/taken")
    project.up()
    assert api("ssm").get_parameter(Name="/test/taken")["Parameter"]["Value"] == "ours"
    assert project.unchanged()
    project.pulumi("destroy", "--yes", "--skip-preview")


class TestWithoutADock:
    @pytest.fixture
    def offline(self, tmp_path: Path) -> Project:
        return Project.make(tmp_path / "project", "http://127.0.0.1:9")

    def test_a_preview_works(self, offline: Project) -> None:
        offline.write(program())
        assert "12 to create" in offline.pulumi("preview")

    def test_applying_says_what_to_do(self, offline: Project) -> None:
        offline.write(program())
        assert "the dock is not running (nothing answers at http://127.0.0.1:9): run `drydock up`" in offline.up(
            code=None
        )

    def test_a_wrong_input_is_named_with_its_resource(self, offline: Project) -> None:
        wrong = 'aws.lb.TargetGroup("targets", target_type="ipp", health_check={"interval": "often"}, opts=here)'
        offline.write(program(more=wrong))
        said = offline.pulumi("preview", code=None)
        assert "aws:lb/targetGroup:TargetGroup resource 'targets'" in said
        assert "must be one of instance, ip, lambda, alb" in said
        assert "must be an integer, not a string" in said

    def test_an_exception_of_the_program_is_one_error_with_the_programs_own_traceback(self, offline: Project) -> None:
        offline.write("def build():\n    raise ValueError('no such thing')\nbuild()\n")
        said = offline.pulumi("preview", code=None)
        assert said.partition("Diagnostics:")[2].count("Program failed with an unhandled exception") == 1
        assert "line 2, in build" in said
        assert "ValueError: no such thing" in said
        assert "runpy" not in said
        assert "exit code" not in said

    def test_a_known_error_of_the_program_is_one_line_without_a_traceback(self, offline: Project) -> None:
        offline.write("import pulumi\nraise pulumi.RunError('this setting is missing')\n")
        said = offline.pulumi("preview", code=None)
        assert said.count("error: this setting is missing") >= 1
        assert "Traceback" not in said
        assert "exit code" not in said

    def test_what_a_program_exits_with_is_told(self, offline: Project) -> None:
        offline.write("import sys\nsys.exit(3)\n")
        assert "Program exited with non-zero exit code: 3" in offline.pulumi("preview", code=None)

    def test_a_program_that_is_not_there_is_said(self, offline: Project) -> None:
        (offline.folder / "program" / "__main__.py").unlink()
        assert "unable to find main python program `__main__.py`" in offline.pulumi("preview", code=None)

    def test_configuration_and_its_secrets_reach_the_program(self, offline: Project) -> None:
        offline.pulumi("config", "set", "plain", "p")
        offline.pulumi("config", "set", "--secret", "hidden", CANARY)
        offline.write("""
            import os, sys
            import pulumi
            config = pulumi.Config()
            pulumi.export("plain", config.require("plain"))
            pulumi.export("hidden", config.require_secret("hidden"))
            pulumi.export("inherited", "canary" in " ".join([*os.environ.values(), *sys.orig_argv]))
            pulumi.export("where", [pulumi.get_project(), pulumi.get_stack(), pulumi.runtime.is_dry_run()])
        """)
        assert CANARY not in offline.up()
        assert offline.outputs() == {
            "plain": "p",
            "hidden": CANARY,
            "inherited": False,
            "where": ["test", "test", False],
        }

    def test_a_virtual_environment_that_is_not_there_is_said_with_the_remedy(self, offline: Project) -> None:
        settings = offline.folder / "program" / "Pulumi.yaml"
        settings.write_text('{"name": "test", "runtime": {"name": "python", "options": {"virtualenv": "nowhere"}}}')
        said = offline.pulumi("preview", code=None)
        assert "nowhere that Pulumi.yaml names does not exist" in said
        assert "pulumi install" in said

    def test_about_names_the_interpreter(self, offline: Project) -> None:
        said = offline.pulumi("about")
        assert "This project is written in python" in said
        assert "toolchain='pip'" in said
