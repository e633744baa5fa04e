"""A Redis cache on ElastiCache.

Redis OSS 7.0 and not Valkey, for a reason that ends when Debian ships Valkey: what is rehearsed on the dock has to be
what runs in production, and Redis 7.0 is what both have. ElastiCache upgrades to Valkey in place when that changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

PORT = 6379


@dataclass(frozen=True, kw_only=True)
class RedisArgs:
    """One shard: a primary and `replicas`, each in another zone; without any, a lost node's data are lost with it.

    Windows in UTC, as ElastiCache writes them; with `apply_immediately` changes don't wait for theirs.
    `final_snapshot`: what a deletion leaves behind, named `<name>-final`.
    """

    version: str
    node_type: pulumi.Input[str]
    replicas: int
    auth_token: pulumi.Input[str]
    snapshot_retention_days: pulumi.Input[int]
    snapshot_window: pulumi.Input[str]
    maintenance_window: pulumi.Input[str]
    apply_immediately: pulumi.Input[bool]
    final_snapshot: bool
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    protect: bool


class Redis(pulumi.ComponentResource):
    """`address` follows the primary through a failover."""

    replication_group: pulumi.Output[str]
    address: pulumi.Output[str]
    port: pulumi.Output[int]

    def __init__(self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Redis", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        family = f"redis{args.version.split('.')[0]}"
        subnets = aws.elasticache.SubnetGroup(
            f"{name}-subnets",
            name=name,
            description=f"Private subnets of {name}",
            subnet_ids=list(args.subnet_ids),
            opts=child,
        )
        parameters = aws.elasticache.ParameterGroup(
            f"{name}-parameters",
            name=f"{name}-{family}",
            family=family,
            description=f"Parameters of {name}",
            # When memory is short, what may be forgotten goes first: keys with an expiry, sessions last used.
            parameters=[aws.elasticache.ParameterGroupParameterArgs(name="maxmemory-policy", value="volatile-lru")],
            opts=child,
        )
        group = aws.elasticache.ReplicationGroup(
            f"{name}-group",
            replication_group_id=name,
            description=f"Sessions and cache of {name}",
            engine="redis",
            engine_version=args.version,
            node_type=args.node_type,
            port=PORT,
            num_cache_clusters=1 + args.replicas,
            automatic_failover_enabled=args.replicas > 0,
            multi_az_enabled=args.replicas > 0,
            subnet_group_name=subnets.name,
            security_group_ids=[args.security_group_id],
            parameter_group_name=parameters.name,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=args.key_arn,
            auth_token=args.auth_token,
            # Both tokens are good for a while, so that a rotation disconnects nobody.
            auth_token_update_strategy="ROTATE",  # noqa: S106
            snapshot_retention_limit=args.snapshot_retention_days,
            snapshot_window=args.snapshot_window,
            maintenance_window=args.maintenance_window,
            final_snapshot_identifier=f"{name}-final" if args.final_snapshot else None,
            auto_minor_version_upgrade=False,
            apply_immediately=args.apply_immediately,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.replication_group = group.replication_group_id
        self.address = group.primary_endpoint_address
        self.port = pulumi.Output.from_input(PORT)
        self.register_outputs({"replication_group": self.replication_group, "address": self.address, "port": self.port})
