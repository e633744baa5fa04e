"""A replication group as a user has it: boto3 for the control plane, Redis clients for the data."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError
from redis.exceptions import AuthenticationError, OutOfMemoryError, ResponseError

from dock.aws.elasticache import ElastiCache
from dock.cloud import ACCOUNTS, REGIONS
from dock.home import Home
from tests.dock.conftest import call, running_cloud
from tests.dock.elasticache.conftest import TOKEN, User, primary_of, write_until_taken

pytestmark = [pytest.mark.dock, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

SHARED = "shared"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def user() -> AsyncIterator[User]:
    """A user of a cloud with one group `shared`: two nodes, TLS, a token, its own parameter group."""
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    try:
        async with running_cloud(Home(root / "home"), [ElastiCache]) as cloud:
            user = User(cloud)
            await user.ask(
                "create_cache_parameter_group",
                CacheParameterGroupName="shared-parameters",
                CacheParameterGroupFamily="redis7",
                Description="of the shared group",
            )
            await user.create(
                SHARED,
                MultiAZEnabled=True,
                TransitEncryptionEnabled=True,
                AuthToken=TOKEN,
                CacheParameterGroupName="shared-parameters",
                SecurityGroupIds=["sg-1"],
                Tags=[{"Key": "platform", "Value": "chatvrm"}],
            )
            yield user
    finally:
        shutil.rmtree(root, ignore_errors=True)


async def endpoint(user: User, identifier: str = SHARED, kind: str = "PrimaryEndpoint") -> dict[str, Any]:
    return dict((await user.available(identifier))["NodeGroups"][0][kind])


async def test_a_group_has_two_nodes_in_two_zones_with_a_role_each(user: User) -> None:
    group = await user.available(SHARED)
    members = group["NodeGroups"][0]["NodeGroupMembers"]
    assert sorted(member["CurrentRole"] for member in members) == ["primary", "replica"]
    assert len({member["PreferredAvailabilityZone"] for member in members}) == 2
    assert group["MemberClusters"] == ["shared-001", "shared-002"]
    assert (group["AuthTokenEnabled"], group["TransitEncryptionEnabled"]) == (True, True)
    assert (group["MultiAZ"], group["AutomaticFailover"], group["ClusterEnabled"]) == ("enabled", "enabled", False)
    clusters = (await user.ask("describe_cache_clusters", ShowCacheNodeInfo=True))["CacheClusters"]
    first = next(cluster for cluster in clusters if cluster["CacheClusterId"] == "shared-001")
    assert first["CacheClusterStatus"] == "available"
    assert first["EngineVersion"].startswith("7.")
    assert first["SecurityGroups"] == [{"SecurityGroupId": "sg-1", "Status": "active"}]
    assert first["CacheNodes"][0]["Endpoint"]["Port"] == 6379


async def test_redis_cli_writes_to_the_primary_endpoint_and_reads_from_the_reader(user: User) -> None:
    def cli(address: str, *command: str) -> str:
        answer = subprocess.run(
            ["redis-cli", "-h", address, "--tls", "--cacert", str(user.cloud.certificates.path), *command],
            env={**os.environ, "REDISCLI_AUTH": TOKEN},
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        return answer.stdout.strip()

    primary, reader = await endpoint(user), await endpoint(user, kind="ReaderEndpoint")
    assert await asyncio.to_thread(cli, primary["Address"], "SET", "greeting", "hello") == "OK"
    async with user.connect(primary, token=TOKEN, tls=True) as client:
        await client.wait(1, 5000)
    assert await asyncio.to_thread(cli, reader["Address"], "GET", "greeting") == "hello"
    assert "READONLY" in await asyncio.to_thread(cli, reader["Address"], "SET", "greeting", "x")
    assert "NOPERM" in await asyncio.to_thread(cli, primary["Address"], "CONFIG", "GET", "*")


async def test_nobody_comes_in_without_the_token(user: User) -> None:
    primary = await endpoint(user)
    with pytest.raises(AuthenticationError):
        await user.connect(primary, tls=True).ping()
    with pytest.raises(AuthenticationError):
        await user.connect(primary, token="not-this-token-at-all", tls=True).ping()


async def test_a_rotated_token_is_valid_beside_the_old_one_until_it_is_set(user: User) -> None:
    primary, newer = await endpoint(user), "newer-" + secrets.token_hex(10)
    for strategy, valid in (("ROTATE", (TOKEN, newer)), ("SET", (newer,))):
        answer = await user.ask(
            "modify_replication_group",
            ReplicationGroupId=SHARED,
            AuthToken=newer,
            AuthTokenUpdateStrategy=strategy,
            ApplyImmediately=True,
        )
        assert answer["ReplicationGroup"]["Status"] == "modifying"
        assert answer["ReplicationGroup"]["PendingModifiedValues"]["AuthTokenStatus"] in {"ROTATING", "SETTING"}
        await user.available(SHARED)
        for token in (TOKEN, newer):
            client = user.connect(primary, token=token, tls=True)
            if token in valid:
                assert await client.ping()
            else:
                with pytest.raises(AuthenticationError):
                    await client.ping()
    await user.ask(
        "modify_replication_group",
        ReplicationGroupId=SHARED,
        AuthToken=TOKEN,
        AuthTokenUpdateStrategy="SET",
        ApplyImmediately=True,
    )
    await user.available(SHARED)
    assert await user.connect(primary, token=TOKEN, tls=True).ping()


async def test_a_changed_parameter_takes_effect_while_clients_go_on(user: User) -> None:
    client = user.connect(await endpoint(user), token=TOKEN, tls=True)
    await client.set("one", "1")
    subscriber = client.pubsub()
    await subscriber.subscribe("__keyevent@0__:set")
    await subscriber.get_message(timeout=2)
    await user.ask(
        "modify_cache_parameter_group",
        CacheParameterGroupName="shared-parameters",
        ParameterNameValues=[
            {"ParameterName": "notify-keyspace-events", "ParameterValue": "KEA"},
            {"ParameterName": "maxmemory-policy", "ParameterValue": "allkeys-lru"},
        ],
    )
    heard = None
    async with asyncio.timeout(10):
        while heard is None:
            await client.set("one", "2")
            heard = await subscriber.get_message(ignore_subscribe_messages=True, timeout=0.2)
    assert heard["data"] == "one"
    assert (await client.info("memory"))["maxmemory_policy"] == "allkeys-lru"
    changed = await user.ask("describe_cache_parameters", CacheParameterGroupName="shared-parameters", Source="user")
    assert {found["ParameterName"]: found["ParameterValue"] for found in changed["Parameters"]} == {
        "notify-keyspace-events": "KEA",
        "maxmemory-policy": "allkeys-lru",
    }
    await user.ask("reset_cache_parameter_group", CacheParameterGroupName="shared-parameters", ResetAllParameters=True)
    async with asyncio.timeout(10):
        while (await client.info("memory"))["maxmemory_policy"] != "volatile-lru":
            await asyncio.sleep(0.05)
    await subscriber.aclose()


async def test_a_parameter_that_needs_a_reboot_waits_for_one(user: User) -> None:
    await user.ask(
        "modify_cache_parameter_group",
        CacheParameterGroupName="shared-parameters",
        ParameterNameValues=[{"ParameterName": "databases", "ParameterValue": "4"}],
    )
    replica = (set((await user.available(SHARED))["MemberClusters"]) - {primary_of(await user.group(SHARED))}).pop()

    async def status() -> str:
        found = await user.ask("describe_cache_clusters", CacheClusterId=replica)
        return str(found["CacheClusters"][0]["CacheParameterGroup"]["ParameterApplyStatus"])

    async with asyncio.timeout(10):
        while await status() != "pending-reboot":
            await asyncio.sleep(0.05)
    await user.ask("reboot_cache_cluster", CacheClusterId=replica, CacheNodeIdsToReboot=["0001"])
    group = await user.available(SHARED)
    assert await status() == "in-sync"
    member = next(found for found in group["NodeGroups"][0]["NodeGroupMembers"] if found["CacheClusterId"] == replica)
    client = user.connect(member["ReadEndpoint"], token=TOKEN, tls=True, db=4)
    with pytest.raises(ResponseError, match="out of range"):
        await client.ping()


async def test_memory_is_limited_by_the_node_type(user: User) -> None:
    await user.create("small", 1)
    client = user.connect(await endpoint(user, "small"))
    limit = (await client.info("memory"))["maxmemory"]
    assert limit == 24 << 20
    # volatile-lru, the default, evicts nothing that has no expiry.
    pipeline = client.pipeline(transaction=False)
    for number in range(64):
        pipeline.set(f"block-{number}", b"x" * (1 << 20))
    with pytest.raises(OutOfMemoryError):
        await pipeline.execute()
    answer = await user.ask(
        "modify_replication_group", ReplicationGroupId="small", CacheNodeType="cache.t4g.small", ApplyImmediately=True
    )
    assert answer["ReplicationGroup"]["CacheNodeType"] == "cache.t4g.small"
    await user.available("small")
    assert (await client.info("memory"))["maxmemory"] > limit * 2
    await user.ask(
        "modify_replication_group", ReplicationGroupId="small", CacheNodeType="cache.t4g.micro", ApplyImmediately=False
    )
    await user.available("small")
    cluster = (await user.ask("describe_cache_clusters", CacheClusterId="small-001"))["CacheClusters"][0]
    assert (cluster["CacheNodeType"], cluster["PendingModifiedValues"]["CacheNodeType"]) == (
        "cache.t4g.small",
        "cache.t4g.micro",
    )
    await user.ask("delete_replication_group", ReplicationGroupId="small")
    await user.gone("small")


async def test_a_failover_that_is_asked_for_promotes_the_replica_and_the_endpoint_follows(user: User) -> None:
    client = user.connect(await endpoint(user), token=TOKEN, tls=True)
    await client.set("kept", "1")
    await client.wait(1, 5000)
    former = primary_of(await user.available(SHARED))
    await user.ask("test_failover", ReplicationGroupId=SHARED, NodeGroupId="0001")
    outage = await write_until_taken(client, "after")
    group = await user.available(SHARED)
    assert primary_of(group) != former
    assert await client.get("kept") == "1"
    assert outage < 5
    events = await user.events()
    assert "Test Failover API called for node group 0001" in events
    assert f"Failover from primary node {former} to replica node {primary_of(group)} completed" in events


async def test_a_killed_primary_is_replaced_and_comes_back_as_a_replica(user: User) -> None:
    group = await user.available(SHARED)
    former = primary_of(group)
    client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"], token=TOKEN, tls=True)
    await client.set("kept", "2")
    await client.wait(1, 5000)
    process = user.cloud.supervisor.find(f"elasticache/{ACCOUNTS[0]}/{REGIONS[0]}/{SHARED}/{former}")
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    outage = await write_until_taken(client, "after")
    print(f"without service: {outage:.3f} s")
    assert outage < 5
    assert await client.get("kept") == "2"
    group = await user.available(SHARED)
    member = next(found for found in group["NodeGroups"][0]["NodeGroupMembers"] if found["CacheClusterId"] == former)
    assert member["CurrentRole"] == "replica"
    returned = user.connect(member["ReadEndpoint"], token=TOKEN, tls=True)
    assert (await returned.info("replication"))["role"] == "slave"


async def test_replicas_are_added_and_removed(user: User) -> None:
    await user.ask("increase_replica_count", ReplicationGroupId=SHARED, NewReplicaCount=2, ApplyImmediately=True)
    group = await user.available(SHARED)
    assert group["MemberClusters"] == ["shared-001", "shared-002", "shared-003"]
    assert len({found["PreferredAvailabilityZone"] for found in group["NodeGroups"][0]["NodeGroupMembers"]}) == 3
    client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"], token=TOKEN, tls=True)
    assert (await client.info("replication"))["connected_slaves"] == 2
    await user.ask(
        "decrease_replica_count", ReplicationGroupId=SHARED, ReplicasToRemove=["shared-003"], ApplyImmediately=True
    )
    assert (await user.available(SHARED))["MemberClusters"] == ["shared-001", "shared-002"]
    assert (await client.info("replication"))["connected_slaves"] == 1
    with pytest.raises(ClientError, match="at least two nodes"):
        await user.ask("decrease_replica_count", ReplicationGroupId=SHARED, NewReplicaCount=0, ApplyImmediately=True)


async def test_without_automatic_failover_the_primary_can_be_chosen(user: User) -> None:
    group = await user.create("chosen", 2, AutomaticFailoverEnabled=False)
    client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"])
    await client.set("kept", "1")
    await user.ask(
        "modify_replication_group", ReplicationGroupId="chosen", PrimaryClusterId="chosen-002", ApplyImmediately=True
    )
    assert primary_of(await user.available("chosen")) == "chosen-002"
    await write_until_taken(client, "after")
    assert await client.get("kept") == "1"
    await user.ask("delete_replication_group", ReplicationGroupId="chosen")
    await user.gone("chosen")


async def test_a_rebooted_primary_loses_its_data_as_on_aws(user: User) -> None:
    group = await user.create("rebooted", 2)
    client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"])
    await client.set("gone", "1")
    await user.ask("reboot_cache_cluster", CacheClusterId="rebooted-001", CacheNodeIdsToReboot=["0001"])
    group = await user.available("rebooted")
    assert primary_of(group) == "rebooted-001"
    await write_until_taken(client, "after")
    assert await client.get("gone") is None
    await user.ask("delete_replication_group", ReplicationGroupId="rebooted")
    await user.gone("rebooted")


async def test_a_group_is_created_from_the_final_snapshot_of_another(user: User) -> None:
    group = await user.create("first", 1)
    client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"])
    await client.mset({f"key-{number}": number for number in range(1000)})
    await user.ask("create_snapshot", ReplicationGroupId="first", SnapshotName="by-hand")
    await user.available("first")
    await client.flushall()
    await client.set("key-0", "final")
    await user.ask("delete_replication_group", ReplicationGroupId="first", FinalSnapshotIdentifier="last-words")
    await user.gone("first")
    found = (await user.ask("describe_snapshots"))["Snapshots"]
    assert {snapshot["SnapshotName"]: snapshot["SnapshotStatus"] for snapshot in found} == {
        "by-hand": "available",
        "last-words": "available",
    }
    group = await user.create("second", 2, SnapshotName="by-hand")
    client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"])
    assert await client.dbsize() == 1000
    await user.ask("delete_replication_group", ReplicationGroupId="second")
    await user.gone("second")
    group = await user.create("third", 1, SnapshotName="last-words")
    client = user.connect(group["NodeGroups"][0]["PrimaryEndpoint"])
    assert await client.get("key-0") == "final"
    assert await client.dbsize() == 1
    for name in ("by-hand", "last-words"):
        await user.ask("delete_snapshot", SnapshotName=name)
    assert (await user.ask("describe_snapshots"))["Snapshots"] == []
    await user.ask("delete_replication_group", ReplicationGroupId="third")
    await user.gone("third")


async def test_an_automatic_snapshot_is_taken_in_its_window_and_old_ones_go(user: User) -> None:
    await user.create("nightly", 1, SnapshotRetentionLimit=1, SnapshotWindow="03:00-04:00")
    service = user.cloud.service(ElastiCache)
    (group,) = [found for (_, name), found in service.groups.items() if name == "nightly"]
    day = dt.datetime.now(dt.UTC).replace(hour=3, minute=10) + dt.timedelta(days=1)
    service.keep_windows(group, day.replace(hour=5))
    assert (await user.ask("describe_snapshots", ReplicationGroupId="nightly"))["Snapshots"] == []
    names = []
    for days in (0, 2):
        service.keep_windows(group, day + dt.timedelta(days=days))
        await user.available("nightly")
        (snapshot,) = (await user.ask("describe_snapshots", ReplicationGroupId="nightly"))["Snapshots"]
        assert (snapshot["SnapshotSource"], snapshot["SnapshotStatus"]) == ("automated", "available")
        names.append(snapshot["SnapshotName"])
    assert names[0] != names[1]
    await user.ask("delete_replication_group", ReplicationGroupId="nightly")
    await user.gone("nightly")


async def test_tags_go_from_a_group_to_its_nodes(user: User) -> None:
    group = await user.available(SHARED)
    name = group["ARN"]
    await user.ask("add_tags_to_resource", ResourceName=name, Tags=[{"Key": "owner", "Value": "team"}])
    tags = (await user.ask("list_tags_for_resource", ResourceName=name))["TagList"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"platform": "chatvrm", "owner": "team"}
    node = name.replace("replicationgroup:shared", "cluster:shared-001")
    assert (await user.ask("list_tags_for_resource", ResourceName=node))["TagList"] == tags
    await user.ask("remove_tags_from_resource", ResourceName=name, TagKeys=["owner"])
    tags = (await user.ask("list_tags_for_resource", ResourceName=name))["TagList"]
    assert [tag["Key"] for tag in tags] == ["platform"]


async def test_a_subnet_group_gives_nodes_their_zones_and_is_kept_while_used(user: User) -> None:
    ec2 = user.cloud.client("ec2", user.account, user.region)
    vpc = (await call(ec2.create_vpc, CidrBlock="10.9.0.0/16"))["Vpc"]["VpcId"]
    subnets = []
    for number, zone in enumerate(("us-east-1b", "us-east-1c")):
        made = await call(ec2.create_subnet, VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=zone)
        subnets.append(made["Subnet"]["SubnetId"])
    answer = await user.ask(
        "create_cache_subnet_group",
        CacheSubnetGroupName="Private",
        CacheSubnetGroupDescription="two zones",
        SubnetIds=subnets,
    )
    assert answer["CacheSubnetGroup"]["VpcId"] == vpc
    assert [found["SubnetIdentifier"] for found in answer["CacheSubnetGroup"]["Subnets"]] == subnets
    with pytest.raises(ClientError, match="subnet"):
        await user.ask(
            "create_cache_subnet_group",
            CacheSubnetGroupName="wrong",
            CacheSubnetGroupDescription="",
            SubnetIds=["subnet-0123456789abcdef0"],
        )
    group = await user.create("inside", 2, CacheSubnetGroupName="private")
    zones = [found["PreferredAvailabilityZone"] for found in group["NodeGroups"][0]["NodeGroupMembers"]]
    assert zones == ["us-east-1b", "us-east-1c"]
    with pytest.raises(ClientError, match="is used by inside"):
        await user.ask("delete_cache_subnet_group", CacheSubnetGroupName="private")
    await user.ask("delete_replication_group", ReplicationGroupId="inside")
    await user.gone("inside")
    await user.ask("delete_cache_subnet_group", CacheSubnetGroupName="private")


async def test_what_cant_be_done_is_refused_with_the_reason(user: User) -> None:
    refusals: list[tuple[str, dict[str, Any], str]] = [
        ("describe_replication_groups", {"ReplicationGroupId": "nowhere"}, "ReplicationGroupNotFoundFault"),
        ("describe_cache_clusters", {"CacheClusterId": "nowhere-001"}, "CacheClusterNotFound"),
        (
            "delete_replication_group",
            {"ReplicationGroupId": SHARED, "RetainPrimaryCluster": True},
            "FinalSnapshotIdentifier",
        ),
        ("delete_cache_parameter_group", {"CacheParameterGroupName": "shared-parameters"}, "is used by shared"),
        ("delete_cache_parameter_group", {"CacheParameterGroupName": "default.redis7"}, "default group"),
        (
            "modify_replication_group",
            {"ReplicationGroupId": SHARED, "EngineVersion": "6.2", "ApplyImmediately": True},
            "not installed",
        ),
        (
            "modify_replication_group",
            {"ReplicationGroupId": SHARED, "AuthToken": TOKEN},
            "needs ApplyImmediately",
        ),
        (
            "modify_replication_group",
            {"ReplicationGroupId": SHARED, "PrimaryClusterId": "shared-002", "ApplyImmediately": True},
            "automatic failover|chosen",
        ),
        (
            "modify_replication_group",
            {"ReplicationGroupId": SHARED, "TransitEncryptionEnabled": False},
            "TransitEncryptionEnabled",
        ),
        ("test_failover", {"ReplicationGroupId": SHARED, "NodeGroupId": "0002"}, "NodeGroupNotFoundFault"),
        (
            "create_replication_group",
            {"ReplicationGroupId": "x", "ReplicationGroupDescription": "", "UserGroupIds": ["g"]},
            "UserGroupIds",
        ),
        (
            "create_replication_group",
            {"ReplicationGroupId": SHARED, "ReplicationGroupDescription": ""},
            "ReplicationGroupAlreadyExists",
        ),
    ]
    # So that there is something to refuse, whoever is primary by now.
    group = await user.available(SHARED)
    for operation, parameters, words in refusals:
        if "PrimaryClusterId" in parameters:
            others = set(group["MemberClusters"]) - {primary_of(group)}
            parameters = {**parameters, "PrimaryClusterId": others.pop()}
        with pytest.raises(ClientError, match=words):
            await user.ask(operation, **parameters)
    assert (await user.group(SHARED))["Status"] == "available"


async def test_accounts_and_regions_are_apart(user: User) -> None:
    for account, region in ((ACCOUNTS[1], REGIONS[0]), (ACCOUNTS[0], REGIONS[1])):
        other = User(user.cloud, account, region)
        assert (await other.ask("describe_replication_groups"))["ReplicationGroups"] == []
    other = User(user.cloud, ACCOUNTS[1])
    mine, theirs = await endpoint(user), await endpoint_of_new(other)
    assert mine["Address"] != theirs["Address"]
    await other.ask("delete_replication_group", ReplicationGroupId=SHARED)
    await other.gone(SHARED)


async def endpoint_of_new(user: User) -> dict[str, Any]:
    return dict((await user.create(SHARED, 1))["NodeGroups"][0]["PrimaryEndpoint"])


async def test_the_token_stands_nowhere_in_the_home(user: User) -> None:
    await user.available(SHARED)
    holding = [
        path
        for path in user.cloud.home.root.rglob("*")
        if path.is_file() and TOKEN.encode() in await asyncio.to_thread(path.read_bytes)
    ]
    assert holding == []
    for process in user.cloud.supervisor.running():
        assert TOKEN.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert TOKEN.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes()
