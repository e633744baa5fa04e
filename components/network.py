"""A VPC with public and private subnets in several availability zones."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

ANYWHERE = "0.0.0.0/0"
# The VPC is cut in 16: public subnets take the first half, private ones the second, so that a zone can be added
# without moving any subnet that exists.
_CUTS = 4
_FIRST_PRIVATE = 8

NatGateways = Literal["none", "one", "one_per_zone"]


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """`cidr` is at most a /24 (its subnets are 4 bits smaller, and AWS's smallest is a /28).

    `nat_gateways`: `one` is cheaper, `one_per_zone` survives the loss of a zone, with `none` private subnets don't
    reach the internet.
    """

    region: pulumi.Input[str]
    cidr: str
    availability_zones: Sequence[str]
    nat_gateways: NatGateways


class Network(pulumi.ComponentResource):
    """Subnets are listed in the order of `availability_zones`."""

    vpc_id: pulumi.Output[str]
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        zones = list(args.availability_zones)
        # us-east-1a → a
        letters = [zone[-1] for zone in zones]
        blocks = [str(block) for block in ipaddress.ip_network(args.cidr).subnets(prefixlen_diff=_CUTS)]

        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": name},
            opts=child,
        )
        gateway = aws.ec2.InternetGateway(f"{name}-internet", vpc_id=vpc.id, tags={"Name": name}, opts=child)

        public = [
            aws.ec2.Subnet(
                f"{name}-public-{letter}",
                vpc_id=vpc.id,
                cidr_block=blocks[number],
                availability_zone=zone,
                # What has a public address asks for one; nothing gets one by where it happens to start.
                map_public_ip_on_launch=False,
                tags={"Name": f"{name}-public-{letter}"},
                opts=child,
            )
            for number, (zone, letter) in enumerate(zip(zones, letters, strict=True))
        ]
        private = [
            aws.ec2.Subnet(
                f"{name}-private-{letter}",
                vpc_id=vpc.id,
                cidr_block=blocks[_FIRST_PRIVATE + number],
                availability_zone=zone,
                map_public_ip_on_launch=False,
                tags={"Name": f"{name}-private-{letter}"},
                opts=child,
            )
            for number, (zone, letter) in enumerate(zip(zones, letters, strict=True))
        ]

        public_table = aws.ec2.RouteTable(f"{name}-public", vpc_id=vpc.id, tags={"Name": f"{name}-public"}, opts=child)
        to_internet = aws.ec2.Route(
            f"{name}-public-internet",
            route_table_id=public_table.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=child,
        )
        for letter, subnet in zip(letters, public, strict=True):
            aws.ec2.RouteTableAssociation(
                f"{name}-public-{letter}", subnet_id=subnet.id, route_table_id=public_table.id, opts=child
            )

        doors = {"none": 0, "one": 1, "one_per_zone": len(zones)}[args.nat_gateways]
        gateways = []
        for letter, subnet in zip(letters[:doors], public[:doors], strict=True):
            address = aws.ec2.Eip(
                f"{name}-nat-{letter}", domain="vpc", tags={"Name": f"{name}-nat-{letter}"}, opts=child
            )
            gateways.append(
                aws.ec2.NatGateway(
                    f"{name}-nat-{letter}",
                    subnet_id=subnet.id,
                    allocation_id=address.id,
                    connectivity_type="public",
                    tags={"Name": f"{name}-nat-{letter}"},
                    # AWS refuses a NAT gateway in a subnet that has no way out yet.
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[to_internet]),
                )
            )

        private_tables = []
        for number, (letter, subnet) in enumerate(zip(letters, private, strict=True)):
            table = aws.ec2.RouteTable(
                f"{name}-private-{letter}", vpc_id=vpc.id, tags={"Name": f"{name}-private-{letter}"}, opts=child
            )
            private_tables.append(table)
            if gateways:
                aws.ec2.Route(
                    f"{name}-private-{letter}-nat",
                    route_table_id=table.id,
                    destination_cidr_block=ANYWHERE,
                    nat_gateway_id=gateways[min(number, len(gateways) - 1)].id,
                    opts=child,
                )
            aws.ec2.RouteTableAssociation(
                f"{name}-private-{letter}", subnet_id=subnet.id, route_table_id=table.id, opts=child
            )

        # Image layers come from S3: through the endpoint they cost nothing and don't load the NAT gateways.
        aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=pulumi.Output.concat("com.amazonaws.", args.region, ".s3"),
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in private_tables],
            tags={"Name": f"{name}-s3"},
            opts=child,
        )

        self.vpc_id = vpc.id
        self.public_subnet_ids = [subnet.id for subnet in public]
        self.private_subnet_ids = [subnet.id for subnet in private]
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "public_subnet_ids": self.public_subnet_ids,
                "private_subnet_ids": self.private_subnet_ids,
            }
        )
