"""CloudWatch alarms that end a deployment: which are configured, which ring, how long they are listened to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dock.aws.cloudwatch import CloudWatch
from dock.aws.ecs.records import Deployment
from dock.store import Record, Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud


class DeploymentAlarms:
    """Reads the states of this dock's alarms."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def ringing(self, scope: Scope, deployment: Deployment) -> list[str]:
        """The alarms that are in ALARM, without those that were when the deployment began."""
        return [
            name
            for name, record in self._alarms(scope, deployment)
            if record is not None and record["StateValue"] == "ALARM" and name not in deployment.deaf_to
        ]

    def missing(self, scope: Scope, deployment: Deployment) -> list[str]:
        """Names of no alarm. ECS takes them: an alarm on a service can't be there before it."""
        return [name for name, record in self._alarms(scope, deployment) if record is None]

    def bake_seconds(self, scope: Scope, deployment: Deployment) -> float:
        """How long a rolling deployment that is through is still watched: until the slowest alarm has looked at nothing
        else. ECS computes it from the alarms too, and doesn't say how."""
        return max((_window(record) for _, record in self._alarms(scope, deployment) if record is not None), default=0)

    def _alarms(self, scope: Scope, deployment: Deployment) -> Iterator[tuple[str, Record | None]]:
        cloudwatch = self._cloud.services.get(CloudWatch.name)
        for name in configured(deployment.configuration):
            yield name, cloudwatch.book.get(scope, name) if isinstance(cloudwatch, CloudWatch) else None


def configured(configuration: dict[str, Any]) -> list[str]:
    """The names of the alarms that a deploymentConfiguration listens to."""
    alarms = configuration.get("alarms") or {}
    return list(alarms["alarmNames"]) if alarms.get("enable") else []


def _window(record: Record) -> float:
    """Seconds that an alarm looks back; a composite one has no window of its own."""
    periods = [record.get("Period", 0)]
    for query in record.get("Metrics", []):
        periods += [query.get("Period", 0), query.get("MetricStat", {}).get("Period", 0)]
    return float(max(periods) * record.get("EvaluationPeriods", 0))
