"""What all parts of CloudWatch stand on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dock.aws.cloudwatch.archive import Archive
from dock.aws.cloudwatch.datum import Datum, Metric, dimensions_of
from dock.aws.service import Service
from dock.store import Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud


class Base(Service):
    """The archive and the clock."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.archive = Archive(cloud.home.data("cloudwatch"))

    def now(self) -> float:
        """Seconds since the epoch, UTC. Tests put a clock of their own here."""
        return time.time()

    def record(self, scope: Scope, namespace: str, datum: Datum) -> None:
        """What engines of the dock call: takes a sample of a metric, for example of `AWS/RDS`. It never blocks; the
        sample is on disk after a second. Raises ValueError for a datum without values."""
        at = self.now() if datum.at is None else datum.at
        metric = Metric(scope, namespace, datum.name, dimensions_of(datum.dimensions))
        self.archive.add(metric, at, 1, datum.unit, datum.distribution())
