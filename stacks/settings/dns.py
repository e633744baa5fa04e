"""The service's name, and where it leads when the primary region doesn't serve."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from stacks.domain import AvailabilityZone, CertificateArn, Expected, Hostname, Part, VpcCidr, whole

HostedZoneId = Annotated[
    str, Field(pattern=r"^Z[A-Z0-9]{1,31}$"), Expected("the id of a public hosted zone", "Z0123456789ABCDEFGHIJ")
]


class RecoverySite(Part):
    """A load balancer in the recovery region that says that we will be back."""

    cidr: VpcCidr
    """Must not overlap `network.cidr`: one day both are connected."""
    availability_zones: Annotated[tuple[AvailabilityZone, ...], Field(min_length=2, max_length=6)]
    """Of the recovery region."""
    certificate_arn: CertificateArn | None = None
    """Of the recovery region; there when the listener has one."""

    def contradictions(self) -> Iterator[str]:
        if len(set(self.availability_zones)) != len(self.availability_zones):
            yield "availability_zones names a zone twice"
        if not ipaddress.ip_network(self.cidr).is_private:
            yield f"cidr: {self.cidr} is public; take one of 10.0.0.0/8, for example"

    def misplaced(self, region: str, account: str) -> Iterator[str]:
        """What is elsewhere than in this region and account."""
        certificate = self.certificate_arn
        if certificate is not None and certificate.split(":")[3:5] != [region, account]:
            yield f"dns.recovery_site.certificate_arn: it must be of region {region} and account {account}"
        for zone in self.availability_zones:
            if zone[:-1] != region:
                yield f"dns.recovery_site.availability_zones: {zone} is not in region {region}"


class Dns(Part):
    zone: Hostname
    """The public zone that the name is in."""
    zone_id: HostedZoneId | None = None
    """An existing zone's; without it the zone is made."""
    record: Hostname
    """The service's name."""
    interval_seconds: Annotated[Literal[10, 30], Expected("seconds between two checks of one region", 10)]
    failure_threshold: whole(1, 10, "failures in a row", 3)  # type: ignore[valid-type]
    """So many failures, and the name leads to the recovery site."""
    insufficient_data: Literal["Healthy", "Unhealthy", "LastKnownStatus"]
    """What an alarm that has no data says of the primary's health."""
    accelerated_recovery: bool
    """Whether the zone's records can be changed again within about an hour when us-east-1 is lost."""
    recovery_site: RecoverySite

    def contradictions(self) -> Iterator[str]:
        if self.record != self.zone and not self.record.endswith(f".{self.zone}"):
            yield f"record: {self.record} is not in zone {self.zone}"
        if self.zone_id is not None and self.accelerated_recovery:
            yield "accelerated_recovery is the existing zone's own matter: set it to false, or leave out zone_id"

    def against(self, cidr: str | None, certificate: str | None, hostname: str | None) -> Iterator[str]:
        """What doesn't fit the network, whose block is not known where it exists already, and the listener."""
        site = self.recovery_site
        if hostname is not None and hostname != self.record:
            yield f"dns.record: the listener's hostname is {hostname}, and its certificate is for that name"
        if (certificate is None) != (site.certificate_arn is None):
            yield "dns.recovery_site.certificate_arn: given if, and only if, listener.certificate_arn is"
        if cidr is not None and ipaddress.ip_network(site.cidr).overlaps(ipaddress.ip_network(cidr)):
            yield f"dns.recovery_site.cidr: {site.cidr} overlaps network.cidr {cidr}"
