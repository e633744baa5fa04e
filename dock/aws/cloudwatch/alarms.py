"""Making, changing and removing alarms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dock.aws.cloudwatch import alarm_checks, limits
from dock.aws.cloudwatch.actions import ActionHandler, Actions
from dock.aws.cloudwatch.base import Base
from dock.aws.cloudwatch.book import COMPOSITE, METRIC, Book, Change
from dock.aws.cloudwatch.history import History
from dock.aws.cloudwatch.problems import validation
from dock.aws.cloudwatch.tag_rules import merged
from dock.aws.service import AwsError, Call, Request, Response, operation

if TYPE_CHECKING:
    from dock.cloud import Cloud

# CloudWatch's quota for an account and region.
MOST_ALARMS = 5000


class Alarms(Base):
    """Metric and composite alarms."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.history = History(cloud.store)
        self.actions = Actions(cloud, self.history, lambda: self.now())
        self.book = Book(cloud.store, self.history, self.actions, lambda: self.now())

    def register_action(self, prefix: str, handler: ActionHandler, *, repeats: bool = False) -> None:
        """Let another service do the actions whose ARN begins with `prefix` (for example `arn:aws:autoscaling:`).

        The handler gets the alarm's scope, the ARN and the notification (as SNS would get it) and raises when it
        fails; it is then called again, up to five times. With `repeats` it is also called each period in which the
        alarm stays in its state.
        """
        self.actions.register(prefix, handler, repeats=repeats)

    @operation(
        "PutMetricAlarm",
        acts="AlarmName AlarmDescription ActionsEnabled OKActions AlarmActions InsufficientDataActions MetricName"
        " Namespace Statistic ExtendedStatistic Dimensions Period Unit EvaluationPeriods DatapointsToAlarm Threshold"
        " ComparisonOperator TreatMissingData EvaluateLowSampleCountPercentile Metrics Tags",
    )
    async def put_metric_alarm(self, call: Call, request: Request) -> Response:
        limits.check(call, request)
        alarm_checks.check_name(request["AlarmName"])
        alarm_checks.check_metric_alarm(call.scope, request)
        self._put(call, request, METRIC)
        return {}

    @operation(
        "PutCompositeAlarm",
        acts="AlarmName AlarmDescription ActionsEnabled OKActions AlarmActions InsufficientDataActions AlarmRule Tags"
        " ActionsSuppressor ActionsSuppressorWaitPeriod ActionsSuppressorExtensionPeriod",
    )
    async def put_composite_alarm(self, call: Call, request: Request) -> Response:
        limits.check(call, request)
        alarm_checks.check_name(request["AlarmName"])
        alarm_checks.check_composite(self.book, call, request)
        self._put(call, request, COMPOSITE)
        return {}

    def _put(self, call: Call, request: Request, kind: str) -> None:
        alarm_checks.check_actions(call, request, self.actions.known)
        name, tags = request["AlarmName"], merged(request.get("Tags", []))
        known = self.book.get(call.scope, name)
        if known is not None and known["kind"] != kind:
            raise validation(f"An alarm of another type has the name {name}.")
        if known is None and len(self.book.alarms(call.scope)) >= MOST_ALARMS:
            raise AwsError("LimitExceeded", f"The account has {MOST_ALARMS} alarms in this region already.")
        given = {key: value for key, value in request.items() if key != "Tags"}
        self.book.put(
            call.scope,
            {
                "ActionsEnabled": True,
                "OKActions": [],
                "AlarmActions": [],
                "InsufficientDataActions": [],
                **({"Dimensions": []} if "MetricName" in request else {}),
                **given,
                "AlarmArn": f"arn:aws:cloudwatch:{call.region}:{call.account}:alarm:{name}",
                "kind": kind,
                "tags": tags,
            },
        )

    @operation("DeleteAlarms", acts="AlarmNames")
    async def delete_alarms(self, call: Call, request: Request) -> Response:
        limits.check(call, request)
        names = set(request["AlarmNames"])
        found = [record for name in names if (record := self.book.get(call.scope, name)) is not None]
        composites = {record["AlarmName"] for record in found if record["kind"] == COMPOSITE}
        if len(composites) > 1:
            raise validation("At most one composite alarm can be deleted at once.")
        for record in found:
            name = record["AlarmName"]
            dependent = {*self.book.parents(call.scope, name), *self.book.suppressed_by(call.scope, name)} - composites
            if dependent:
                raise validation(
                    f"{name} cannot be deleted as there are composite alarm(s) depending on it:"
                    f" {', '.join(sorted(dependent))}"
                )
        # A composite alarm goes first: nothing depends on what it names then.
        for record in sorted(found, key=lambda record: record["kind"] != COMPOSITE):
            self.book.delete(call.scope, record["AlarmName"])
        return {}

    @operation("SetAlarmState", acts="AlarmName StateValue StateReason StateReasonData")
    async def set_alarm_state(self, call: Call, request: Request) -> Response:
        limits.check(call, request)
        name, data = request["AlarmName"], request.get("StateReasonData")
        if self.book.get(call.scope, name) is None:
            raise AwsError("ResourceNotFound", f"There is no alarm {name}.")
        if data is not None:
            try:
                json.loads(data)
            except ValueError:
                raise AwsError("InvalidFormat", "StateReasonData must be JSON.") from None
        self.book.change([Change(call.scope, name, request["StateValue"], request["StateReason"], data, self.now())])
        return {}

    @operation("EnableAlarmActions", acts="AlarmNames")
    async def enable_alarm_actions(self, call: Call, request: Request) -> Response:
        return self._enable(call, request, enabled=True)

    @operation("DisableAlarmActions", acts="AlarmNames")
    async def disable_alarm_actions(self, call: Call, request: Request) -> Response:
        return self._enable(call, request, enabled=False)

    def _enable(self, call: Call, request: Request, *, enabled: bool) -> Response:
        for name in request["AlarmNames"]:
            record = self.book.get(call.scope, name)
            if record is not None and record["ActionsEnabled"] != enabled:
                self.book.update(call.scope, {**record, "ActionsEnabled": enabled})
        return {}
