"""Aliases to the dock's load balancers, whose targets' health they follow."""

from __future__ import annotations

import pytest

from tests.dock.conftest import call
from tests.dock.elbv2.conftest import Dock as Balancing
from tests.dock.elbv2.conftest import eventually
from tests.dock.route53.conftest import Dock, failover, until

pytestmark = [pytest.mark.dock, pytest.mark.asyncio(loop_scope="module")]

ZONE_ID = "Z35SXDOTRQ7X7K"
ELSEWHERE = "127.0.0.2"


async def test_an_alias_follows_the_health_of_the_targets_behind_its_load_balancer(dock: Dock) -> None:
    balancing = Balancing(dock.cloud)
    await balancing.make_network()
    zone = await dock.zone("alias.test")
    async with balancing.application("one") as one:
        balancer = await balancing.load_balancer()
        alias = {"HostedZoneId": ZONE_ID, "DNSName": f"dualstack.{balancer.address}", "EvaluateTargetHealth": True}
        pair = failover("alias.test", balancer.address, ELSEWHERE, "")
        pair[0][1]["AliasTarget"] = alias
        for name in ("TTL", "ResourceRecords", "HealthCheckId"):
            del pair[0][1][name]
        await dock.change(zone, *pair)
        # No listener yet, and so no target that could be unhealthy.
        assert await dock.addresses("alias.test") == [balancer.address]
        group = await balancing.target_group()
        listener = await balancing.listener(balancer, 8080, group)
        # A group without targets is unhealthy.
        await dock.changes_to("alias.test", ELSEWHERE, 6)
        await balancing.register(group, one)
        await eventually(lambda: balancing.state(group, one), "healthy", 12)
        await dock.changes_to("alias.test", balancer.address, 3)
        (record,) = (await dock.ask("alias.test")).rr
        assert record.ttl == 60

        one.status = 500
        await eventually(lambda: balancing.state(group, one), "unhealthy Target.ResponseCodeMismatch", 14)
        await dock.changes_to("alias.test", ELSEWHERE, 3)
        one.status = 200
        await eventually(lambda: balancing.state(group, one), "healthy", 14)
        await dock.changes_to("alias.test", balancer.address, 3)

    # Deleted: the alias leads nowhere, the secondary answers.
    await call(balancing.elb.delete_listener, ListenerArn=listener)
    await call(balancing.elb.delete_load_balancer, LoadBalancerArn=balancer.arn)
    await until(lambda: dock.addresses("alias.test"), [ELSEWHERE], 5)
    listed = await call(dock.route53.list_resource_record_sets, HostedZoneId=zone)
    (shown,) = [record for record in listed["ResourceRecordSets"] if record.get("Failover") == "PRIMARY"]
    assert shown["AliasTarget"] == {**alias, "DNSName": f"{alias['DNSName']}."}
