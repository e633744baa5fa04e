"""In which availability zone a task runs: spread over the zones of its subnets, never in one that is down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dock.aws.ecs.records import Shelf, Task
from dock.store import Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud

NO_CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone."


class Placement:
    """Knows the zones of the subnets that tasks were ever placed in."""

    def __init__(self, cloud: Cloud, tasks: Shelf[Task]) -> None:
        self._cloud = cloud
        self._tasks = tasks
        self._zones = cloud.store.table("ecs/subnet-zone")

    def learn(self, scope: Scope, subnets: list[dict[str, Any]]) -> None:
        """Keep what EC2 says of subnets, so that a task can be placed while EC2's API does not answer."""
        for subnet in subnets:
            known = {"zone": subnet["AvailabilityZone"]}
            if self._zones.get(scope, subnet["SubnetId"]) != known:
                self._zones.put(scope, subnet["SubnetId"], known)

    def zone(self, scope: Scope, network: dict[str, Any], group: str) -> str | None:
        """The zone for the next task of a group (a service, a family): the one with fewest of them. None when every
        zone of the network is down, or a fault keeps the service down."""
        faults = self._cloud.faults
        if group.startswith("service:") and faults.keeps_down("service", group.removeprefix("service:"), scope):
            return None
        zones = [zone for zone in self._of(scope, network) if not faults.zone_is_down(scope.account, zone)]
        there = [
            task.zone
            for task in self._tasks
            if task.scope == scope and task.group == group and task.desired_status == "RUNNING"
        ]
        return min(zones, key=lambda zone: (there.count(zone), zone), default=None)

    def _of(self, scope: Scope, network: dict[str, Any]) -> set[str]:
        subnets = network.get("awsvpcConfiguration", {}).get("subnets", [])
        known = [self._zones.get(scope, subnet) for subnet in subnets]
        # Before the dock kept zones it took the region's first.
        return {record["zone"] for record in known if record} or {f"{scope.region}a"}
