"""What became of each deployment of a service: service deployments and service revisions."""

from __future__ import annotations

import secrets
import time
from typing import Any

from dock.aws.ecs.deployment_alarms import configured
from dock.aws.ecs.records import Deployment, Service
from dock.aws.ecs.rolling import failure_threshold
from dock.store import Record, Store

_ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_KEEP = 100


class History:
    """Records of deployments; kept for as long as their service is."""

    def __init__(self, store: Store) -> None:
        self.deployments = store.table("ecs/service-deployment")
        self.revisions = store.table("ecs/service-revision")

    def begin(self, service: Service) -> Deployment:
        """A new PRIMARY deployment of what the service says now, not yet in its list, with its records."""
        now = time.time()
        number = str(secrets.randbelow(9 * 10**18) + 10**18)
        deployment_id = "".join(secrets.choice(_ALPHABET) for _ in range(21))
        prefix = f"arn:aws:ecs:{service.region}:{service.account}"
        deployment = Deployment(
            id=f"ecs-svc/{number}",
            definition=service.definition,
            desired=service.desired,
            network=service.network,
            load_balancers=service.load_balancers,
            created=now,
            updated=now,
            service_deployment=f"{prefix}:service-deployment/{service.key}/{deployment_id}",
            revision=f"{prefix}:service-revision/{service.key}/{number}",
            configuration=service.configuration,
        )
        deployment.reason = f"ECS deployment {deployment.id} in progress."
        self.revisions.put(
            service.scope,
            deployment.revision,
            {
                "arn": deployment.revision,
                "service": service.arn,
                "cluster": service.cluster_arn,
                "definition": service.definition,
                "network": service.network,
                "load_balancers": service.load_balancers,
                "recorded": service.recorded,
                "deployment": deployment.id,
                "images": {},
                "created": now,
            },
        )
        self.deployments.put(
            service.scope,
            deployment.service_deployment,
            {
                "arn": deployment.service_deployment,
                "service": service.arn,
                "cluster": service.cluster_arn,
                "created": now,
                "started": now,
                "updated": now,
                "finished": None,
                "status": "IN_PROGRESS",
                "reason": None,
                "source": [entry.revision for entry in service.deployments if entry.revision],
                "target": deployment.revision,
                "configuration": service.configuration,
                "rollback": None,
                "failures": 0,
                "threshold": failure_threshold(breaker(service), service.desired),
                "breaker": "MONITORING" if breaker(service).get("enable") else "DISABLED",
                "alarms": "MONITORING" if configured(service.configuration) else "DISABLED",
                "triggered": [],
            },
        )
        self._shorten(service)
        return deployment

    def update(self, service: Service, deployment: Deployment, **columns: Any) -> None:
        """Change a service deployment's record."""
        record = self.deployments.get(service.scope, deployment.service_deployment)
        if record is not None:
            # A rollback, which carries on the same record, starts its own count at zero.
            failures = max(record["failures"], deployment.failed)
            record |= {"updated": time.time(), "failures": failures, "stage": deployment.stage}
            record |= {"hooks": deployment.hooks, **columns}
            self.deployments.put(service.scope, deployment.service_deployment, record)

    def finish(self, service: Service, deployment: Deployment, status: str, reason: str | None = None) -> None:
        """A service deployment has come to its end, if it hasn't before."""
        record = self.deployments.get(service.scope, deployment.service_deployment)
        if record is None or record["finished"] is not None:
            return
        watches = {name: _finished(record.get(name, "DISABLED")) for name in ("breaker", "alarms")}
        self.update(service, deployment, status=status, reason=reason, finished=time.time(), **watches)
        revision = self.revisions.get(service.scope, deployment.revision)
        if revision is not None:
            self.revisions.put(
                service.scope,
                deployment.revision,
                revision | {"images": deployment.images, "groups": deployment.groups},
            )

    def of(self, service: Service) -> list[Record]:
        """A service's deployments, the newest first."""
        found = [record for record in self.deployments.list(service.scope) if record["service"] == service.arn]
        return sorted(found, key=lambda record: -float(record["created"]))

    def forget(self, service: Service) -> None:
        """Remove everything about a service."""
        for table in (self.deployments, self.revisions):
            for record in table.list(service.scope):
                if record["service"] == service.arn:
                    table.delete(service.scope, record["arn"])

    def _shorten(self, service: Service) -> None:
        for record in self.of(service)[_KEEP:]:
            self.deployments.delete(service.scope, record["arn"])


def _finished(watch: str) -> str:
    """The state of a watch over a deployment that has ended."""
    return "MONITORING_COMPLETE" if watch == "MONITORING" else watch


def breaker(service: Service) -> dict[str, Any]:
    """The service's circuit breaker settings."""
    return dict(service.configuration.get("deploymentCircuitBreaker") or {"enable": False, "rollback": False})
