"""Health checks: made, changed, removed, and what their checkers saw."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dock.aws.route53 import check_config, names
from dock.aws.route53.part import Part
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.engines.dns import DnsServerError
from dock.store import Record, Scope

MAX_PAGE = 100
MAX_CHECKS = 200
_STATISTICS = ("Average", "Maximum", "Minimum", "SampleCount", "Sum")
_IMMUTABLE = ("HealthCheckId", "HealthCheckVersion", "ResetElements")


class HealthChecks(Part):
    """CreateHealthCheck and its kin."""

    @operation("CreateHealthCheck", acts="CallerReference HealthCheckConfig")
    async def create_health_check(self, call: Call, request: Request) -> Response:
        scope = self.scope(call)
        config = check_config.complete(request["HealthCheckConfig"])
        reference = f"check {request['CallerReference']}"
        if (used := self.records.references.get(scope, reference)) is not None:
            kept = self.records.checks.get(scope, used["id"])
            if kept is not None and kept["version"] == 1 and kept["config"] == config:
                return self._created(kept)
            raise AwsError(
                "HealthCheckAlreadyExists",
                "A health check with this caller reference was made before, with other settings or deleted since",
            )
        if len(self.records.checks.list(scope)) >= MAX_CHECKS:
            raise AwsError("TooManyHealthChecks", f"An account can have {MAX_CHECKS} health checks")
        alarm = await self._referred(call, scope, config)
        check: Record = {
            "id": str(uuid.uuid4()),
            "reference": request["CallerReference"],
            "version": 1,
            "config": config,
            "alarm": alarm,
            "created": time.time(),
        }
        with self.records.changing():
            self.records.references.put(scope, reference, {"id": check["id"]})
            self.records.checks.put(scope, check["id"], check)
        self.plane.changed()
        return self._created(check)

    @operation(
        "UpdateHealthCheck",
        acts="HealthCheckId HealthCheckVersion IPAddress Port ResourcePath FullyQualifiedDomainName SearchString"
        " FailureThreshold Inverted Disabled HealthThreshold ChildHealthChecks EnableSNI Regions AlarmIdentifier"
        " InsufficientDataHealthStatus ResetElements",
    )
    async def update_health_check(self, call: Call, request: Request) -> Response:
        scope = self.scope(call)
        check = self.records.check(scope, request["HealthCheckId"])
        if request.get("HealthCheckVersion", check["version"]) != check["version"]:
            raise AwsError(
                "HealthCheckVersionMismatch",
                f"The version is {check['version']}, not {request['HealthCheckVersion']}: somebody changed it",
            )
        config = {
            name: value for name, value in check["config"].items() if name not in request.get("ResetElements", [])
        }
        config |= {name: value for name, value in request.items() if name not in _IMMUTABLE}
        config = check_config.complete(config)
        if config != check["config"]:
            alarm = await self._referred(call, scope, config)
            # Somebody may have been quicker while the alarm was looked for.
            if self.records.check(scope, check["id"])["version"] != check["version"]:
                raise AwsError("HealthCheckVersionMismatch", "somebody changed the health check meanwhile")
            check = {**check, "config": config, "alarm": alarm, "version": check["version"] + 1}
            with self.records.changing():
                self.records.checks.put(scope, check["id"], check)
            self.plane.changed()
        return {"HealthCheck": _described(check)}

    @operation("GetHealthCheck", acts="HealthCheckId")
    async def get_health_check(self, call: Call, request: Request) -> Response:
        return {"HealthCheck": _described(self.records.check(self.scope(call), request["HealthCheckId"]))}

    @operation("ListHealthChecks", acts="Marker MaxItems")
    async def list_health_checks(self, call: Call, request: Request) -> Response:
        most, marker = names.limit(request, MAX_PAGE), request.get("Marker", "")
        found = [check for check in self.records.checks.list(self.scope(call)) if check["id"] >= marker]
        answer = {
            "HealthChecks": [_described(check) for check in found[:most]],
            "Marker": marker,
            "IsTruncated": len(found) > most,
            "MaxItems": str(most),
        }
        return {**answer, "NextMarker": found[most]["id"]} if len(found) > most else answer

    @operation("GetHealthCheckCount")
    async def get_health_check_count(self, call: Call, request: Request) -> Response:
        return {"HealthCheckCount": len(self.records.checks.list(self.scope(call)))}

    @operation("DeleteHealthCheck", acts="HealthCheckId")
    async def delete_health_check(self, call: Call, request: Request) -> Response:
        scope, identifier = self.scope(call), request["HealthCheckId"]
        self.records.check(scope, identifier)
        for other in self.records.checks.list(scope):
            if identifier in other["config"].get("ChildHealthChecks", []):
                raise AwsError("HealthCheckInUse", f"The health check {other['id']} monitors it: change that one first")
        with self.records.changing():
            self.records.checks.delete(scope, identifier)
            self.records.tags.delete(scope, f"healthcheck {identifier}")
        self.plane.changed()
        return {}

    @operation("GetHealthCheckStatus", acts="HealthCheckId")
    async def get_health_check_status(self, call: Call, request: Request) -> Response:
        observed = await self._observations(call, request)
        return {"HealthCheckObservations": [_observation(entry, "text", "at") for entry in observed]}

    @operation("GetHealthCheckLastFailureReason", acts="HealthCheckId")
    async def get_health_check_last_failure_reason(self, call: Call, request: Request) -> Response:
        observed = [entry for entry in await self._observations(call, request) if entry["failure"]]
        return {"HealthCheckObservations": [_observation(entry, "failure", "failed_at") for entry in observed]}

    @operation("GetCheckerIpRanges")
    async def get_checker_ip_ranges(self, call: Call, request: Request) -> Response:
        return {"CheckerIpRanges": [f"{address}/32" for address in self.plane.checkers.values()]}

    async def _observations(self, call: Call, request: Request) -> list[dict[str, Any]]:
        self.records.check(self.scope(call), request["HealthCheckId"])
        try:
            return await self.plane.observations(request["HealthCheckId"])
        except DnsServerError as problem:
            raise AwsError("InternalFailure", f"the health checkers don't answer: {problem}", 500) from None

    def _created(self, check: Record) -> Response:
        location = f"{self.cloud.url}/2013-04-01/healthcheck/{check['id']}"
        return {"HealthCheck": _described(check), "Location": location}

    async def _referred(self, call: Call, scope: Scope, config: dict[str, Any]) -> dict[str, Any] | None:
        """Check what a configuration refers to. The alarm's own configuration, for a check that follows one."""
        for child in config.get("ChildHealthChecks", []):
            if (found := self.records.checks.get(scope, child)) is None:
                raise AwsError("InvalidInput", f"Invalid request: there is no health check {child} to monitor")
            if found["config"]["Type"] == "CALCULATED":
                raise AwsError("InvalidInput", f"Invalid request: {child} is calculated itself, and can't be monitored")
        if "AlarmIdentifier" not in config:
            return None
        identifier = config["AlarmIdentifier"]
        if identifier["Region"] not in self.plane.regions:
            raise AwsError("InvalidInput", f"the dock has no region {identifier['Region']} for an alarm to be in")
        try:
            alarm = await asyncio.to_thread(self._alarm, call.account, identifier["Region"], identifier["Name"])
        except (ClientError, BotoCoreError) as problem:
            raise AwsError("InvalidInput", f"the alarm {identifier['Name']} can't be read: {problem}") from None
        if alarm is None:
            raise AwsError("InvalidInput", f"there is no alarm {identifier['Name']} in {identifier['Region']}")
        return _followed(alarm)

    def _alarm(self, account: str, region: str, name: str) -> dict[str, Any] | None:
        client = self.cloud.client("cloudwatch", account, region)
        found: list[dict[str, Any]] = client.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm"])[
            "MetricAlarms"
        ]
        return found[0] if found else None


def _followed(alarm: dict[str, Any]) -> dict[str, Any]:
    """What Route 53 shows of an alarm. Raises AwsError for the kinds that it doesn't follow on AWS."""
    if alarm.get("Metrics") or alarm.get("Statistic") not in _STATISTICS:
        raise AwsError("InvalidInput", "Route 53 follows alarms on one metric, by a standard statistic: no metric math")
    if alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]) != alarm["EvaluationPeriods"]:
        raise AwsError("InvalidInput", "Route 53 follows no alarm on M out of N datapoints")
    names_ = ("EvaluationPeriods", "Threshold", "ComparisonOperator", "Period", "MetricName", "Namespace", "Statistic")
    return {**{name: alarm[name] for name in names_}, "Dimensions": alarm.get("Dimensions", [])}


def _described(check: Record) -> dict[str, Any]:
    shown = {
        "Id": check["id"],
        "CallerReference": check["reference"],
        "HealthCheckConfig": check["config"],
        "HealthCheckVersion": check["version"],
    }
    return {**shown, "CloudWatchAlarmConfiguration": check["alarm"]} if check["alarm"] else shown


def _observation(entry: dict[str, Any], text: str, at: str) -> dict[str, Any]:
    report = {"Status": entry[text] or "Unknown: this region's checker has not asked yet"}
    if entry[at] is not None:
        report["CheckedTime"] = entry[at]
    return {"Region": entry["region"], "IPAddress": entry["address"], "StatusReport": report}
