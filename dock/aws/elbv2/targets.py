"""Targets: registered, checked, drained; and what ECS asks in process."""

from __future__ import annotations

import ipaddress
import time
from typing import Any

from dock.aws.elbv2 import attributes, desire, names, target_health
from dock.aws.elbv2.part import Part
from dock.aws.elbv2.records import TARGET, TARGET_GROUP, Change
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.haproxy.model import Target
from dock.store import Record, Scope

MAX_TARGETS = 1000


class Targets(Part):
    """RegisterTargets, DeregisterTargets, DescribeTargetHealth."""

    @operation("RegisterTargets", acts="TargetGroupArn Targets")
    async def register_targets(self, call: Call, request: Request) -> Response:
        group = self.records.get(call.scope, TARGET_GROUP, request["TargetGroupArn"])
        await self._register(call.scope, group, [_target(group, asked) for asked in request["Targets"]])
        return {}

    @operation("DeregisterTargets", acts="TargetGroupArn Targets")
    async def deregister_targets(self, call: Call, request: Request) -> Response:
        group = self.records.get(call.scope, TARGET_GROUP, request["TargetGroupArn"])
        await self._deregister(call.scope, group, [_target(group, asked) for asked in request["Targets"]])
        return {}

    @operation("DescribeTargetHealth", acts="TargetGroupArn Targets")
    async def describe_target_health(self, call: Call, request: Request) -> Response:
        group = self.records.get(call.scope, TARGET_GROUP, request["TargetGroupArn"])
        await self.fleet.refresh(call.scope, group["id"])
        health = self._target_health(call.scope, group)
        if request.get("Targets"):
            asked = [_target(group, each) for each in request["Targets"]]
            health = {target: health.get(target, target_health.NOT_REGISTERED) for target in asked}
        return {
            "TargetHealthDescriptions": [
                {
                    "Target": {"Id": target.address, "Port": target.port},
                    "HealthCheckPort": (
                        str(target.port) if group["HealthCheckPort"] == "traffic-port" else group["HealthCheckPort"]
                    ),
                    "TargetHealth": found,
                }
                for target, found in sorted(health.items())
            ]
        }

    async def register(self, target_group_arn: str, ip: str, port: int) -> None:
        """Send traffic to this target once it is healthy. Raises AwsError."""
        scope = names.scope_of(target_group_arn)
        group = self.records.get(scope, TARGET_GROUP, target_group_arn)
        await self._register(scope, group, [_target(group, {"Id": ip, "Port": port})])

    async def deregister(self, target_group_arn: str, ip: str, port: int) -> None:
        """Send no new traffic to this target; returns when it has nothing more to do, or at the end of the delay."""
        scope = names.scope_of(target_group_arn)
        group = self.records.find(scope, TARGET_GROUP, target_group_arn)
        if group is None:
            return
        for event in await self._deregister(scope, group, [Target(ip, port)]):
            await event.wait()

    def health(self, target_group_arn: str) -> dict[tuple[str, int], str]:
        """The state of each target, as of a second ago: initial, healthy, unhealthy, draining, unused."""
        scope = names.scope_of(target_group_arn)
        group = self.records.get(scope, TARGET_GROUP, target_group_arn)
        states = self._target_health(scope, group)
        return {(target.address, target.port): str(found["State"]) for target, found in states.items()}

    def _target_health(self, scope: Scope, group: Record) -> dict[Target, dict[str, Any]]:
        checked = self.fleet.health(scope, group["id"])
        check = desire.health_check(group)
        found: dict[Target, dict[str, Any]] = {}
        for record in self.records.targets(scope, group["id"]):
            target = desire.target(record)
            if record["draining_until"] is not None:
                found[target] = target_health.DRAINING
            elif checked is None:
                found[target] = target_health.NOT_IN_USE
            else:
                seconds = self.fleet.checked_for(group["id"], target, record["registered"])
                found[target] = target_health.checked(checked.get(target), check, seconds)
        return found

    async def _register(self, scope: Scope, group: Record, targets: list[Target]) -> None:
        async with self.fleet.lock:
            change = Change()
            fresh = []
            for target in targets:
                identifier = f"{group['id']} {target.name}"
                known = self.records.find(scope, TARGET, identifier)
                if known is None or known["draining_until"] is not None:
                    fresh.append(target)
                    record = {
                        "id": identifier,
                        "group": group["id"],
                        "address": target.address,
                        "port": target.port,
                        "registered": time.time(),
                        "draining_until": None,
                    }
                    change.put(TARGET, identifier, record)
            if len(self.records.targets(scope, group["id"], change)) > MAX_TARGETS:
                raise AwsError("TooManyTargetsException", f"A target group can have {MAX_TARGETS} targets")
            if fresh:
                await self.fleet.commit(scope, change)
                for target in fresh:
                    self.fleet.undrain(group["id"], target)
                self.fleet.check_first(scope, group["id"], fresh)

    async def _deregister(self, scope: Scope, group: Record, targets: list[Target]) -> list[Any]:
        """Begin to drain; the events tell when each has nothing more to do."""
        text = attributes.value(group["Attributes"], attributes.TARGET_GROUP, "deregistration_delay.timeout_seconds")
        async with self.fleet.lock:
            in_use = bool(self.records.load_balancers_of(scope, group["id"]))
            change = Change()
            draining = []
            for target in targets:
                identifier = f"{group['id']} {target.name}"
                record = self.records.find(scope, TARGET, identifier)
                if record is None:
                    continue
                if not in_use:
                    change.delete(TARGET, identifier)
                    continue
                if record["draining_until"] is None:
                    record["draining_until"] = time.time() + int(text)
                    change.put(TARGET, identifier, record)
                draining.append(record)
            if change.entries:
                await self.fleet.commit(scope, change)
            return [self.fleet.drain(scope, record) for record in draining]


def _target(group: Record, asked: dict[str, Any]) -> Target:
    """The target that a caller names; its port is the group's unless given. Raises AwsError."""
    if asked.get("AvailabilityZone", "all") != "all":
        raise AwsError(
            "InvalidTargetException", "the dock has no zones to register a target in: leave it out, or 'all'"
        )
    try:
        address = ipaddress.IPv4Address(asked["Id"])
    except ValueError:
        raise AwsError("InvalidTargetException", f"Target id '{asked['Id']}' is not an IPv4 address") from None
    if not address.is_loopback:
        raise AwsError(
            "InvalidTargetException", f"Target '{address}': the dock's load balancers reach loopback addresses only"
        )
    return Target(str(address), int(asked.get("Port") or group["Port"]))
