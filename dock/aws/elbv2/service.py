"""Elastic Load Balancing as one service, and what it tells the rest of the dock."""

from __future__ import annotations

from typing import Any

from dock.aws.acm import Acm
from dock.aws.elbv2 import names
from dock.aws.elbv2.fleet import process_name
from dock.aws.elbv2.listeners import MAX_LISTENERS, Listeners
from dock.aws.elbv2.load_balancers import LoadBalancers
from dock.aws.elbv2.records import LOAD_BALANCER, Change
from dock.aws.elbv2.rule_parts import MAX_GROUPS
from dock.aws.elbv2.rules import MAX_RULES, Rules
from dock.aws.elbv2.tags import Tags
from dock.aws.elbv2.targets import MAX_TARGETS, Targets
from dock.aws.service import Call, Request, Response, operation
from dock.engines.haproxy import Traffic
from dock.faults.engines import Engine, Part

_LIMITS = {
    "application-load-balancers": 254,
    "listeners-per-application-load-balancer": MAX_LISTENERS,
    "rules-per-application-load-balancer": MAX_RULES,
    "targets-per-target-group": MAX_TARGETS,
    "target-groups-per-action-on-application-load-balancer": MAX_GROUPS,
}


class Elbv2(LoadBalancers, Listeners, Rules, Targets, Tags):
    """Application load balancers that route, check and drain: each is a HAProxy."""

    name = "elbv2"

    async def start(self) -> None:
        if (acm := self.cloud.services.get(Acm.name)) is not None:
            assert isinstance(acm, Acm)
            acm.users.append(self.records.users_of_certificate)
            acm.changed.append(self.fleet.certificate_changed)
        await self.fleet.start()
        for scope in self.records.scopes():
            for record in self.records.all(scope, LOAD_BALANCER):
                if record["State"] == "provisioning":
                    self.records.commit(scope, Change().put(LOAD_BALANCER, record["id"], {**record, "State": "active"}))

    async def stop(self) -> None:
        await self.fleet.stop()

    def engines(self) -> list[Engine]:
        return [
            Engine(
                "load-balancer",
                record["LoadBalancerName"],
                scope,
                [Part(process_name(record["id"]), "all")],
                aliases=(record["id"],),
            )
            for scope in sorted(self.records.scopes())
            for record in self.records.all(scope, LOAD_BALANCER)
        ]

    def status(self) -> list[dict[str, Any]]:
        """One dict for each load balancer: `state` is active, failed or as recorded; `listeners` are URLs."""
        shown = []
        for scope in sorted(self.records.scopes()):
            for record in self.records.all(scope, LOAD_BALANCER):
                engine = self.fleet.engine(record["id"])
                listeners = self.records.listeners(scope, record["id"])
                shown.append(
                    {
                        "kind": "load-balancer",
                        "name": record["LoadBalancerName"],
                        "state": "failed" if self.fleet.problem(record["id"]) else record["State"],
                        "problem": self.fleet.problem(record["id"]),
                        "account": scope.account,
                        "region": scope.region,
                        "pid": engine.pid,
                        "listeners": [
                            f"{listener['Protocol'].lower()}://{record['Address']}:{listener['Port']}"
                            for listener in listeners
                        ],
                    }
                )
        return shown

    @operation("DescribeAccountLimits", acts="Marker PageSize")
    async def describe_account_limits(self, call: Call, request: Request) -> Response:
        return {"Limits": [{"Name": name, "Max": str(limit)} for name, limit in _LIMITS.items()]}

    def group_traffic(self, target_group_arn: str) -> Traffic:
        """What a target group's targets answered since this daemon came up. Totals only grow: take differences."""
        users = self.records.load_balancers_of(names.scope_of(target_group_arn), target_group_arn)
        if not users:
            return Traffic()
        return self.fleet.engine(users[0]).meter.group(names.engine_name(target_group_arn))

    def load_balancer_traffic(self, load_balancer_arn: str) -> tuple[Traffic, Traffic]:
        """What a load balancer's clients got, and what of that it answered itself (its own 5XX among it)."""
        meter = self.fleet.engine(load_balancer_arn).meter
        return meter.balancer(), meter.own()
