"""What ElastiCache refuses and how it reckons, without any process."""

from __future__ import annotations

import datetime as dt
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dock.aws.elasticache import ElastiCache, auth_token, windows
from dock.aws.elasticache.creation import assign_zones, check_identifier, check_nodes, choose_server, new_record, spread
from dock.aws.elasticache.node_types import LARGEST_BYTES, NODE_TYPES, maxmemory
from dock.aws.elasticache.parameters import PARAMETERS, check_parameters, directives
from dock.aws.models import service_model
from dock.aws.service import AwsError
from dock.engines.redis import Server, digest, installed
from dock.engines.redis.configuration import Configuration, access_list, configuration_file

SERVER = Server(Path("/usr/bin/redis-server"), "redis", "7.0.15")
ALLOWED = string.ascii_letters + string.digits + "!&#$^<>-"
ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]


def record(**parameters: Any) -> dict[str, Any]:
    request = {
        "ReplicationGroupId": "cache",
        "ReplicationGroupDescription": "",
        "CacheNodeType": "cache.t4g.micro",
        **parameters,
    }
    assigned = assign_zones(request, check_nodes(request), ZONES)
    return new_record(request, SERVER, assigned, "default.redis7", {})


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ({"NumNodeGroups": 2}, "InvalidParameterValueException", "cluster mode disabled"),
        ({"ClusterMode": "enabled"}, "InvalidParameterValueException", "cluster mode disabled"),
        ({"NumCacheClusters": 7}, "InvalidParameterValueException", "1 to 6 nodes"),
        ({"NumCacheClusters": 0}, "InvalidParameterValueException", "1 to 6 nodes"),
        ({"NumCacheClusters": 3, "ReplicasPerNodeGroup": 1}, "InvalidParameterCombinationException", "3, 2"),
        ({"AutomaticFailoverEnabled": True}, "InvalidParameterCombinationException", "at least two nodes"),
        ({"NumCacheClusters": 2, "MultiAZEnabled": True}, "InvalidParameterCombinationException", "automatic failover"),
        (
            {
                "NumCacheClusters": 2,
                "MultiAZEnabled": True,
                "AutomaticFailoverEnabled": True,
                "PreferredCacheClusterAZs": ["us-east-1a", "us-east-1a"],
            },
            "InvalidParameterCombinationException",
            "two zones",
        ),
        ({"PreferredCacheClusterAZs": ["eu-west-1a"]}, "InvalidParameterValueException", "eu-west-1a"),
        ({"CacheNodeType": "cache.huge"}, "InvalidParameterValueException", "cache.t4g.micro"),
        ({"AuthToken": "sixteen-letters-x"}, "InvalidParameterCombinationException", "TransitEncryptionEnabled"),
        ({"AuthToken": "short", "TransitEncryptionEnabled": True}, "InvalidParameterValueException", "16 to 128"),
        (
            {"TransitEncryptionEnabled": True, "TransitEncryptionMode": "preferred"},
            "InvalidParameterValueException",
            "preferred",
        ),
        ({"KmsKeyId": "alias/x"}, "InvalidParameterCombinationException", "AtRestEncryptionEnabled"),
        ({"SnapshotRetentionLimit": 36}, "InvalidParameterValueException", "35"),
        ({"SnapshotWindow": "05:00-05:30"}, "InvalidParameterValueException", "60 minutes"),
        ({"PreferredMaintenanceWindow": "someday"}, "InvalidParameterValueException", "sun:05:00"),
        ({"Port": 80}, "InvalidParameterValueException", "1024"),
    ],
)
def test_a_request_that_aws_or_the_dock_refuses_says_why(parameters: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(AwsError, match=words) as refused:
        record(**parameters)
    assert refused.value.code == code


@pytest.mark.parametrize("identifier", ["", "1cache", "cache-", "ca--che", "ca_che", "x" * 41])
def test_a_wrong_identifier_is_refused(identifier: str) -> None:
    with pytest.raises(AwsError, match="ReplicationGroupId"):
        check_identifier(identifier)


@pytest.mark.parametrize("version", [None, "7", "7.x", "7.0", "7.0.15"])
def test_the_installed_version_is_served_under_each_of_its_names(version: str | None) -> None:
    assert choose_server([SERVER], "redis", version) == SERVER


@pytest.mark.parametrize(
    ("engine", "version"), [("valkey", "8.0"), ("redis", "7.1"), ("redis", "6.2"), ("memcached", None)]
)
def test_another_engine_than_the_installed_is_refused_with_what_is_there(engine: str, version: str | None) -> None:
    with pytest.raises(AwsError, match=r"redis 7\.0 \(7\.0\.15\)"):
        choose_server([SERVER], engine, version)


def test_without_any_server_the_error_says_what_to_install() -> None:
    with pytest.raises(AwsError, match="install the package redis-server") as refused:
        choose_server([], "redis", None)
    assert refused.value.code == "InsufficientCacheClusterCapacityFault"


def test_a_named_server_that_is_none_is_said_and_no_other_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRYDOCK_REDIS_SERVER", "/bin/true")
    assert installed() == []
    with pytest.raises(AwsError, match="DRYDOCK_REDIS_SERVER names /bin/true"):
        choose_server(installed(), "redis", None)


def test_nodes_are_spread_over_the_zones() -> None:
    assert [member["zone"] for member in record(NumCacheClusters=3)["members"]] == ZONES
    assert spread(["us-east-1b"], 3, ZONES) == ["us-east-1b", "us-east-1a", "us-east-1c"]


@given(token=st.text(max_size=140) | st.text(ALLOWED, min_size=14, max_size=130))
def test_a_token_is_kept_as_its_digest_or_refused_without_being_quoted(token: str) -> None:
    if 16 <= len(token) <= 128 and all(letter in ALLOWED for letter in token):
        assert auth_token.check_token(token) == digest(token)
    else:
        with pytest.raises(AwsError) as refused:
            auth_token.check_token(token)
        assert len(token) < 12 or token not in refused.value.message


def test_rotating_keeps_the_last_token_and_setting_keeps_none_but_the_new_one() -> None:
    one, two, three = ("1" * 16, "2" * 16, "3" * 16)
    group = record(TransitEncryptionEnabled=True, AuthToken=one)
    group |= auth_token.update(group, two, "ROTATE")
    assert group["tokens"] == [digest(one), digest(two)]
    group |= auth_token.update(group, three, None)
    assert group["tokens"] == [digest(two), digest(three)]
    group |= auth_token.update(group, three, "SET")
    assert (group["tokens"], group["token_required"]) == ([digest(three)], True)
    group |= auth_token.update(group, None, "DELETE")
    assert (group["tokens"], group["token_required"]) == ([], False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maxmemory-policy", "allkeys-random-lru"),
        ("no-such-parameter", "1"),
        ("databases", "0"),
        ("databases", "many"),
        ("timeout", "19"),
        ("notify-keyspace-events", "Q"),
        ("appendonly", "yes"),
        ("cluster-enabled", "yes"),
        ("list-max-listpack-size", "-6"),
        ("maxclients", "65001"),
        ("slowlog-max-len", "1\nrequirepass x"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, value: str) -> None:
    with pytest.raises(AwsError, match=name):
        check_parameters({name: value})


def test_every_default_is_a_value_that_its_parameter_allows() -> None:
    check_parameters({name: parameter.default for name, parameter in PARAMETERS.items()})
    assert directives({"timeout": "20"})["timeout"] == "20"


def test_memory_keeps_the_proportions_of_the_node_types_on_the_docks_scale() -> None:
    assert maxmemory("cache.t4g.micro", 0) == 32 << 20
    assert maxmemory("cache.t4g.micro", 25) == 24 << 20
    assert maxmemory("cache.r7g.16xlarge", 0) == LARGEST_BYTES
    assert all(maxmemory(name, 100) == 1 for name in NODE_TYPES)


def test_windows_go_over_midnight_and_over_the_week() -> None:
    assert windows.in_snapshot_window("23:30-00:30", dt.datetime(2026, 11, 21, 0, 10))
    assert not windows.in_snapshot_window("23:30-00:30", dt.datetime(2026, 11, 21, 0, 30))
    window = windows.check_maintenance_window("Sun:23:30-Mon:00:30")
    assert windows.in_maintenance_window(window, dt.datetime(2026, 11, 23, 0, 10))
    assert not windows.in_maintenance_window(window, dt.datetime(2026, 11, 24, 0, 10))


def test_a_nodes_files_hold_the_token_only_as_a_digest() -> None:
    configuration = Configuration(1 << 20, passwords=(digest("a-token-of-sixteen"),), open_access=False)
    text = access_list(configuration, "internal") + configuration_file(
        configuration,
        address="127.9.4.1",
        port=6379,
        tls=True,
        folder=Path('/a "quoted" folder'),
        authority=Path("/ca.pem"),
        internal_password="internal",
        primary=("127.9.4.2", 6379),
    )
    assert "a-token-of-sixteen" not in text
    assert f"user default on #{digest('a-token-of-sixteen')}" in text
    assert 'dir "/a \\"quoted\\" folder"' in text
    assert "port 0\n" in text
    assert "replicaof 127.9.4.2 6379\n" in text


def test_every_declared_parameter_is_one_of_awss() -> None:
    model = service_model("elasticache")
    for name, declared in ElastiCache.operations().items():
        shape = model.operation_model(name).input_shape
        assert shape is not None
        assert (declared.acts | declared.records) <= set(shape.members), name
        assert not declared.acts & declared.records, name
