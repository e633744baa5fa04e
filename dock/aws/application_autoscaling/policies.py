"""Scaling policies, and the alarms that target tracking makes for itself."""

from __future__ import annotations

import re
import uuid
from typing import Any

from dock.aws.application_autoscaling.base import NAMESPACE, created, page, shared
from dock.aws.application_autoscaling.capacity import overlap
from dock.aws.application_autoscaling.targets import Targets
from dock.aws.cloudwatch import CloudWatch
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Scope

# AWS's alarms: 3 minutes above the target to scale out, 15 minutes a tenth below it to scale in.
_HIGH, _LOW = ("AlarmHigh", "GreaterThanThreshold", 3), ("AlarmLow", "LessThanThreshold", 15)
_LOW_SHARE = 0.9
_PERIOD = 60
# For ECS, when a policy says nothing.
COOLDOWN_SECONDS = 300
_LOAD_BALANCER = re.compile(r"(app/[^/]+/[0-9a-f]+)/(targetgroup/[^/]+/[0-9a-f]+)")


class Policies(Targets):
    """Handlers of policies. A policy is kept under `resource id|name`."""

    @operation(
        "PutScalingPolicy",
        acts="PolicyName ServiceNamespace ResourceId ScalableDimension PolicyType StepScalingPolicyConfiguration"
        " TargetTrackingScalingPolicyConfiguration",
    )
    async def put_scaling_policy(self, call: Call, request: Request) -> Response:
        resource, name = self.check_resource(request), request["PolicyName"]
        self.target(call.scope, resource)
        before = self.policies.get(call.scope, f"{resource}|{name}")
        kind: str = request.get("PolicyType") or (before["kind"] if before else "StepScaling")
        if before is not None and before["kind"] != kind:
            raise AwsError("ValidationException", "The type of a scaling policy can't be changed.")
        configuration = _configuration(kind, request)
        identifier = before["id"] if before else str(uuid.uuid4())
        record: Record = {
            "id": identifier,
            "arn": f"arn:aws:autoscaling:{call.region}:{call.account}:scalingPolicy:{identifier}:resource/{NAMESPACE}/"
            f"{resource}:policyName/{name}",
            "name": name,
            "resource": resource,
            "kind": kind,
            "configuration": configuration,
            "alarms": [],
            "created": created(before),
        }
        if kind == "TargetTrackingScaling":
            record["alarms"] = await self._put_alarms(call, record, before)
        self.policies.put(call.scope, f"{resource}|{name}", record)
        return {"PolicyARN": record["arn"], "Alarms": record["alarms"]}

    @operation(
        "DescribeScalingPolicies",
        acts="PolicyNames ServiceNamespace ResourceId ScalableDimension MaxResults NextToken",
    )
    async def describe_scaling_policies(self, call: Call, request: Request) -> Response:
        names = request.get("PolicyNames")
        found = [
            {
                **shared(record),
                "PolicyARN": record["arn"],
                "PolicyName": record["name"],
                "PolicyType": record["kind"],
                f"{record['kind']}PolicyConfiguration": record["configuration"],
                "Alarms": await self._alarms_of(call, record),
            }
            for record in self.policies.list(call.scope)
            if request["ServiceNamespace"] == NAMESPACE
            and request.get("ResourceId") in (None, record["resource"])
            and (not names or record["name"] in names)
        ]
        return page(found, request, "ScalingPolicies")

    @operation("DeleteScalingPolicy", acts="PolicyName ServiceNamespace ResourceId ScalableDimension")
    async def delete_scaling_policy(self, call: Call, request: Request) -> Response:
        resource = self.check_resource(request)
        record = self.policies.get(call.scope, f"{resource}|{request['PolicyName']}")
        if record is None:
            raise AwsError(
                "ObjectNotFoundException",
                f"No scaling policy found for service namespace: {NAMESPACE}, resource ID: {resource}, scalable"
                f" dimension: {request['ScalableDimension']}, policy name: {request['PolicyName']}",
            )
        await self.delete_policy(call, record)
        return {}

    async def delete_policy(self, call: Call, record: Record) -> None:
        """Remove a policy and the alarms that it made."""
        if record["alarms"]:
            names = [alarm["AlarmName"] for alarm in record["alarms"]]
            await self.ask_cloudwatch(call.scope, "DeleteAlarms", {"AlarmNames": names})
        self.policies.delete(call.scope, f"{record['resource']}|{record['name']}")

    async def ask_cloudwatch(self, scope: Scope, name: str, request: Request) -> Response:
        """Call an operation of this dock's CloudWatch. Raises AwsError."""
        cloudwatch = self.cloud.service(CloudWatch)
        call = Call(scope.account, scope.region, CloudWatch.name, name, str(uuid.uuid4()))
        return await CloudWatch.operations()[name].handler(cloudwatch, call, request)

    async def alarms(self, scope: Scope, **request: Any) -> list[dict[str, Any]]:
        """Metric alarms, as DescribeAlarms shows them."""
        found: list[dict[str, Any]] = []
        token: str | None = None
        while True:
            more = {"NextToken": token} if token else {}
            answer = await self.ask_cloudwatch(scope, "DescribeAlarms", {**request, **more, "MaxRecords": 100})
            found += answer.get("MetricAlarms", [])
            token = answer.get("NextToken")
            if not token:
                return found

    async def _alarms_of(self, call: Call, record: Record) -> list[dict[str, str]]:
        """Those that it made, or for steps those that call it."""
        if record["kind"] == "TargetTrackingScaling":
            return list(record["alarms"])
        return [
            {"AlarmName": alarm["AlarmName"], "AlarmARN": alarm["AlarmArn"]}
            for alarm in await self.alarms(call.scope)
            if record["arn"] in alarm.get("AlarmActions", [])
        ]

    async def _put_alarms(self, call: Call, record: Record, before: Record | None) -> list[dict[str, str]]:
        configuration = record["configuration"]
        target = configuration["TargetValue"]
        known = {
            kind: alarm["AlarmName"]
            for alarm in (before["alarms"] if before else [])
            for kind in ("AlarmHigh", "AlarmLow")
            if f"-{kind}-" in alarm["AlarmName"]
        }
        metric = _metric(configuration, record["resource"])
        made = []
        for kind, comparison, periods in (_HIGH, _LOW):
            name = known.get(kind, f"TargetTracking-{record['resource']}-{kind}-{uuid.uuid4()}")
            alarm = {
                "AlarmName": name,
                "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {record['arn']}.",
                "ActionsEnabled": True,
                "AlarmActions": [record["arn"]],
                "ComparisonOperator": comparison,
                "EvaluationPeriods": periods,
                "Threshold": target if kind == "AlarmHigh" else _LOW_SHARE * target,
                **metric,
            }
            await self.ask_cloudwatch(call.scope, "PutMetricAlarm", alarm)
            arn = f"arn:aws:cloudwatch:{call.region}:{call.account}:alarm:{name}"
            made.append({"AlarmName": name, "AlarmARN": arn})
        return made


def _configuration(kind: str, request: Request) -> dict[str, Any]:
    """A policy's configuration with its defaults. Raises AwsError for one that could never act."""

    def refuse(why: str) -> AwsError:
        return AwsError("ValidationException", why)

    name = f"{kind}PolicyConfiguration"
    if kind not in ("TargetTrackingScaling", "StepScaling"):
        raise refuse(f"The dock does not do {kind}; it has target tracking and step scaling.")
    if name not in request:
        raise refuse(f"A policy of type {kind} needs {name}.")
    configuration: dict[str, Any] = request[name]
    if kind == "StepScaling":
        steps = configuration.get("StepAdjustments")
        if "AdjustmentType" not in configuration or not steps:
            raise refuse("A step scaling policy needs AdjustmentType and StepAdjustments.")
        if overlap(steps):
            raise refuse("StepAdjustments overlap.")
        if configuration.get("MetricAggregationType", "Average") != "Average":
            raise refuse("The dock aggregates metrics of step scaling by Average alone.")
        return {"Cooldown": COOLDOWN_SECONDS, **configuration}
    if configuration["TargetValue"] <= 0:
        raise refuse("TargetValue must be above 0.")
    given = [key for key in ("PredefinedMetricSpecification", "CustomizedMetricSpecification") if key in configuration]
    if len(given) != 1:
        raise refuse("Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification is needed.")
    _metric(configuration, request["ResourceId"])
    defaults = {"ScaleOutCooldown": COOLDOWN_SECONDS, "ScaleInCooldown": COOLDOWN_SECONDS, "DisableScaleIn": False}
    return {**defaults, **configuration}


def _metric(configuration: dict[str, Any], resource: str) -> dict[str, Any]:
    """The part of an alarm that names the metric which a policy tracks. Raises AwsError."""
    custom = configuration.get("CustomizedMetricSpecification")
    if custom is not None:
        if "Metrics" in custom:
            # An alarm's queries have periods of their own.
            return {"Metrics": [_query(query) for query in custom["Metrics"]]}
        missing = [key for key in ("MetricName", "Namespace", "Statistic") if key not in custom]
        if missing:
            raise AwsError("ValidationException", f"CustomizedMetricSpecification needs {', '.join(missing)}.")
        keys = ("MetricName", "Namespace", "Dimensions", "Statistic", "Unit")
        return {"Period": _PERIOD, **{key: custom[key] for key in keys if key in custom}}
    predefined = configuration["PredefinedMetricSpecification"]
    _, cluster, service = resource.split("/")
    dimensions = {"ClusterName": cluster, "ServiceName": service}
    match predefined["PredefinedMetricType"]:
        case "ECSServiceAverageCPUUtilization":
            return _plain("AWS/ECS", "CPUUtilization", "Average", dimensions)
        case "ECSServiceAverageMemoryUtilization":
            return _plain("AWS/ECS", "MemoryUtilization", "Average", dimensions)
        case "ALBRequestCountPerTarget":
            match = _LOAD_BALANCER.fullmatch(predefined.get("ResourceLabel", ""))
            if match is None:
                raise AwsError("ValidationException", "ResourceLabel is app/NAME/ID/targetgroup/NAME/ID.")
            names = {"LoadBalancer": match[1], "TargetGroup": match[2]}
            return _plain("AWS/ApplicationELB", "RequestCountPerTarget", "Sum", names)
    raise AwsError("ValidationException", f"The dock does not track {predefined['PredefinedMetricType']} of ECS.")


def _plain(namespace: str, name: str, statistic: str, dimensions: dict[str, str]) -> dict[str, Any]:
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Statistic": statistic,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "Period": _PERIOD,
    }


def _query(query: dict[str, Any]) -> dict[str, Any]:
    if "MetricStat" not in query:
        # An expression's period is that of its metrics.
        return dict(query)
    statistic = query["MetricStat"]
    return {**query, "MetricStat": {"Period": _PERIOD, **statistic}}
