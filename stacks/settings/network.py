"""Where an environment lives in AWS's network, and where its users come in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from stacks.domain import AvailabilityZone, CertificateArn, Cidr, Hostname, Part, Port, VpcCidr

ANYWHERE = "0.0.0.0/0"
HTTPS = 443


class Network(Part):
    cidr: VpcCidr
    availability_zones: Annotated[tuple[AvailabilityZone, ...], Field(min_length=2, max_length=6)]
    """At least two: a load balancer and a Multi-AZ database want them."""
    nat_gateways: Literal["none", "one", "one_per_zone"]
    """`one` is cheaper; `one_per_zone` survives the loss of a zone."""

    def against(self, region: str) -> Iterator[str]:
        """What doesn't fit the region."""
        if len(set(self.availability_zones)) != len(self.availability_zones):
            yield "network.availability_zones names a zone twice"
        for zone in self.availability_zones:
            if zone[:-1] != region:
                yield f"network.availability_zones: {zone} is not in region {region}"
        if not ipaddress.ip_network(self.cidr).is_private:
            yield f"network.cidr: {self.cidr} is public; take one of 10.0.0.0/8, for example"


class Listener(Part):
    """Where users come in. With a certificate it speaks HTTPS, and port 80 leads there."""

    port: Port
    certificate_arn: CertificateArn | None = None
    hostname: Hostname | None = None
    """The name that the certificate is for; without a certificate the load balancer's own is used."""
    sources: Annotated[tuple[Cidr, ...], Field(min_length=1)]
    """Who may come in: CIDR blocks."""

    def contradictions(self) -> Iterator[str]:
        if (self.certificate_arn is None) != (self.hostname is None):
            yield "certificate_arn and hostname come together: the certificate is for that name"
        if ANYWHERE in self.sources and (self.certificate_arn is None or self.port != HTTPS):
            yield f"sources: {ANYWHERE} lets everybody in, which takes HTTPS: certificate_arn, hostname, port: {HTTPS}"
