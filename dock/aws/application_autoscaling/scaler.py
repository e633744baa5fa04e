"""What scales: looks at alarms and clocks, and has ECS run more tasks or fewer."""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from typing import Any

from dock.aws.application_autoscaling import capacity
from dock.aws.application_autoscaling.base import ACTIVITY_SECONDS, NAMESPACE, page, shared
from dock.aws.application_autoscaling.scheduled import Scheduled, schedule
from dock.aws.cloudwatch import CloudWatch
from dock.aws.ecs import Ecs
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Scope

log = logging.getLogger(__name__)

# So long ECS has to run what it was asked for, before the activity counts as failed.
FULFIL_SECONDS = 1800.0


class Scaler(Scheduled):
    """`called` is called by alarms, `look` every few seconds. All that they decide by is in the store."""

    async def start(self) -> None:
        self.cloud.service(CloudWatch).register_action("arn:aws:autoscaling:", self.called, repeats=True)

    @operation(
        "DescribeScalingActivities",
        acts="ServiceNamespace ResourceId ScalableDimension MaxResults NextToken IncludeNotScaledActivities",
    )
    async def describe_scaling_activities(self, call: Call, request: Request) -> Response:
        found = [
            {
                **{key: value for key, value in shared(record).items() if key != "CreationTime"},
                "ActivityId": record["id"],
                "Description": record["description"],
                "Cause": record["cause"],
                "StartTime": record["created"],
                "EndTime": record["ended"],
                "StatusCode": record["status"],
                "StatusMessage": record["message"],
                "NotScaledReasons": record["reasons"] or None,
            }
            for record in sorted(self.activities.list(call.scope), key=lambda record: -record["created"])
            if request["ServiceNamespace"] == NAMESPACE
            and request.get("ResourceId") in (None, record["resource"])
            and (not record["reasons"] or request.get("IncludeNotScaledActivities"))
        ]
        return page(found, request, "ScalingActivities")

    async def look(self, now: float) -> None:
        """Do what is due at `now` (seconds since the epoch)."""
        self._conclude(now)
        for scope, _, action in self.actions.all():
            await self._schedule(scope, action, now)

    async def called(self, scope: Scope, arn: str, notification: dict[str, Any]) -> None:
        """What CloudWatch does when an alarm that names a policy fires, and again for as long as it does."""
        policy = next((record for record in self.policies.list(scope) if record["arn"] == arn), None)
        if policy is None:
            raise AwsError("ObjectNotFoundException", f"There is no scaling policy {arn}.")
        ringing = {alarm["AlarmName"]: alarm for alarm in await self.alarms(scope, StateValue="ALARM")}
        alarm = ringing.get(notification["AlarmName"])
        value = await self._value(scope, alarm) if alarm is not None else None
        if alarm is not None and value is not None:
            await self._apply(scope, policy, alarm, value, ringing, time.time())

    async def _value(self, scope: Scope, alarm: dict[str, Any]) -> float | None:
        """The newest value of an alarm's metric, None when there is none of late."""
        queries = alarm.get("Metrics")
        if not queries:
            keys = ("Namespace", "MetricName", "Dimensions")
            statistic = {
                "Metric": {key: alarm[key] for key in keys if key in alarm},
                "Period": alarm["Period"],
                "Stat": alarm.get("Statistic") or alarm["ExtendedStatistic"],
            }
            queries = [{"Id": "m1", "MetricStat": statistic, "ReturnData": True}]
        end = dt.datetime.now(dt.UTC)
        begin = end - dt.timedelta(seconds=max(alarm.get("Period", 60), 60) * 5)
        answer = await self.ask_cloudwatch(
            scope,
            "GetMetricData",
            {"MetricDataQueries": queries, "StartTime": begin, "EndTime": end, "ScanBy": "TimestampDescending"},
        )
        values = [value for result in answer["MetricDataResults"] for value in result["Values"]]
        return float(values[0]) if values else None

    async def _apply(
        self,
        scope: Scope,
        policy: Record,
        alarm: dict[str, Any],
        value: float,
        ringing: dict[str, Any],
        now: float,
    ) -> None:
        """Work out what a policy that was called wants, and do it unless something stands against it."""
        resource, configuration = policy["resource"], policy["configuration"]
        target, service = self.targets.get(scope, resource), self.scaled(scope, resource)
        if target is None or service is None:
            return
        current = service.desired
        cooldown = target["cooldown"]
        cooling = cooldown is not None and now < cooldown["until"]
        # What an earlier step added counts for the next one: it has not had its effect on the metric yet.
        base = cooldown["before"] if cooling and cooldown["out"] else current
        wanted: int | None
        if policy["kind"] == "StepScaling":
            wanted = capacity.stepped(base, configuration, value - alarm["Threshold"])
        else:
            wanted = capacity.tracked(base, value, configuration["TargetValue"])
        if wanted is None:
            return
        cause = f"monitor alarm {alarm['AlarmName']} in state ALARM triggered policy {policy['name']}"
        out = wanted > base if policy["kind"] == "StepScaling" else "-AlarmHigh-" in alarm["AlarmName"]
        bounded = max(target["min"], min(target["max"], wanted))
        if out and bounded <= current:
            if current >= target["max"]:
                self._refuse(scope, target, cause, "AlreadyAtMaxCapacity", current, now)
            return
        if not out:
            if policy["kind"] == "TargetTrackingScaling" and not self._all_agree(scope, policy, ringing):
                return
            bounded = min(bounded, current)
            if current <= target["min"]:
                self._refuse(scope, target, cause, "AlreadyAtMinCapacity", current, now)
                return
            if bounded >= current or cooling:
                return
        suspended = "DynamicScalingOutSuspended" if out else "DynamicScalingInSuspended"
        if target["suspended"].get(suspended):
            return
        seconds = configuration.get("Cooldown", configuration.get("ScaleOutCooldown" if out else "ScaleInCooldown"))
        if await self._set(scope, target, bounded, cause, now):
            target = self.target(scope, resource)
            target["cooldown"] = {"until": now + float(seconds or 0), "before": base, "out": out}
            self.targets.put(scope, resource, target)

    def _all_agree(self, scope: Scope, policy: Record, ringing: dict[str, Any]) -> bool:
        """Fewer tasks only when every target tracking policy that may scale in wants fewer."""
        tracking = [
            each
            for each in self.policies.list(scope)
            if each["resource"] == policy["resource"] and each["kind"] == "TargetTrackingScaling"
        ]
        if policy["configuration"]["DisableScaleIn"]:
            return False
        return all(
            any("-AlarmLow-" in alarm["AlarmName"] and alarm["AlarmName"] in ringing for alarm in each["alarms"])
            for each in tracking
            if not each["configuration"]["DisableScaleIn"]
        )

    async def _schedule(self, scope: Scope, action: Record, now: float) -> None:
        given = action["given"]
        target = self.targets.get(scope, action["resource"])
        if target is None or not given.get("StartTime", 0.0) <= now <= given.get("EndTime", now):
            return
        due = schedule(action).due(action["last"], given.get("StartTime", action["created"]), now)
        if due is None:
            return
        action["last"] = due
        self.actions.put(scope, f"{action['resource']}|{action['name']}", action)
        cause = f"scheduled action name {action['name']} was triggered"
        if target["suspended"].get("ScheduledScalingSuspended"):
            return
        bounds = given["ScalableTargetAction"]
        target["min"] = bounds.get("MinCapacity", target["min"])
        target["max"] = max(bounds.get("MaxCapacity", target["max"]), target["min"])
        self.targets.put(scope, action["resource"], target)
        service = self.scaled(scope, action["resource"])
        if service is not None:
            wanted = max(target["min"], min(target["max"], service.desired))
            if wanted != service.desired:
                await self._set(scope, target, wanted, cause, now)

    async def _set(self, scope: Scope, target: Record, count: int, cause: str, now: float) -> bool:
        """Have it done; the activity is in progress until that many tasks run."""
        activity = _activity(target, f"Setting desired count to {count}.", cause, now)
        activity["count"] = count
        try:
            await self.set_desired(scope, target["resource"], count)
        except AwsError as problem:
            message = f"Failed to set desired count to {count}. Reason: {problem.message}"
            activity |= {"status": "Failed", "message": message, "ended": now}
            self.activities.put(scope, activity["id"], activity)
            return False
        activity["message"] = f"Successfully set desired count to {count}. Waiting for change to be fulfilled by ecs."
        self.activities.put(scope, activity["id"], activity)
        log.info("%s: %s tasks, because %s", target["resource"], count, cause)
        return True

    def _refuse(self, scope: Scope, target: Record, cause: str, code: str, current: int, now: float) -> None:
        """Note that nothing was done, once for as long as it is so."""
        reason = {
            "Code": code,
            "MinCapacity": target["min"],
            "MaxCapacity": target["max"],
            "CurrentCapacity": current,
        }
        mine = [each for each in self.activities.list(scope) if each["resource"] == target["resource"]]
        newest = max(mine, key=lambda each: float(each["created"]), default=None)
        if newest is not None and newest["reasons"] == [reason]:
            return
        activity = _activity(target, "Attempting to scale due to alarm triggered", cause, now)
        activity |= {"status": "Failed", "message": "Not scaled", "ended": now, "reasons": [reason]}
        self.activities.put(scope, activity["id"], activity)

    def _conclude(self, now: float) -> None:
        """Note which activities are done, and forget those that nobody can ask for any more."""
        for scope, identifier, activity in self.activities.all():
            if now - activity["created"] > ACTIVITY_SECONDS:
                self.activities.delete(scope, identifier)
            if activity["status"] != "InProgress":
                continue
            service = self.scaled(scope, activity["resource"])
            count = activity["count"]
            if service is not None and service.desired == count and self._running(scope, service.key) == count:
                message = f"Successfully set desired count to {count}. Change successfully fulfilled by ecs."
                activity |= {"status": "Successful", "message": message, "ended": now}
            elif service is None or service.desired != count:
                message = "A later change took the place of this one." if service else "The service is gone."
                activity |= {"status": "Overridden" if service else "Failed", "message": message, "ended": now}
            elif now - activity["created"] > FULFIL_SECONDS:
                activity |= {"status": "Unfulfilled", "ended": now}
            else:
                continue
            self.activities.put(scope, identifier, activity)

    def _running(self, scope: Scope, key: str) -> int:
        tasks = self.cloud.service(Ecs).tasks
        return sum(
            1 for task in tasks if task.scope == scope and task.service_key == key and task.last_status == "RUNNING"
        )


def _activity(target: Record, description: str, cause: str, now: float) -> Record:
    return {
        "id": str(uuid.uuid4()),
        "resource": target["resource"],
        "description": description,
        "cause": cause,
        "created": now,
        "ended": None,
        "status": "InProgress",
        "message": None,
        "reasons": [],
        "count": None,
    }
