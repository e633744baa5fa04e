"""Scheduled actions: other bounds at set times."""

from __future__ import annotations

import datetime as dt
import uuid
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dock.aws.application_autoscaling.base import NAMESPACE, created, page, shared
from dock.aws.application_autoscaling.policies import Policies
from dock.aws.application_autoscaling.schedule import Schedule
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record


class Scheduled(Policies):
    """Handlers of scheduled actions. An action is kept under `resource id|name`."""

    @operation(
        "PutScheduledAction",
        acts="ServiceNamespace Schedule Timezone ScheduledActionName ResourceId ScalableDimension StartTime EndTime"
        " ScalableTargetAction",
    )
    async def put_scheduled_action(self, call: Call, request: Request) -> Response:
        resource, name = self.check_resource(request), request["ScheduledActionName"]
        self.target(call.scope, resource)
        key = f"{resource}|{name}"
        before = self.actions.get(call.scope, key)
        given = dict(before["given"]) if before else {}
        for member in ("Schedule", "Timezone", "ScalableTargetAction"):
            if member in request:
                given[member] = request[member]
        for member in ("StartTime", "EndTime"):
            if member in request:
                given[member] = _seconds(request[member])
        _check(given)
        identifier = before["id"] if before else str(uuid.uuid4())
        self.actions.put(
            call.scope,
            key,
            {
                "id": identifier,
                "arn": f"arn:aws:autoscaling:{call.region}:{call.account}:scheduledAction:{identifier}:resource/"
                f"{NAMESPACE}/{resource}:scheduledActionName/{name}",
                "name": name,
                "resource": resource,
                "given": given,
                "created": created(before),
                "last": before["last"] if before else dt.datetime.now(dt.UTC).timestamp(),
            },
        )
        return {}

    @operation(
        "DescribeScheduledActions",
        acts="ScheduledActionNames ServiceNamespace ResourceId ScalableDimension MaxResults NextToken",
    )
    async def describe_scheduled_actions(self, call: Call, request: Request) -> Response:
        names = request.get("ScheduledActionNames")
        found = [
            {
                **shared(record),
                "ScheduledActionName": record["name"],
                "ScheduledActionARN": record["arn"],
                **record["given"],
            }
            for record in self.actions.list(call.scope)
            if request["ServiceNamespace"] == NAMESPACE
            and request.get("ResourceId") in (None, record["resource"])
            and (not names or record["name"] in names)
        ]
        return page(found, request, "ScheduledActions")

    @operation("DeleteScheduledAction", acts="ServiceNamespace ScheduledActionName ResourceId ScalableDimension")
    async def delete_scheduled_action(self, call: Call, request: Request) -> Response:
        key = f"{self.check_resource(request)}|{request['ScheduledActionName']}"
        if self.actions.get(call.scope, key) is None:
            raise AwsError("ObjectNotFoundException", f"No scheduled action found: {request['ScheduledActionName']}")
        self.actions.delete(call.scope, key)
        return {}

    async def forget(self, call: Call, resource: str) -> None:
        for record in self.policies.list(call.scope):
            if record["resource"] == resource:
                await self.delete_policy(call, record)
        with self.cloud.store.transaction():
            for record in self.actions.list(call.scope):
                if record["resource"] == resource:
                    self.actions.delete(call.scope, f"{resource}|{record['name']}")
            self.targets.delete(call.scope, resource)


def schedule(record: Record) -> Schedule:
    """When an action is due."""
    return Schedule(record["given"]["Schedule"], record["given"].get("Timezone", "UTC"))


def _check(given: Record) -> None:
    """Raise AwsError for an action that could never be done."""
    if "Schedule" not in given or not given.get("ScalableTargetAction"):
        raise AwsError("ValidationException", "A scheduled action needs Schedule and ScalableTargetAction.")
    action = given["ScalableTargetAction"]
    if action.get("MinCapacity", 0) > action.get("MaxCapacity", action.get("MinCapacity", 0)):
        raise AwsError("ValidationException", "Maximum capacity cannot be less than minimum capacity.")
    try:
        zone = given.get("Timezone", "UTC")
        ZoneInfo(zone)
        Schedule(given["Schedule"], zone)
    except (ValueError, ZoneInfoNotFoundError) as problem:
        raise AwsError("ValidationException", f"Invalid schedule: {problem}") from None


def _seconds(moment: dt.datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
