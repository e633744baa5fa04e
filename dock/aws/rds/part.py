"""What the parts of the service share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dock.aws.rds.fleet import Fleet
from dock.aws.rds.records import Records
from dock.aws.service import Service

if TYPE_CHECKING:
    from dock.cloud import Cloud


class Part(Service):
    """One group of RDS's operations; `Rds` is made of all of them."""

    name: ClassVar[str] = "rds"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.records = Records(cloud.store)
        self.fleet = Fleet(cloud, self.records)
