"""The load balancers that aliases lead to, as the DNS server has to know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dock.aws.elbv2 import Elbv2, names
from dock.aws.elbv2.records import LOAD_BALANCER, TARGET_GROUP

if TYPE_CHECKING:
    from dock.cloud import Cloud

# What some clients and AWS's console put in front of a load balancer's name.
_DUAL_STACK = "dualstack."


class Balancers:
    """Looks load balancers of all accounts and regions up by their DNS name, which is an address in the dock."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def find(self, name: str) -> dict[str, Any] | None:
        """`address`, the `socket` of its HAProxy (None before it has a listener) and its `groups`; None when there is
        none of this name."""
        address = name.removeprefix(_DUAL_STACK).rstrip(".")
        service = self._cloud.services.get(Elbv2.name)
        if not isinstance(service, Elbv2):
            return None
        for scope in service.records.scopes():
            for record in service.records.all(scope, LOAD_BALANCER):
                if record["Address"] == address:
                    return self._described(service, record)
        return None

    @staticmethod
    def _described(service: Elbv2, record: dict[str, Any]) -> dict[str, Any]:
        arn, scope = record["id"], names.scope_of(record["id"])
        groups = [
            names.engine_name(group["id"])
            for group in service.records.all(scope, TARGET_GROUP)
            if arn in service.records.load_balancers_of(scope, group["id"])
        ]
        listens = bool(service.records.listeners(scope, arn))
        socket = str(service.fleet.engine(arn).control) if listens else None
        return {"address": record["Address"], "socket": socket, "groups": sorted(groups)}
