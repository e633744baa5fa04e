"""Who may talk to whom inside a VPC: one security group for each tier, and the rules between them.

Rules are resources of their own: two groups may then name each other, and a rule changes without its group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

ANYWHERE = "0.0.0.0/0"
HTTPS = 443


@dataclass(frozen=True, kw_only=True)
class SecurityGroupsArgs:
    """Users at `sources` (CIDR blocks) reach the load balancer on `listener_ports`; all ports are TCP."""

    vpc_id: pulumi.Input[str]
    sources: Sequence[str]
    listener_ports: Sequence[int]
    service_port: pulumi.Input[int]
    database_port: pulumi.Input[int]
    cache_port: pulumi.Input[int]


class SecurityGroups(pulumi.ComponentResource):
    """users → load balancer → service → database, cache; the service also calls HTTPS APIs anywhere."""

    load_balancer_id: pulumi.Output[str]
    service_id: pulumi.Output[str]
    database_id: pulumi.Output[str]
    cache_id: pulumi.Output[str]

    def __init__(self, name: str, args: SecurityGroupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:SecurityGroups", name, None, opts)
        self._name = name
        self._vpc_id = args.vpc_id

        load_balancer = self._group("load-balancer", "Load balancer: users come in here")
        service = self._group("service", "Tasks: only the load balancer reaches them")
        database = self._group("database", "PostgreSQL: only tasks reach it")
        cache = self._group("cache", "Redis: only tasks reach it")

        for port in args.listener_ports:
            for number, source in enumerate(args.sources):
                aws.vpc.SecurityGroupIngressRule(
                    f"{name}-users-{port}-{number}",
                    security_group_id=load_balancer.id,
                    description=f"Users at {source}",
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    cidr_ipv4=source,
                    opts=pulumi.ResourceOptions(parent=self),
                )
        self._allow("load-balancer-service", load_balancer, service, args.service_port)
        self._allow("service-database", service, database, args.database_port)
        self._allow("service-cache", service, cache, args.cache_port)
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-service-https",
            security_group_id=service.id,
            description="Images, secrets, logs and other APIs",
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            cidr_ipv4=ANYWHERE,
            opts=pulumi.ResourceOptions(parent=self),
        )

        self.load_balancer_id = load_balancer.id
        self.service_id = service.id
        self.database_id = database.id
        self.cache_id = cache.id
        self.register_outputs(
            {
                "load_balancer_id": self.load_balancer_id,
                "service_id": self.service_id,
                "database_id": self.database_id,
                "cache_id": self.cache_id,
            }
        )

    def _group(self, noun: str, description: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            f"{self._name}-{noun}",
            name=f"{self._name}-{noun}",
            description=description,
            vpc_id=self._vpc_id,
            tags={"Name": f"{self._name}-{noun}"},
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _allow(
        self, name: str, client: aws.ec2.SecurityGroup, server: aws.ec2.SecurityGroup, port: pulumi.Input[int]
    ) -> None:
        """Both halves: the client may call out, the server lets it in."""
        aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-{name}",
            security_group_id=client.id,
            description=f"{name}: out",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=server.id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-{name}",
            security_group_id=server.id,
            description=f"{name}: in",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=client.id,
            opts=pulumi.ResourceOptions(parent=self),
        )
