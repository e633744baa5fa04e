"""`describe` calls of the dock's own services, against one that the emulator answers without the front door."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.figure import Figure, in_pairs, spread

CALLS = 200
# The emulator's own describe of rds took 2.2 × its sts, its describe of ecs 1.5 × (p50 of 200 calls each).
BOUNDS = {"rds": 2.2}
OTHER_BOUND = 1.5


def measure(
    endpoint_url: str, emulator_url: str, account: str, region: str, cluster: str, service: str
) -> list[Figure]:
    def client(name: str, url: str) -> Any:
        return boto3.client(
            name,
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="dock",
            config=Config(retries={"total_max_attempts": 1}),
        )

    peer, ecs = client("sts", emulator_url), client("ecs", endpoint_url)
    ours: dict[str, Callable[[], object]] = {
        "rds describe-db-instances": client("rds", endpoint_url).describe_db_instances,
        "ecs describe-services": lambda: ecs.describe_services(cluster=cluster, services=[service]),
        "elbv2 describe-load-balancers": client("elbv2", endpoint_url).describe_load_balancers,
        "elasticache describe-replication-groups": client("elasticache", endpoint_url).describe_replication_groups,
        "ecr describe-repositories": client("ecr", endpoint_url).describe_repositories,
    }
    figures = []
    for name, call in ours.items():
        mine, theirs = in_pairs(call, peer.get_caller_identity, CALLS)
        bound = BOUNDS.get(name.split()[0], OTHER_BOUND)
        ratio = statistics.median(mine) / statistics.median(theirs)
        figures.append(
            Figure(
                name,
                spread(mine, "ms", 1000),
                f"the emulator's sts {spread(theirs, 'ms', 1000)}",
                ratio,
                f"≤ {bound} ×, as the emulator's own describe",
                ratio <= bound,
            )
        )
    return figures
