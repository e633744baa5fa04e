"""Where users are led when the primary region is gone: a load balancer in the recovery region that answers itself.

It needs no task, no database and nothing of the primary region, so it stands when all of that is lost. It says so with
a 503, which keeps caches and search engines from taking the page for the real one. A `Retry-After` header would say
when to come back, but an application load balancer can't set it: the page says it in words.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

ANYWHERE = "0.0.0.0/0"
HTTP = 80
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
STATUS = "503"
# Characters that a load balancer sends at most.
MAX_PAGE = 1024
# As the network cuts its block, so that one day a whole site fits where now only this stands.
_CUTS = 4


@dataclass(frozen=True, kw_only=True)
class RecoverySiteArgs:
    """`cidr` must not overlap the primary network's. `certificate_arn` is one of `region`: it makes the listener HTTPS,
    and port 80 a redirect to it. `page` is HTML, at most 1,024 characters."""

    region: pulumi.Input[str]
    cidr: str
    availability_zones: Sequence[str]
    sources: Sequence[str]
    port: int
    certificate_arn: pulumi.Input[str] | None
    page: str
    protect: bool


class RecoverySite(pulumi.ComponentResource):
    """A VPC of public subnets alone, without NAT gateways, and the load balancer in it."""

    vpc_id: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    # Of Route 53, for alias records.
    zone_id: pulumi.Output[str]

    def __init__(self, name: str, args: RecoverySiteArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:RecoverySite", name, None, opts)
        if len(args.page) > MAX_PAGE:
            raise ValueError(f"{name}: the page has {len(args.page)} characters, a load balancer sends {MAX_PAGE}")
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            region=args.region,
            cidr_block=args.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": name},
            opts=self._child,
        )
        balancer = aws.lb.LoadBalancer(
            f"{name}-balancer",
            name=name,
            region=args.region,
            load_balancer_type="application",
            internal=False,
            subnets=self._subnets(vpc),
            security_groups=[self._security_group(vpc)],
            drop_invalid_header_fields=True,
            desync_mitigation_mode="defensive",
            enable_deletion_protection=args.protect,
            opts=self._child,
        )
        listener = self._listeners(balancer)
        self.vpc_id = vpc.id
        # Known once it listens: nobody is led to a load balancer that doesn't.
        self.dns_name = pulumi.Output.all(balancer.dns_name, listener.arn).apply(lambda both: str(both[0]))
        self.zone_id = balancer.zone_id
        self.register_outputs({"vpc_id": self.vpc_id, "dns_name": self.dns_name, "zone_id": self.zone_id})

    def _subnets(self, vpc: aws.ec2.Vpc) -> list[pulumi.Output[str]]:
        name, region = self._name, self._args.region
        gateway = aws.ec2.InternetGateway(
            f"{name}-internet", region=region, vpc_id=vpc.id, tags={"Name": name}, opts=self._child
        )
        table = aws.ec2.RouteTable(
            f"{name}-public", region=region, vpc_id=vpc.id, tags={"Name": f"{name}-public"}, opts=self._child
        )
        way_out = aws.ec2.Route(
            f"{name}-public-internet",
            region=region,
            route_table_id=table.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=self._child,
        )
        blocks = [str(block) for block in ipaddress.ip_network(self._args.cidr).subnets(prefixlen_diff=_CUTS)]
        subnets = []
        for zone, block in zip(self._args.availability_zones, blocks, strict=False):
            letter = zone[-1]
            subnet = aws.ec2.Subnet(
                f"{name}-public-{letter}",
                region=region,
                vpc_id=vpc.id,
                cidr_block=block,
                availability_zone=zone,
                map_public_ip_on_launch=False,
                tags={"Name": f"{name}-public-{letter}"},
                opts=self._child,
            )
            association = aws.ec2.RouteTableAssociation(
                f"{name}-public-{letter}",
                region=region,
                subnet_id=subnet.id,
                route_table_id=table.id,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[way_out]),
            )
            # AWS refuses a load balancer for the internet in a subnet without a way there.
            subnets.append(pulumi.Output.all(subnet.id, association.id).apply(lambda both: str(both[0])))
        return subnets

    def _security_group(self, vpc: aws.ec2.Vpc) -> pulumi.Output[str]:
        name, args = self._name, self._args
        group = aws.ec2.SecurityGroup(
            f"{name}-load-balancer",
            name=f"{name}-load-balancer",
            region=args.region,
            description="Load balancer of the recovery site: users come in here",
            vpc_id=vpc.id,
            tags={"Name": f"{name}-load-balancer"},
            opts=self._child,
        )
        for port in [args.port] if args.certificate_arn is None else [args.port, HTTP]:
            for number, source in enumerate(args.sources):
                aws.vpc.SecurityGroupIngressRule(
                    f"{name}-users-{port}-{number}",
                    region=args.region,
                    security_group_id=group.id,
                    description=f"Users at {source}",
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    cidr_ipv4=source,
                    opts=self._child,
                )
        return group.id

    def _listeners(self, balancer: aws.lb.LoadBalancer) -> aws.lb.Listener:
        name, args = self._name, self._args
        answer = aws.lb.ListenerDefaultActionArgs(
            type="fixed-response",
            fixed_response=aws.lb.ListenerDefaultActionFixedResponseArgs(
                content_type="text/html", status_code=STATUS, message_body=args.page
            ),
        )
        if args.certificate_arn is None:
            return aws.lb.Listener(
                f"{name}-http",
                region=args.region,
                load_balancer_arn=balancer.arn,
                port=args.port,
                protocol="HTTP",
                default_actions=[answer],
                opts=self._child,
            )
        aws.lb.Listener(
            f"{name}-redirect",
            region=args.region,
            load_balancer_arn=balancer.arn,
            port=HTTP,
            protocol="HTTP",
            default_actions=[
                aws.lb.ListenerDefaultActionArgs(
                    type="redirect",
                    redirect=aws.lb.ListenerDefaultActionRedirectArgs(
                        port=str(args.port), protocol="HTTPS", status_code="HTTP_301"
                    ),
                )
            ],
            opts=self._child,
        )
        return aws.lb.Listener(
            f"{name}-https",
            region=args.region,
            load_balancer_arn=balancer.arn,
            port=args.port,
            protocol="HTTPS",
            certificate_arn=args.certificate_arn,
            ssl_policy=TLS_POLICY,
            default_actions=[answer],
            opts=self._child,
        )
