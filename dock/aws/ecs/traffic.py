"""Traffic from one target group to another, by the weights of listener rules, as the infrastructure role that the
service names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from dock.aws.ecs import stages
from dock.aws.ecs.records import Deployment, Service
from dock.aws.service import AwsError
from dock.aws.sts import Sts

if TYPE_CHECKING:
    from dock.aws.sts.sessions import Issued
    from dock.cloud import Cloud

TRUSTED = "ecs.amazonaws.com"
PRODUCTION, TEST = "productionListenerRule", "testListenerRule"


class ShiftError(Exception):
    """A listener rule could not be changed; the message says which and why."""


def pair(entry: dict[str, Any]) -> tuple[str, str]:
    """The two target groups between which an entry of loadBalancers goes to and fro."""
    return entry["targetGroupArn"], entry["advancedConfiguration"]["alternateTargetGroupArn"]


def other_group(entry: dict[str, Any], used: str | None) -> str:
    """The target group of a pair for what comes, when the other is used; the first one when none is."""
    first, second = pair(entry)
    return second if used == first else first


def has_rule(deployment: Deployment, kind: str) -> bool:
    return any(kind in entry.get("advancedConfiguration", {}) for entry in deployment.load_balancers)


class Traffic:
    """Sets weights, whatever they were: ECS doesn't look either."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def shift(self, service: Service, deployment: Deployment, kind: str, percent: float) -> None:
        """Give a deployment's target groups so many percent of what the rules of this kind forward, and the other ones
        of their pairs the rest. Doing it twice does no harm. Raises ShiftError."""
        here, there = stages.weights(percent)
        for entry, group in zip(deployment.load_balancers, deployment.groups, strict=True):
            rule = entry.get("advancedConfiguration", {}).get(kind)
            if rule is None:
                continue
            targets = [{"TargetGroupArn": each, "Weight": here if each == group else there} for each in pair(entry)]
            try:
                issued = self.session(service, entry["advancedConfiguration"]["roleArn"])
                # Waited for to its end, which the client's own time-outs bound: a change that was given up could come
                # through after the next one, and undo it.
                await asyncio.to_thread(self._modify, service, issued, rule, targets)
            except AwsError as problem:
                raise ShiftError(f"(role {entry['advancedConfiguration']['roleArn']}): {problem.message}") from None
            except (ClientError, BotoCoreError) as problem:
                raise ShiftError(f"(rule {rule}): {problem}") from None

    def session(self, service: Service, role: str) -> Issued:
        """Credentials of the infrastructure role. Raises AwsError when it can't be taken on."""
        return self._cloud.service(Sts).for_service(role, TRUSTED, service.arn, f"ecs-{service.name}"[:64])

    def _modify(self, service: Service, issued: Issued, rule: str, targets: list[dict[str, Any]]) -> None:
        client = self._cloud.client("elbv2", service.account, service.region, issued)
        try:
            client.modify_rule(RuleArn=rule, Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": targets}}])
        finally:
            client.close()
