"""The plugin as the engine sees it, over gRPC."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from dock.providers.aws.provider import AwsProvider
from dock.providers.install import install
from dock.providers.properties import UNKNOWN, Properties
from dock.providers.protocol import plugin, provider, status
from tests.providers.fakes import ScriptedCloud, served, struct, urn

SUBNET = "aws:ec2/subnet:Subnet"
PARAMETER = "aws:ssm/parameter:Parameter"
KEY = "aws:kms/key:Key"


def served_with(answers: dict[str, Any]) -> Any:
    aws = AwsProvider()
    aws.cloud = ScriptedCloud(answers)
    return served(aws)


def test_it_introduces_itself_with_the_sdks_version(client: Any) -> None:
    assert client.Handshake(provider.ProviderHandshakeRequest(engine_address="127.0.0.1:1"), timeout=10).accept_secrets
    assert client.GetPluginInfo(Empty(), timeout=10).version == AwsProvider.version == version("pulumi-aws")


def test_it_takes_previews_and_secrets(client: Any) -> None:
    answer = client.Configure(provider.ConfigureRequest(args=struct({"region": "us-east-1"})), timeout=10)
    assert answer.acceptSecrets
    assert answer.supportsPreview


def test_its_schema_has_the_types_that_are_declared_and_marks_secrets(client: Any) -> None:
    schema = json.loads(client.GetSchema(provider.GetSchemaRequest(), timeout=10).schema)
    instance = schema["resources"]["aws:rds/instance:Instance"]
    assert instance["inputProperties"]["instanceClass"] == {"type": "string"}
    assert instance["requiredInputs"] == ["instanceClass"]
    assert instance["properties"]["password"]["secret"] is True


def test_a_preview_needs_no_dock_and_knows_what_can_be_known(client: Any) -> None:
    inputs = struct({"vpcId": UNKNOWN, "cidrBlock": "10.0.0.0/24", "mapPublicIpOnLaunch": True, "region": "us-east-1"})
    answer = client.Create(provider.CreateRequest(urn=urn(SUBNET), properties=inputs, preview=True), timeout=10)
    values = Properties.of(answer.properties).values
    assert values["cidrBlock"] == "10.0.0.0/24"
    assert values["vpcId"] is UNKNOWN
    assert values["arn"] is UNKNOWN
    assert values["availabilityZone"] is UNKNOWN


def test_the_preview_of_an_update_keeps_what_stays(client: Any) -> None:
    olds = struct({"name": "/a", "value": "1", "arn": "arn:a", "version": 3, "region": "us-east-1"}, {"value"})
    news = struct({"name": "/a", "value": "2", "region": "us-east-1"}, {"value"})
    request = provider.UpdateRequest(
        id="/a", urn=urn(PARAMETER), olds=olds, old_inputs=struct({"name": "/a", "value": "1"}), news=news, preview=True
    )
    properties = Properties.of(client.Update(request, timeout=10).properties)
    assert properties.values["arn"] == "arn:a"
    assert properties.values["version"] is UNKNOWN
    assert properties.values["value"] == "2"
    assert "value" in properties.secret


def test_applying_without_a_dock_says_how_to_start_it(client: Any) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        client.Create(provider.CreateRequest(urn=urn(SUBNET), properties=struct({"vpcId": "v"})), timeout=30)
    assert "creating it: the dock is not running" in failure.value.details()


def test_a_secret_goes_in_and_comes_out_as_one() -> None:
    answers = {
        "GetParameter": {"Parameter": {"Name": "/a", "Type": "SecureString", "Value": "hidden"}},
        "DescribeParameters": {"Parameters": [{}]},
        "ListTagsForResource": {"TagList": []},
    }
    with served_with(answers) as client:
        inputs = struct(
            {"name": "/a", "type": "SecureString", "value": "hidden", "description": "d"}, {"value", "description"}
        )
        answer = client.Create(provider.CreateRequest(urn=urn(PARAMETER), properties=inputs), timeout=10)
    # Declared secret, or given as one.
    assert Properties.of(answer.properties).secret == {"value", "description"} & set(
        Properties.of(answer.properties).values
    )
    assert b"value" in answer.properties.SerializeToString()


def test_a_secret_is_not_in_the_message_of_a_failure() -> None:
    def refuse(parameters: dict[str, Any]) -> Any:
        raise ValueError(f"can't store {parameters['Value']}")

    with served_with({"PutParameter": refuse}) as client:
        inputs = struct({"name": "/a", "type": "SecureString", "value": "canary-51c2"}, {"value"})
        with pytest.raises(grpc.RpcError) as failure:
            client.Create(provider.CreateRequest(urn=urn(PARAMETER), properties=inputs), timeout=10)
    assert "canary-51c2" not in failure.value.details()
    assert "[secret]" in failure.value.details()


def test_a_resource_that_is_there_but_not_as_asked_is_told_with_its_id() -> None:
    def refuse(parameters: dict[str, Any]) -> Any:
        from dock.providers.cloud import CallError

        raise CallError("EnableKeyRotation", "UnsupportedOperationException", "no")

    answers = {
        "CreateKey": {"KeyMetadata": {"KeyId": "k"}},
        "DescribeKey": {"KeyMetadata": {"KeyId": "k", "Arn": "arn:k"}},
        "EnableKeyRotation": refuse,
        "ListResourceTags": {"Tags": []},
    }
    request = provider.CreateRequest(urn=urn(KEY), properties=struct({"enableKeyRotation": True}))
    with served_with(answers) as client, pytest.raises(grpc.RpcError) as failure:
        client.Create(request, timeout=10)
    packed = dict(failure.value.trailing_metadata())["grpc-status-details-bin"]
    detail = provider.ErrorResourceInitFailed()
    assert status.Status.FromString(packed).details[0].Unpack(detail)
    assert detail.id == "k"
    assert "UnsupportedOperationException" in detail.reasons[0]
    assert Properties.of(detail.properties).values["arn"] == "arn:k"


def test_a_resource_that_is_gone_reads_with_an_empty_id() -> None:
    with served_with({"DescribeSubnets": {"Subnets": []}}) as client:
        request = provider.ReadRequest(
            id="subnet-1", urn=urn(SUBNET), inputs=struct({"vpcId": "v"}), properties=struct({"arn": "a"})
        )
        assert client.Read(request, timeout=10).id == ""


def test_a_difference_says_what_must_be_replaced(client: Any) -> None:
    before = struct({"vpcId": "vpc-1", "cidrBlock": "10.0.0.0/24"})
    news = struct({"vpcId": "vpc-1", "cidrBlock": "10.0.1.0/24", "mapPublicIpOnLaunch": True})
    answer = client.Diff(
        provider.DiffRequest(id="s", urn=urn(SUBNET), olds=before, old_inputs=before, news=news), timeout=10
    )
    assert answer.changes == answer.DIFF_SOME
    assert list(answer.replaces) == ["cidrBlock"]
    assert answer.detailedDiff["cidrBlock"].kind == provider.PropertyDiff.UPDATE_REPLACE
    assert answer.detailedDiff["mapPublicIpOnLaunch"].kind == provider.PropertyDiff.ADD
    assert not answer.deleteBeforeReplace


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Construct", provider.ConstructRequest(type="aws:x:Y")),
        ("Call", provider.CallRequest(tok="aws:x:Y/z")),
        ("Parameterize", provider.ParameterizeRequest()),
    ],
)
def test_what_it_can_not_do_is_said_and_not_faked(client: Any, method: str, request_: Any) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        getattr(client, method)(request_, timeout=10)
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "the dock's plugin for aws" in failure.value.details()


def test_an_attached_engine_is_accepted(client: Any) -> None:
    client.Attach(plugin.PluginAttach(address="127.0.0.1:1"), timeout=10)


def test_the_installed_plugin_prints_its_port_and_ends_quietly(tmp_path: Path) -> None:
    install(tmp_path)
    executable = tmp_path / "plugins" / f"resource-aws-v{AwsProvider.version}" / "pulumi-resource-aws"
    process = subprocess.Popen(
        [str(executable), "127.0.0.1:1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    grpc.channel_ready_future(channel).result(timeout=10)
    channel.close()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, b"", b"")


def test_installing_again_leaves_running_plugins_alone(tmp_path: Path) -> None:
    install(tmp_path)
    files = sorted(path for path in (tmp_path / "plugins").rglob("*") if path.is_file())
    assert [path.name for path in files] == [
        "pulumi-language-python",
        "pulumi-resource-aws",
        "pulumi-resource-cloudflare",
    ]
    inodes = [path.stat().st_ino for path in files]
    install(tmp_path)
    assert [path.stat().st_ino for path in files] == inodes


def test_a_plugin_whose_engine_was_killed_ends_by_itself(tmp_path: Path) -> None:
    install(tmp_path)
    executable = tmp_path / "plugins" / f"resource-aws-v{AwsProvider.version}" / "pulumi-resource-aws"
    script = f"""
import subprocess, time
started = subprocess.Popen([{str(executable)!r}], stdout=subprocess.PIPE)
started.stdout.readline()
print(started.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait(timeout=10)
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
