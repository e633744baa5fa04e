"""`describe` calls of the dock's own services, each beside the emulator's own of one resource of the same kind."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.figure import Figure, in_pairs, spread

CALLS = 300
# Nobody's: what is made here for comparison is in nobody's way.
ACCOUNT = "999999999999"
NAME = "drydock-benchmark"

Call = Callable[[], object]


def measure(
    endpoint_url: str, emulator_url: str, account: str, region: str, cluster: str, service: str
) -> list[Figure]:
    def clients(url: str, account: str) -> Callable[[str], Any]:
        return lambda name: boto3.client(
            name,
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="dock",
            config=Config(retries={"total_max_attempts": 1}),
        )

    ours = _calls(clients(endpoint_url, account), cluster, service)
    with _resources(clients(emulator_url, ACCOUNT)):
        theirs = _calls(clients(emulator_url, ACCOUNT), NAME, NAME)
        return [_figure(name, ours[name], theirs[name]) for name in ours]


def _calls(client: Callable[[str], Any], cluster: str, service: str) -> dict[str, Call]:
    ecs = client("ecs")
    return {
        "rds describe-db-instances": client("rds").describe_db_instances,
        "ecs describe-services": lambda: ecs.describe_services(cluster=cluster, services=[service]),
        "elbv2 describe-load-balancers": client("elbv2").describe_load_balancers,
        "elasticache describe-replication-groups": client("elasticache").describe_replication_groups,
        "ecr describe-repositories": client("ecr").describe_repositories,
    }


def _figure(name: str, ours: Call, theirs: Call) -> Figure:
    mine, peer = in_pairs(ours, theirs, CALLS)
    ratio = statistics.median(mine) / statistics.median(peer)
    return Figure(
        name,
        spread(mine, "ms", 1000),
        f"the emulator's own {spread(peer, 'ms', 1000)}",
        ratio,
        "as fast as the emulator's own",
        ratio <= 1,
    )


@contextlib.contextmanager
def _resources(client: Callable[[str], Any]) -> Iterator[None]:
    """One of each kind in the emulator alone; it has no engines behind them. They are gone afterwards."""
    rds, ecs, elb, cache, ecr = (client(name) for name in ("rds", "ecs", "elbv2", "elasticache", "ecr"))
    with contextlib.ExitStack() as stack:
        rds.create_db_instance(
            DBInstanceIdentifier=NAME,
            Engine="postgres",
            DBInstanceClass="db.t4g.micro",
            AllocatedStorage=20,
            MasterUsername="benchmark",
            MasterUserPassword="benchmark",
        )
        stack.callback(rds.delete_db_instance, DBInstanceIdentifier=NAME, SkipFinalSnapshot=True)
        ecs.create_cluster(clusterName=NAME)
        stack.callback(ecs.delete_cluster, cluster=NAME)
        container = {"name": "web", "image": "web:1", "memory": 128}
        definition = ecs.register_task_definition(family=NAME, containerDefinitions=[container])["taskDefinition"]
        stack.callback(ecs.deregister_task_definition, taskDefinition=definition["taskDefinitionArn"])
        ecs.create_service(
            cluster=NAME, serviceName=NAME, taskDefinition=definition["taskDefinitionArn"], desiredCount=0
        )
        stack.callback(ecs.delete_service, cluster=NAME, service=NAME, force=True)
        balancer = elb.create_load_balancer(Name=NAME, Subnets=["subnet-1", "subnet-2"])["LoadBalancers"][0]
        stack.callback(elb.delete_load_balancer, LoadBalancerArn=balancer["LoadBalancerArn"])
        cache.create_replication_group(
            ReplicationGroupId=NAME,
            ReplicationGroupDescription=NAME,
            Engine="redis",
            CacheNodeType="cache.t4g.micro",
            NumCacheClusters=2,
        )
        stack.callback(cache.delete_replication_group, ReplicationGroupId=NAME)
        ecr.create_repository(repositoryName=NAME)
        stack.callback(ecr.delete_repository, repositoryName=NAME, force=True)
        yield
