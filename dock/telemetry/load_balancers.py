"""AWS/ApplicationELB: requests, answers, times and targets, from what each HAProxy counts.

As on AWS nothing is published of what didn't happen: counts are above zero or absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dock.aws.cloudwatch import Datum
from dock.aws.elbv2 import Elbv2, names
from dock.aws.elbv2.records import LOAD_BALANCER, TARGET_GROUP
from dock.engines.haproxy import Traffic
from dock.store import Scope
from dock.telemetry.measurement import Measurement, Moment

if TYPE_CHECKING:
    from dock.cloud import Cloud

_NAMESPACE = "AWS/ApplicationELB"
# The answers of its own that AWS counts one by one.
_OWN = (500, 502, 503, 504)


class LoadBalancers:
    def __init__(self, cloud: Cloud) -> None:
        self._elb = cloud.service(Elbv2)
        self._highest: dict[tuple[str, str], int] = {}
        self._known: set[str] = set()

    async def collect(self, moment: Moment) -> list[Measurement]:
        found: list[Measurement] = []
        for scope in self._elb.records.scopes():
            groups = self._elb.records.all(scope, TARGET_GROUP)
            users = {group["id"]: self._elb.records.load_balancers_of(scope, group["id"]) for group in groups}
            for load_balancer in self._elb.records.all(scope, LOAD_BALANCER):
                arn = load_balancer["id"]
                behind = [group["id"] for group in groups if arn in users[group["id"]][:1]]
                found += self._traffic(scope, arn, behind)
                for group in behind:
                    found += self._health(scope, arn, group)
        return found

    def _traffic(self, scope: Scope, arn: str, groups: list[str]) -> list[Measurement]:
        engine = self._elb.fleet.engine(arn)
        if not engine.alive or engine.meter.read_at is None:
            return []
        whole, own = self._elb.load_balancer_traffic(arn)
        found: list[Measurement] = []
        total: Counter[str] = Counter()
        times: Counter[float] = Counter()
        connections = self._growth(arn, "connections", whole.connections)
        for group in groups:
            traffic = self._elb.group_traffic(group)
            connections += self._growth(arn, f"{group} connections", traffic.connections)
            counts, took = self._answers(arn, group, traffic)
            found += self._per_target(scope, arn, group, counts["RequestCount"])
            found += _published(scope, _dimensions(arn, group), counts, took)
            total.update(counts)
            times.update(took)
        for name, count in (("3XX", own.redirected_3xx), ("4XX", own.failed_4xx), ("5XX", own.failed_5xx)):
            total[f"HTTPCode_ELB_{name}_Count"] = self._growth(arn, f"own {name}", count)
        for status in _OWN:
            count = engine.own_answers.counts[status]
            total[f"HTTPCode_ELB_{status}_Count"] = self._growth(arn, f"own {status}", count)
        total["NewConnectionCount"] = connections
        total["ActiveConnectionCount"] = engine.open_connections
        total["ProcessedBytes"] = self._growth(arn, "bytes", whole.bytes_in + whole.bytes_out)
        self._known.add(arn)
        return found + _published(scope, _dimensions(arn), total, times)

    def _answers(self, arn: str, group: str, traffic: Traffic) -> tuple[Counter[str], Counter[float]]:
        """What a group's targets did since the last round: counts by metric, and answers by their seconds."""
        totals = {
            "RequestCount": traffic.requests,
            "HTTPCode_Target_2XX_Count": traffic.ok_2xx,
            "HTTPCode_Target_3XX_Count": traffic.redirected_3xx,
            "HTTPCode_Target_4XX_Count": traffic.failed_4xx,
            "HTTPCode_Target_5XX_Count": traffic.failed_5xx,
            "TargetConnectionErrorCount": traffic.connection_errors,
        }
        counts = {name: self._growth(arn, f"{group} {name}", total) for name, total in totals.items()}
        times = {
            milliseconds / 1000: self._growth(arn, f"{group} {milliseconds} ms", total)
            for milliseconds, total in traffic.times.items()
        }
        return Counter(counts), +Counter(times)

    def _per_target(self, scope: Scope, arn: str, group: str, requests: int) -> list[Measurement]:
        """What Auto Scaling may track: requests by how many targets there are to take them."""
        states = Counter(self._elb.health(group).values())
        targets = sum(states.values()) - states["draining"] - states["unused"]
        if not requests or not targets:
            return []
        both = _dimensions(arn, group)
        return [
            Measurement(scope, _NAMESPACE, Datum("RequestCountPerTarget", dimensions, requests / targets, "Count"))
            for dimensions in ({"TargetGroup": both["TargetGroup"]}, both)
        ]

    def _growth(self, load_balancer: str, name: str, total: int) -> int:
        """What came since the last round. In a load balancer's first one nothing did: HAProxy may have counted for
        days when this daemon began to read it. Totals are compared with their highest so far, since what is under way
        is counted for the target before it is for the client, and a difference of the two may fall for a moment."""
        key = load_balancer, name
        before = self._highest.get(key, 0 if load_balancer in self._known else total)
        self._highest[key] = max(before, total)
        return max(0, total - before)

    def _health(self, scope: Scope, arn: str, group: str) -> list[Measurement]:
        """Nothing when no target is registered, as on AWS."""
        states = Counter(self._elb.health(group).values())
        if not states - Counter(draining=states["draining"], unused=states["unused"]):
            return []
        counts = {"HealthyHostCount": states["healthy"], "UnHealthyHostCount": states["unhealthy"]}
        dimensions = _dimensions(arn, group)
        return [
            Measurement(scope, _NAMESPACE, Datum(name, dimensions, count, "Count")) for name, count in counts.items()
        ]


def _dimensions(load_balancer: str, group: str | None = None) -> dict[str, str]:
    """As AWS names them: `app/NAME/ID`, and `targetgroup/NAME/ID`."""
    found = {"LoadBalancer": names.suffix(load_balancer)}
    return found if group is None else {**found, "TargetGroup": group.split(":", 5)[5]}


def _published(
    scope: Scope, dimensions: dict[str, str], counts: Mapping[str, int], times: Mapping[float, int]
) -> list[Measurement]:
    found = [
        Measurement(
            scope,
            _NAMESPACE,
            Datum(name, dimensions, count, "Bytes" if name == "ProcessedBytes" else "Count"),
        )
        for name, count in counts.items()
        if count > 0
    ]
    if times:
        distribution = Datum(
            "TargetResponseTime",
            dimensions,
            unit="Seconds",
            values=tuple(times),
            counts=tuple(float(count) for count in times.values()),
        )
        found.append(Measurement(scope, _NAMESPACE, distribution))
    return found
