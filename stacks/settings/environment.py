"""One environment's settings, put together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from stacks import platforms
from stacks.domain import Account, Expected, Name, Part, Region, either
from stacks.problems import UNFIT
from stacks.settings.access import Access
from stacks.settings.alarms import Alarms
from stacks.settings.backups import Audit, Backups
from stacks.settings.cache import Cache
from stacks.settings.database import Database
from stacks.settings.dns import Dns
from stacks.settings.edge import Edge
from stacks.settings.existing import ExistingDatabase, ExistingNetwork, ResourceName
from stacks.settings.money import Budget
from stacks.settings.network import Listener, Network
from stacks.settings.policy import Calendar, Policy
from stacks.settings.protection import Protection
from stacks.settings.service import Service


class Settings(Part):
    """One environment. Which platform it is of, where it lives, and how big and how careful it is."""

    kind: Annotated[Literal["environment"], Expected("what the stack is: environment or control", "environment")] = (
        "environment"
    )
    """What the stack is."""
    platform: Name
    environment: Name
    """The stack's own name."""
    account: Account
    region: Region
    recovery_region: Region
    """Where operations go when `region` is lost."""
    protection: Protection
    network: either(Network, ExistingNetwork)  # type: ignore[valid-type]
    listener: Listener
    dns: Dns
    edge: Edge | None = None
    """Cloudflare in front; without it users come to the load balancer."""
    service: Service
    database: either(Database, ExistingDatabase)  # type: ignore[valid-type]
    cache: Cache
    backups: Backups
    audit: Audit
    budget: Budget
    alarms: Alarms
    access: Access
    policy: Policy
    calendar: Calendar
    adopt: dict[ResourceName, str] = Field(default_factory=dict)
    """Resources of the program that exist already, with the ids by which they are imported. They are protected, and
    stay when they leave the program."""

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
            for part, data in (("database", self.database), ("cache", self.cache)):
                if not isinstance(data, ExistingDatabase) and not data.final_snapshot:
                    yield f"{part}.final_snapshot is false although data are protected: set it to true"
        else:
            sentence = f"{self.platform} {self.environment} may lose its data"
            if self.protection.acknowledgement != sentence:
                yield f'protection.data is false: confirm it with protection.acknowledgement: "{sentence}"'
        yield from self.backups.against(f"{self.platform} {self.environment}", self.protection.data)
        if self.recovery_region == self.region:
            yield "recovery_region must be another region than region"
        network = self.network
        if isinstance(network, Network):
            yield from network.against(self.region)
        certificate = self.listener.certificate_arn
        # With an edge, users ask for its name, and `dns.record` is the edge's business.
        yield from self.dns.against(
            None if isinstance(network, ExistingNetwork) else network.cidr,
            certificate,
            None if self.edge else self.listener.hostname,
        )
        if self.edge is not None:
            yield from self.edge.against(self.dns.record, certificate, self.listener.hostname)
        if self.recovery_region != self.region:
            yield from self.dns.recovery_site.misplaced(self.recovery_region, self.account)
        if certificate is not None and certificate.split(":")[3:5] != [self.region, self.account]:
            yield f"listener.certificate_arn: it must be of region {self.region} and account {self.account}"
