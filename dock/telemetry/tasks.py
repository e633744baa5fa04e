"""AWS/ECS and ECS/ContainerInsights: what tasks use of what they reserved, and how many there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dock.aws.cloudwatch import Datum
from dock.aws.ecs import Ecs
from dock.aws.ecs.records import Task
from dock.store import Scope
from dock.telemetry.measurement import Growth, Measurement, Moment

if TYPE_CHECKING:
    from dock.cloud import Cloud

_MIB = 1024 * 1024
_UNITS_PER_CPU = 1024


@dataclass(frozen=True, slots=True)
class _Use:
    """One task: CPU units and MiB, used and reserved."""

    cpu: float
    cpu_reserved: int
    memory: float
    memory_reserved: int


class Tasks:
    def __init__(self, cloud: Cloud) -> None:
        self._ecs = cloud.service(Ecs)
        self._cpu = Growth()

    async def collect(self, moment: Moment) -> list[Measurement]:
        services: dict[tuple[Scope, str, str], list[_Use]] = defaultdict(list)
        clusters: dict[tuple[Scope, str], list[_Use]] = defaultdict(list)
        for task in self._ecs.tasks:
            if task.last_status == "RUNNING" and (use := self._use(task, moment)) is not None:
                clusters[task.scope, task.cluster].append(use)
                if task.service is not None:
                    services[task.scope, task.cluster, task.service].append(use)
        found: list[Measurement] = []
        for (scope, cluster), uses in clusters.items():
            found += _utilization(scope, {"ClusterName": cluster}, uses)
        for (scope, cluster, service), uses in services.items():
            found += _utilization(scope, {"ClusterName": cluster, "ServiceName": service}, uses)
        return found + self._insights(services, clusters)

    def _use(self, task: Task, moment: Moment) -> _Use | None:
        """None for a task that is seen for the first time: CPU is a difference."""
        roots = [
            process.pid
            for container in task.containers
            if (process := self._ecs.runtime.containers.find(f"ecs/{task.id}/{container.name}")) is not None
        ]
        rate = self._cpu.rate(task.id, sum(map(moment.cpu, roots)), moment.at)
        if rate is None or not roots:
            return None
        memory = sum(map(moment.resident, roots)) / _MIB
        return _Use(rate * _UNITS_PER_CPU, int(task.cpu), memory, int(task.memory))

    def _insights(
        self,
        services: dict[tuple[Scope, str, str], list[_Use]],
        clusters: dict[tuple[Scope, str], list[_Use]],
    ) -> list[Measurement]:
        """For clusters that have Container Insights, `enabled` or `enhanced`."""
        watched = {
            (scope, name)
            for scope, name, cluster in self._ecs.clusters.all()
            if cluster["status"] == "ACTIVE"
            and any(each["name"] == "containerInsights" and each["value"] != "disabled" for each in cluster["settings"])
        }
        tasks = [task for task in self._ecs.tasks if (task.scope, task.cluster) in watched]
        running = Counter((t.scope, t.cluster, t.service) for t in tasks if t.last_status == "RUNNING")
        pending = Counter(
            (t.scope, t.cluster, t.service) for t in tasks if t.last_status in ("PROVISIONING", "PENDING", "ACTIVATING")
        )
        found: list[Measurement] = []
        counts: Counter[tuple[Scope, str]] = Counter()
        for service in self._ecs.services:
            if (service.scope, service.cluster) not in watched or service.status != "ACTIVE":
                continue
            counts[service.scope, service.cluster] += 1
            key = (service.scope, service.cluster, service.name)
            dimensions = {"ClusterName": service.cluster, "ServiceName": service.name}
            values = {
                "RunningTaskCount": running[key],
                "PendingTaskCount": pending[key],
                "DesiredTaskCount": service.desired,
                "DeploymentCount": len(service.deployments),
                "TaskSetCount": 0,
            }
            found += [_insight(service.scope, name, dimensions, value) for name, value in values.items()]
            found += _reservation(service.scope, dimensions, services.get(key, []))
        for scope, cluster in watched:
            dimensions = {"ClusterName": cluster}
            total = sum(count for key, count in running.items() if key[:2] == (scope, cluster))
            found.append(_insight(scope, "TaskCount", dimensions, total))
            found.append(_insight(scope, "ServiceCount", dimensions, counts[scope, cluster]))
            found += _reservation(scope, dimensions, clusters.get((scope, cluster), []))
        return found


def _utilization(scope: Scope, dimensions: dict[str, str], uses: list[_Use]) -> list[Measurement]:
    """One sample for each task, as AWS has it: so Average is the service's and Maximum the busiest task's."""
    samples = {
        "CPUUtilization": [100 * use.cpu / use.cpu_reserved for use in uses],
        "MemoryUtilization": [100 * use.memory / use.memory_reserved for use in uses],
    }
    return [
        Measurement(
            scope,
            "AWS/ECS",
            Datum(name, dimensions, unit="Percent", values=tuple(values), counts=(1.0,) * len(values)),
        )
        for name, values in samples.items()
    ]


def _reservation(scope: Scope, dimensions: dict[str, str], uses: list[_Use]) -> list[Measurement]:
    if not uses:
        return []
    values = {
        "CpuUtilized": sum(use.cpu for use in uses),
        "CpuReserved": sum(use.cpu_reserved for use in uses),
        "MemoryUtilized": sum(use.memory for use in uses),
        "MemoryReserved": sum(use.memory_reserved for use in uses),
    }
    return [
        _insight(scope, name, dimensions, value, "Megabytes" if name.startswith("Memory") else "None")
        for name, value in values.items()
    ]


def _insight(scope: Scope, name: str, dimensions: dict[str, str], value: float, unit: str = "Count") -> Measurement:
    return Measurement(scope, "ECS/ContainerInsights", Datum(name, dimensions, value, unit))
