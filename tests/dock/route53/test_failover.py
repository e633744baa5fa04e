"""Health checks on real endpoints, and the answers that follow them. AWS's shortest interval is 10 s."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.dock.conftest import call
from tests.dock.route53.conftest import Dock, failover, simple, until

pytestmark = [pytest.mark.dock, pytest.mark.asyncio(loop_scope="module")]

INTERVAL = 10
TTL = 5
ELSEWHERE = "127.0.0.2"


class CachingClient:
    """A client as an operating system has one: asks again when the answer's time to live is over."""

    def __init__(self, dock: Dock, name: str) -> None:
        self._dock, self._name = dock, name
        self._until, self._answer = 0.0, ""

    async def resolve(self) -> str:
        if time.monotonic() >= self._until:
            (record,) = (await self._dock.ask(self._name)).rr
            self._answer, self._until = str(record.rdata), time.monotonic() + record.ttl
        return self._answer


async def test_a_dead_primary_is_left_within_interval_times_threshold_and_a_client_that_caches_within_its_ttl(
    dock: Dock,
) -> None:
    zone = await dock.zone("story.test")
    async with dock.endpoint() as primary:
        check = await dock.check(primary)
        await dock.change(zone, *failover("story.test", primary.address, ELSEWHERE, check, TTL))
        client = CachingClient(dock, "story.test")
        await until(lambda: dock.observed(check), ["Success: HTTP Status Code 200, OK"] * 3, 15)
        assert await dock.addresses("story.test") == [primary.address]
        addresses = {address for address, _ in primary.asked}
        assert addresses == {f"127.{dock.cloud.addresses.octet}.0.{number}" for number in (61, 64, 68)}
        assert all(check in headers["User-Agent"] for _, headers in primary.asked)

        await primary.die()
        failing = asyncio.create_task(dock.first_failure(check))
        stale_until = None
        while await dock.addresses("story.test") != [ELSEWHERE]:
            assert await client.resolve() == primary.address
            await asyncio.sleep(0.02)
        changed = time.time()
        assert changed - await failing <= INTERVAL * 1 + 1
        while await client.resolve() != ELSEWHERE:
            assert time.time() - changed <= TTL + 0.5
            await asyncio.sleep(0.05)
            stale_until = time.time()
        assert stale_until is None or stale_until - changed <= TTL + 0.5
        reasons = await call(dock.route53.get_health_check_last_failure_reason, HealthCheckId=check)
        assert "could not establish a connection" in reasons["HealthCheckObservations"][0]["StatusReport"]["Status"]

        await primary.start()
        back = time.time()
        assert await dock.changes_to("story.test", primary.address, INTERVAL + 1) - back <= INTERVAL + 1


async def test_a_health_check_that_flaps_below_its_threshold_does_not_fail_over(dock: Dock) -> None:
    zone = await dock.zone("flap.test")
    async with dock.endpoint() as primary, dock.endpoint() as steady:
        flapping = await dock.check(primary, FailureThreshold=2)
        failing = await dock.check(steady, FailureThreshold=2)
        await dock.change(zone, *failover("flap.test", primary.address, ELSEWHERE, flapping))
        await dock.change(zone, *failover("steady.flap.test", steady.address, ELSEWHERE, failing))
        primary.status = steady.status = 500
        first = await dock.first_failure(failing)
        await until(lambda: dock.observed(flapping), ["Failure: HTTP Status Code 500, Internal Server Error"] * 3, 15)
        # Every region saw one failure; the next answer is good again.
        primary.status = 200
        changed = await dock.changes_to("steady.flap.test", ELSEWHERE, 2 * INTERVAL + 2)
        assert INTERVAL <= changed - first <= 2 * INTERVAL + 1
        await until(lambda: dock.observed(flapping), ["Success: HTTP Status Code 200, OK"] * 3, 15)
        assert await dock.addresses("flap.test") == [primary.address]


async def test_what_counts_as_an_answer_and_what_a_parent_makes_of_it(dock: Dock) -> None:
    zone = await dock.zone("kinds.test")
    async with dock.endpoint(body="x" * 5110 + "needle") as near, dock.endpoint(body="x" * 5120 + "needle") as far:
        found = await dock.check(near, Type="HTTP_STR_MATCH", SearchString="needle"[:5])
        hidden = await dock.check(far, Type="HTTP_STR_MATCH", SearchString="needle")
        connected = await dock.check(near, Type="TCP")
        inverted = await dock.check(near, Inverted=True)
        disabled = await dock.check(far, Type="HTTP_STR_MATCH", SearchString="needle", Disabled=True)
        await dock.change(zone, ("CREATE", simple("named.kinds.test", near.address)))
        named = await dock.check(
            Type="HTTP", FullyQualifiedDomainName="named.kinds.test", Port=8080, RequestInterval=10, FailureThreshold=1
        )
        nowhere = await dock.check(
            Type="HTTP", FullyQualifiedDomainName="aws.example", Port=8080, RequestInterval=10, FailureThreshold=1
        )
        all_of = await dock.check(Type="CALCULATED", HealthThreshold=2, ChildHealthChecks=[found, hidden])
        one_of = await dock.check(Type="CALCULATED", HealthThreshold=1, ChildHealthChecks=[found, hidden])
        wanted = {found: True, hidden: False, connected: True, inverted: False, disabled: True, named: True,
                  nowhere: False, all_of: False, one_of: True}  # fmt: skip

        async def states() -> dict[str, bool]:
            healthy = dock.cloud.services["route53"].healthy()  # type: ignore[attr-defined]
            return {check: healthy.get(("000000000001", check)) for check in wanted}

        await until(states, wanted, INTERVAL + 3)
        await until(lambda: dock.observed(found), ["Success: HTTP Status Code 200, OK, String Found"] * 3, INTERVAL)
        assert set(await dock.observed(hidden)) == {"Failure: HTTP Status Code 200, OK, String Not Found"}
        assert "DNS resolution failed" in " ".join(await dock.observed(nowhere))
        assert len(await dock.observed(named)) == 8, "without a choice all regions check"
        hosts = {headers["Host"] for _, headers in near.asked}
        assert hosts == {f"{near.address}:8080", "named.kinds.test:8080"}


async def test_with_both_unhealthy_the_primary_answers_and_a_deleted_check_says_nothing(dock: Dock) -> None:
    zone = await dock.zone("both.test")
    async with dock.endpoint(status=500) as primary, dock.endpoint(status=503) as secondary:
        first, second = await dock.check(primary), await dock.check(secondary)
        pair = failover("both.test", primary.address, secondary.address, first)
        pair[1][1]["HealthCheckId"] = second
        await dock.change(zone, *pair)
        third = simple("only.both.test", primary.address, SetIdentifier="p", Failover="PRIMARY", HealthCheckId=first)
        await dock.change(zone, ("CREATE", third), ("CREATE", simple("only.both.test", ELSEWHERE, SetIdentifier="s", Failover="SECONDARY")))  # fmt: skip  # noqa: E501
        await dock.changes_to("only.both.test", ELSEWHERE, INTERVAL + 2)
        await until(lambda: dock.observed(second), ["Failure: HTTP Status Code 503, Service Unavailable"] * 3, INTERVAL)
        assert await dock.addresses("both.test") == [primary.address]
        await call(dock.route53.delete_health_check, HealthCheckId=first)
        await dock.changes_to("only.both.test", primary.address, 3)


async def test_an_alarm_decides_and_without_data_the_setting_does(dock: Dock) -> None:
    alarms = dock.cloud.client("cloudwatch", "000000000001", "us-west-2")
    # Without data it stays in the state that it is set to.
    await call(alarms.put_metric_alarm, AlarmName="dns", Namespace="T", MetricName="m", Statistic="Sum", Period=60,
               EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
               TreatMissingData="ignore")  # fmt: skip
    followed = {"Type": "CLOUDWATCH_METRIC", "AlarmIdentifier": {"Region": "us-west-2", "Name": "dns"}}
    down = await dock.check(**followed, InsufficientDataHealthStatus="Unhealthy")
    last = await dock.check(**followed, InsufficientDataHealthStatus="LastKnownStatus")
    zone = await dock.zone("alarm.test")
    await dock.change(zone, *failover("down.alarm.test", "127.0.0.1", ELSEWHERE, down))
    await dock.change(zone, *failover("last.alarm.test", "127.0.0.1", ELSEWHERE, last))
    described = await call(dock.route53.get_health_check, HealthCheckId=last)
    assert described["HealthCheck"]["CloudWatchAlarmConfiguration"]["MetricName"] == "m"
    await dock.changes_to("down.alarm.test", ELSEWHERE, 5)
    assert await dock.addresses("last.alarm.test") == ["127.0.0.1"]
    await call(alarms.set_alarm_state, AlarmName="dns", StateValue="ALARM", StateReason="a test")
    await dock.changes_to("last.alarm.test", ELSEWHERE, 5)
    await call(alarms.set_alarm_state, AlarmName="dns", StateValue="OK", StateReason="a test")
    await dock.changes_to("last.alarm.test", "127.0.0.1", 5)
    await dock.changes_to("down.alarm.test", "127.0.0.1", 5)
    await call(alarms.put_metric_alarm, AlarmName="tail", Namespace="T", MetricName="m", ExtendedStatistic="p95",
               Period=60, EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold")  # fmt: skip
    with pytest.raises(dock.route53.exceptions.InvalidInput, match="by a standard statistic"):
        await dock.check(**{**followed, "AlarmIdentifier": {"Region": "us-west-2", "Name": "tail"}})
