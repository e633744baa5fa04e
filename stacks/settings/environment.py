"""One environment's settings, put together."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from stacks import platforms
from stacks.domain import Account, Name, Part, Region
from stacks.problems import UNFIT
from stacks.settings.cache import Cache
from stacks.settings.database import Database
from stacks.settings.network import Listener, Network
from stacks.settings.policy import Calendar, Policy
from stacks.settings.protection import Protection
from stacks.settings.service import Service


class Settings(Part):
    """One environment. Which platform it is of, where it lives, and how big and how careful it is."""

    platform: Name
    environment: Name
    """The stack's own name."""
    account: Account
    region: Region
    recovery_region: Region
    """Where operations go when `region` is lost."""
    protection: Protection
    network: Network
    listener: Listener
    service: Service
    database: Database
    cache: Cache
    policy: Policy
    calendar: Calendar

    @field_validator("platform")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in platforms.names():
            raise PydanticCustomError(UNFIT, f"is not among {', '.join(platforms.names())}")
        return name

    @field_validator("environment")
    @classmethod
    def _is_the_stack(cls, name: str, info: ValidationInfo) -> str:
        stack = (info.context or {}).get("stack", name)
        if name != stack:
            raise PydanticCustomError(UNFIT, f"is not the stack's name, {stack}")
        return name

    def contradictions(self) -> Iterator[str]:
        if self.protection.data:
            for part, kept in (("database", self.database.final_snapshot), ("cache", self.cache.final_snapshot)):
                if not kept:
                    yield f"{part}.final_snapshot is false although data are protected: set it to true"
        else:
            sentence = f"{self.platform} {self.environment} may lose its data"
            if self.protection.acknowledgement != sentence:
                yield f'protection.data is false: confirm it with protection.acknowledgement: "{sentence}"'
        if self.recovery_region == self.region:
            yield "recovery_region must be another region than region"
        zones = self.network.availability_zones
        if len(set(zones)) != len(zones):
            yield "network.availability_zones names a zone twice"
        for zone in zones:
            if zone[:-1] != self.region:
                yield f"network.availability_zones: {zone} is not in region {self.region}"
        if not ipaddress.ip_network(self.network.cidr).is_private:
            yield f"network.cidr: {self.network.cidr} is public; take one of 10.0.0.0/8, for example"
        certificate = self.listener.certificate_arn
        if certificate is not None and certificate.split(":")[3:5] != [self.region, self.account]:
            yield f"listener.certificate_arn: it must be of region {self.region} and account {self.account}"
