"""Composite alarms: rules, circles, and the suppression of their actions as AWS documents it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from dock.aws.cloudwatch import rules
from dock.aws.cloudwatch.book import Book
from tests.dock.cloudwatch.conftest import NOON, Bench, topic

STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")


async def metric_alarm(bench: Bench, name: str, **more: Any) -> None:
    await bench.call(
        "put_metric_alarm",
        AlarmName=name,
        Namespace="App",
        MetricName=name,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        **more,
    )
    await set_state(bench, name, "OK")


async def set_state(bench: Bench, name: str, state: str) -> None:
    await bench.call("set_alarm_state", AlarmName=name, StateValue=state, StateReason="drill")
    await bench.service.actions.settled()


async def composite(bench: Bench, name: str, rule: str, **more: Any) -> None:
    await bench.call(
        "put_composite_alarm",
        AlarmName=name,
        AlarmRule=rule,
        AlarmActions=[topic("pager")],
        OKActions=[topic("pager")],
        **more,
    )
    await bench.service.actions.settled()


async def refused(bench: Bench, operation: str, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        await bench.call(operation, **parameters)
    return str(caught.value.response["Error"]["Message"])


def told(bench: Bench) -> list[str]:
    return [notification["NewStateValue"] for _, notification in bench.notified]


async def test_a_composite_alarm_follows_its_children_at_once(bench: Bench) -> None:
    await metric_alarm(bench, "errors")
    await metric_alarm(bench, "slow pages")
    await composite(bench, "site", 'ALARM(errors) AND ALARM("slow pages")')
    assert await bench.state("site") == "OK"
    await set_state(bench, "errors", "ALARM")
    assert await bench.state("site") == "OK"
    await set_state(bench, "slow pages", "ALARM")
    site = await bench.alarm("site")
    assert site["StateValue"] == "ALARM"
    assert site["StateReason"] == (
        "arn:aws:cloudwatch:us-east-1:000000000001:alarm:slow pages transitioned to ALARM at"
        " Monday 02 March, 2026 12:00:00 UTC"
    )
    reason = json.loads(site["StateReasonData"])
    assert reason["triggeringAlarms"][0]["state"] == {"value": "ALARM", "timestamp": "2026-03-02T12:00:00.000+0000"}
    assert told(bench) == ["OK", "ALARM"]
    assert bench.notified[-1][1]["TriggeringChildren"][0]["State"]["Value"] == "ALARM"


async def test_composite_alarms_stand_on_each_other(bench: Bench) -> None:
    await metric_alarm(bench, "a")
    await composite(bench, "b", "NOT OK(a)")
    await composite(bench, "c", "ALARM(b) OR INSUFFICIENT_DATA(a)")
    await set_state(bench, "a", "INSUFFICIENT_DATA")
    assert [await bench.state(name) for name in ("b", "c")] == ["ALARM", "ALARM"]
    await set_state(bench, "a", "OK")
    assert [await bench.state(name) for name in ("b", "c")] == ["OK", "OK"]
    children = await bench.call("describe_alarms", ChildrenOfAlarmName="c")
    assert [alarm["AlarmName"] for alarm in children["CompositeAlarms"]] == ["b"]
    assert [alarm["AlarmName"] for alarm in children["MetricAlarms"]] == ["a"]
    parents = await bench.call("describe_alarms", ParentsOfAlarmName="a")
    assert [alarm["AlarmName"] for alarm in parents["CompositeAlarms"]] == ["b", "c"]


async def test_a_circle_of_rules_is_refused(bench: Bench) -> None:
    await metric_alarm(bench, "a")
    await composite(bench, "b", "ALARM(a)")
    await composite(bench, "c", "ALARM(b)")
    message = await refused(bench, "put_composite_alarm", AlarmName="b", AlarmRule="ALARM(c) OR ALARM(a)")
    assert "circle" in message
    message = await refused(bench, "put_composite_alarm", AlarmName="b", AlarmRule="ALARM(b)")
    assert "circle" in message
    assert (await bench.alarm("b"))["AlarmRule"] == "ALARM(a)"


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("ALARM(none)", "none, which does not exist"),
        ("ALARM(a) AND", "error at character"),
        ("BROKEN(a)", "error at character"),
        ("ALARM()", "error at character"),
        ("ALARM(arn:aws:cloudwatch:us-west-2:000000000001:alarm:a)", "same account and region"),
        (" OR ".join(["ALARM(a)"] * 600), "500 are the most"),
    ],
)
async def test_a_wrong_rule_is_refused(bench: Bench, rule: str, complaint: str) -> None:
    await metric_alarm(bench, "a")
    assert complaint in await refused(bench, "put_composite_alarm", AlarmName="c", AlarmRule=rule)


async def test_what_others_depend_on_can_not_be_deleted(bench: Bench) -> None:
    await metric_alarm(bench, "a")
    await metric_alarm(bench, "deploying")
    periods = {"ActionsSuppressorWaitPeriod": 1, "ActionsSuppressorExtensionPeriod": 1}
    await composite(bench, "b", "ALARM(a)", ActionsSuppressor="deploying", **periods)
    assert "depending on it: b" in await refused(bench, "delete_alarms", AlarmNames=["a"])
    assert "depending on it: b" in await refused(bench, "delete_alarms", AlarmNames=["deploying"])
    await composite(bench, "c", "ALARM(a)")
    assert "At most one composite" in await refused(bench, "delete_alarms", AlarmNames=["b", "c"])
    await bench.call("delete_alarms", AlarmNames=["c"])
    await bench.call("delete_alarms", AlarmNames=["a", "b", "deploying"])
    left = await bench.call("describe_alarms", AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    assert (left["MetricAlarms"], left["CompositeAlarms"]) == ([], [])


async def test_a_name_belongs_to_one_kind_of_alarm(bench: Bench) -> None:
    await metric_alarm(bench, "a")
    message = await refused(bench, "put_composite_alarm", AlarmName="a", AlarmRule="TRUE")
    assert "another type" in message


WAIT, EXTENSION = 20, 30


async def suppressed(bench: Bench) -> None:
    """`site` follows `errors`; `deploying` suppresses it. One unit of AWS's examples is 10 s here."""
    await metric_alarm(bench, "errors")
    await metric_alarm(bench, "deploying")
    await composite(
        bench,
        "site",
        "ALARM(errors)",
        ActionsSuppressor="deploying",
        ActionsSuppressorWaitPeriod=WAIT,
        ActionsSuppressorExtensionPeriod=EXTENSION,
    )
    await at(bench, -5)
    bench.notified.clear()


async def at(bench: Bench, unit: float) -> None:
    """The clock goes to `unit` × 10 s after noon (plus what the set-up waits for)."""
    bench.at = NOON + 100 + 10 * unit
    bench.service.book.tick(bench.at)
    await bench.service.actions.settled()


async def by(bench: Bench) -> str | None:
    return (await bench.alarm("site")).get("ActionsSuppressedBy")


async def test_actions_come_after_the_wait_period_when_the_suppressor_stays_quiet(bench: Bench) -> None:
    await suppressed(bench)
    await at(bench, 2)
    await set_state(bench, "errors", "ALARM")
    assert (await bench.state("site"), await by(bench), told(bench)) == ("ALARM", "WaitPeriod", [])
    await at(bench, 3.9)
    assert told(bench) == []
    await at(bench, 4)
    assert (await by(bench), told(bench)) == (None, ["ALARM"])


async def test_a_suppressor_that_comes_within_the_wait_period_keeps_actions_back(bench: Bench) -> None:
    await suppressed(bench)
    await at(bench, 2)
    await set_state(bench, "errors", "ALARM")
    await at(bench, 3)
    await set_state(bench, "deploying", "ALARM")
    await at(bench, 50)
    assert (await by(bench), told(bench)) == ("Alarm", [])


async def test_a_change_during_the_wait_period_waits_anew_and_acts_on_the_newest_state(bench: Bench) -> None:
    await suppressed(bench)
    await at(bench, 2)
    await set_state(bench, "errors", "ALARM")
    await at(bench, 3)
    await set_state(bench, "errors", "OK")
    await at(bench, 4)
    assert (await by(bench), told(bench)) == ("WaitPeriod", [])
    await at(bench, 5)
    assert (await by(bench), told(bench)) == (None, ["OK"])


async def test_a_suppressor_that_is_in_alarm_already_keeps_actions_back(bench: Bench) -> None:
    await suppressed(bench)
    await set_state(bench, "deploying", "ALARM")
    await at(bench, 2)
    await set_state(bench, "errors", "ALARM")
    await at(bench, 50)
    site = await bench.alarm("site")
    assert (site["ActionsSuppressedBy"], told(bench)) == ("Alarm", [])
    assert site["ActionsSuppressedReason"]


async def test_actions_come_after_the_extension_period(bench: Bench) -> None:
    await suppressed(bench)
    await at(bench, 2)
    await set_state(bench, "errors", "ALARM")
    await at(bench, 3)
    await set_state(bench, "deploying", "ALARM")
    await at(bench, 6)
    await set_state(bench, "deploying", "OK")
    assert await by(bench) == "ExtensionPeriod"
    await at(bench, 8.9)
    assert told(bench) == []
    await at(bench, 9)
    assert (await by(bench), told(bench)) == (None, ["ALARM"])


async def test_a_change_during_the_extension_period_waits_anew(bench: Bench) -> None:
    await suppressed(bench)
    await at(bench, 2)
    await set_state(bench, "errors", "ALARM")
    await at(bench, 3)
    await set_state(bench, "deploying", "ALARM")
    await at(bench, 6)
    await set_state(bench, "deploying", "OK")
    await at(bench, 7)
    await set_state(bench, "errors", "OK")
    assert await by(bench) == "WaitPeriod"
    await at(bench, 8.9)
    assert told(bench) == []
    await at(bench, 9)
    assert told(bench) == ["OK"]


async def test_a_suppressor_that_comes_and_goes_sets_nothing_off_by_itself(bench: Bench) -> None:
    await suppressed(bench)
    await set_state(bench, "deploying", "ALARM")
    await at(bench, 5)
    await set_state(bench, "deploying", "OK")
    await at(bench, 50)
    assert (await by(bench), told(bench)) == (None, [])


async def test_another_suppressor_discards_the_wait_of_the_one_before(bench: Bench) -> None:
    await suppressed(bench)
    await at(bench, 2)
    await set_state(bench, "errors", "ALARM")
    await composite(bench, "site", "ALARM(errors)")
    assert await by(bench) is None


async def test_a_suppressor_needs_its_periods(bench: Bench) -> None:
    await metric_alarm(bench, "a")
    parameters = {"AlarmName": "c", "AlarmRule": "ALARM(a)"}
    assert "WaitPeriod" in await refused(bench, "put_composite_alarm", **parameters, ActionsSuppressor="a")
    message = await refused(bench, "put_composite_alarm", **parameters, ActionsSuppressorWaitPeriod=1)
    assert "need an ActionsSuppressor" in message


async def test_a_wait_survives_a_restart(bench: Bench) -> None:
    await suppressed(bench)
    await at(bench, 2)
    await set_state(bench, "errors", "ALARM")
    reborn = Book(bench.cloud.store, bench.service.history, bench.service.actions, lambda: bench.at)
    assert reborn.next_tick() == NOON + 120 + WAIT
    bench.at = NOON + 150
    reborn.tick(bench.at)
    await bench.service.actions.settled()
    assert told(bench) == ["ALARM"]


async def test_composites_catch_up_with_what_a_killed_daemon_left(bench: Bench) -> None:
    await metric_alarm(bench, "a")
    await composite(bench, "b", "ALARM(a)")
    table = bench.cloud.store.table("cloudwatch/alarm")
    ((scope, record),) = [(scope, body) for scope, name, body in table.all() if name == "a"]
    table.put(scope, "a", {**record, "StateValue": "ALARM"})
    bench.service.book.compose_all()
    assert await bench.state("b") == "ALARM"


RULES = st.recursive(
    st.sampled_from(["TRUE", "FALSE"])
    | st.tuples(st.sampled_from(STATES), st.sampled_from(["a", '"b c"', "'d'"])).map(lambda one: f"{one[0]}({one[1]})"),
    lambda inner: st.one_of(
        inner.map(lambda one: f"NOT {one}"),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda one: f"({one[0]} {one[1]} {one[2]})"),
    ),
    max_leaves=12,
)


@given(RULES, st.tuples(*[st.sampled_from([*STATES, None])] * 3))
def test_a_rule_says_what_python_says(rule: str, states: tuple[str | None, ...]) -> None:
    of = dict(zip(("a", "b c", "d"), states, strict=True))
    text = rule.replace('"b c"', "b").replace("'d'", "d")
    for name, key in (("a", "a"), ("b", "b c"), ("d", "d")):
        for state in STATES:
            text = text.replace(f"{state}({name})", str(of[key] == state))
    text = text.replace("NOT", "not").replace("AND", "and").replace("OR", "or")
    text = text.replace("TRUE", "True").replace("FALSE", "False")
    assert rules.holds(rules.parse(rule), of.get) == eval(text)


def test_not_binds_stronger_than_and_and_and_stronger_than_or() -> None:
    of = {"a": "OK", "b": "ALARM", "c": "ALARM"}
    assert rules.holds(rules.parse("NOT ALARM(a) AND ALARM(b) OR FALSE"), of.get)
    assert rules.holds(rules.parse("ALARM(b) OR ALARM(c) AND ALARM(a)"), of.get)
    assert not rules.holds(rules.parse("(ALARM(b) OR ALARM(c)) AND ALARM(a)"), of.get)
