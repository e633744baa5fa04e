"""Route 53 as one service, and what it tells the rest of the dock."""

from __future__ import annotations

from typing import Any

from dock.aws.route53.health_checks import HealthChecks
from dock.aws.route53.record_sets import RecordSets
from dock.aws.route53.tags import Tags
from dock.aws.route53.zones import Zones
from dock.store import Scope


class Route53(Zones, RecordSets, HealthChecks, Tags):
    """Zones and health checks of both accounts, served by one DNS server that needs no daemon to go on."""

    name = "route53"

    async def start(self) -> None:
        await self.plane.start()

    async def stop(self) -> None:
        await self.plane.stop()

    def healthy(self) -> dict[tuple[str, str], bool]:
        """Whether each health check counts as healthy, by account and id, as of a second ago."""
        return {
            (scope.account, identifier): self.plane.health[identifier]["healthy"]
            for scope, identifier, _ in self.records.checks.all()
            if identifier in self.plane.health
        }

    def status(self) -> list[dict[str, Any]]:
        """The server, each zone and each health check: `state` is running, served, healthy or their opposite."""
        server = self.plane.server
        problem = server.problem or self.plane.problem
        shown: list[dict[str, Any]] = [
            {
                "kind": "dns-server",
                "name": "dns",
                "state": "failed" if server.pid is None or problem else "running",
                "address": f"{server.address}:{server.port}",
                "pid": server.pid,
                "problem": problem,
            }
        ]
        counts: dict[str, int] = {}
        for _, _, record in self.records.records.all():
            counts[record["zone"]] = counts.get(record["zone"], 0) + 1
        in_sync = self.records.generation <= self.plane.served
        for scope, identifier, zone in self.records.zones.all():
            shown.append(
                {
                    "kind": "zone",
                    "name": zone["name"],
                    "state": "served" if in_sync else "pending",
                    "account": scope.account,
                    "id": identifier,
                    "records": counts.get(identifier, 0),
                }
            )
        return shown + [
            self._check_status(scope, identifier, check) for scope, identifier, check in self.records.checks.all()
        ]

    def _check_status(self, scope: Scope, identifier: str, check: dict[str, Any]) -> dict[str, Any]:
        known = self.plane.health.get(identifier)
        config, tags = check["config"], self._tags(scope, f"healthcheck {identifier}")
        entry = {
            "kind": "health-check",
            "name": tags.get("Name", identifier),
            "state": "unknown" if known is None else "healthy" if known["healthy"] else "unhealthy",
            "account": scope.account,
            "id": identifier,
            "type": config["Type"],
        }
        if known is not None and known["checkers"]:
            host = config.get("FullyQualifiedDomainName") or config["IPAddress"]
            entry["target"] = f"{host}:{config['Port']}{config.get('ResourcePath', '')}"
            entry["checkers"] = f"{known['checkers_healthy']} of {known['checkers']} healthy"
        return entry
