"""What stacks cost: nothing is forgotten, nothing is guessed, and the figures follow the settings."""

from __future__ import annotations

import datetime as dt
import json
from functools import cache

import pytest

from stacks.costs import rules
from stacks.costs.estimate import Estimate, estimate, is_free
from stacks.costs.of_stack import of_stack
from stacks.costs.prices import table
from stacks.costs.resources import Resource
from stacks.costs.rules import Tasks, is_priced
from stacks.settings import Settings
from tests.stacks.files import CONTROLS, FILES, PROFILES, parsed, settings_of
from tests.stacks.golden import build
from tests.stacks.recording import Recording, record

HOURS = 730


@cache
def estimated(stack: str) -> Estimate:
    return of_stack(parsed(stack))


@cache
def recorded(stack: str) -> Recording:
    return record(lambda: build(stack), stack)


def resource(type_: str, **inputs: object) -> Resource:
    return Resource(type_, "thing", "Thing thing", inputs)


def total(*resources: Resource, tasks: Tasks | None = None) -> float:
    return round(estimate(resources, tasks).monthly, 2)


@pytest.mark.parametrize("stack", [*FILES, *PROFILES])
def test_every_type_of_the_program_is_priced_or_listed_as_free(stack):
    types = {each.type for each in recorded(stack).custom()}
    assert {type_ for type_ in types if not is_free(type_) and not is_priced(type_)} == set()


def test_no_type_is_both_and_each_price_has_a_rule():
    assert set(table()["prices"]) & set(table()["free"]) == set()
    assert set(table()["prices"]) == set(rules._RULES)


@pytest.mark.parametrize("stack", [*FILES, *PROFILES])
def test_a_stack_is_estimated_whole_and_in_order(stack):
    found = estimated(stack)
    assert found.unpriced == []
    assert found.monthly == pytest.approx(sum(found.components.values()))
    assert list(found.components.values()) == sorted(found.components.values(), reverse=True)
    assert all(item.usd > 0 for item in found.items)


def test_the_graph_is_the_one_that_is_applied():
    """The estimate's own run of the program finds the resources that a recorded one finds."""
    from stacks.costs import resources

    listened = {(each.type, each.name) for each in resources.of(lambda: build("production"), "production", "drydock")}
    known = {(each.type, each.name) for each in recorded("production").custom()}
    assert listened == known


def test_profiles_are_told_apart_by_what_they_cost():
    small, staging, production = (estimated(stack).monthly for stack in ("small", "staging", "production"))
    assert small < 200 < staging < production
    assert max(estimated(stack).monthly for stack in CONTROLS) < 20


def test_a_standby_doubles_a_database():
    one = total(resource("aws:rds/instance:Instance", instanceClass="db.t4g.micro", allocatedStorage=20.0))
    two = total(
        resource("aws:rds/instance:Instance", instanceClass="db.t4g.micro", allocatedStorage=20.0, multiAz=True)
    )
    assert one == round(0.016 * HOURS + 20 * 0.115, 2)
    assert two == pytest.approx(2 * one, abs=0.01)


def test_what_deployments_run_is_counted_though_the_program_starts_nothing():
    service = resource("aws:ecs/service:Service", desiredCount=0)
    assert total(service, tasks=Tasks(2, 256, 512, "X86_64")) == round(2 * HOURS * (0.25 * 0.04048 + 0.5 * 0.004445), 2)
    assert total(service, tasks=Tasks(0, 256, 512, "X86_64")) == 0


def test_an_alarm_costs_by_its_metrics_and_more_when_it_is_quick():
    slow = resource("aws:cloudwatch/metricAlarm:MetricAlarm", metricName="a", period=60)
    quick = resource("aws:cloudwatch/metricAlarm:MetricAlarm", metricName="a", period=10)
    metrics = [
        {"id": "a", "metric": {"period": 60}},
        {"id": "b", "metric": {"period": 60}},
        {"id": "c", "expression": "a/b"},
    ]
    assert (total(slow), total(quick)) == (0.1, 0.3)
    assert total(resource("aws:cloudwatch/metricAlarm:MetricAlarm", metricQueries=metrics)) == 0.2


def test_a_table_is_paid_for_in_each_region():
    one = total(resource("aws:dynamodb/table:Table"))
    assert total(resource("aws:dynamodb/table:Table", replicas=[{"regionName": "us-west-2"}])) > one


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        (resource("aws:rds/instance:Instance", instanceClass="db.z9.huge", allocatedStorage=20), "db.z9.huge"),
        (
            resource("aws:elasticache/replicationGroup:ReplicationGroup", nodeType="cache.z9", numCacheClusters=1),
            "cache.z9",
        ),
        (resource("aws:sagemaker/endpoint:Endpoint"), "aws:sagemaker/endpoint:Endpoint"),
        (resource("aws:ecs/service:Service"), "how many tasks run is not known"),
    ],
)
def test_what_has_no_price_is_named_rather_than_guessed(unknown, said):
    (line,) = estimate([unknown]).unpriced
    assert said in line


def test_the_table_says_when_it_was_made_and_for_where():
    known = table()
    assert dt.date.fromisoformat(known["as_of"]) <= dt.date.today()
    assert (known["region"], known["currency"], known["hours_per_month"]) == ("us-east-1", "USD", HOURS)


def test_the_document_adds_up():
    document = estimated("small").document()
    assert json.loads(json.dumps(document)) == document
    assert document["monthly"] == pytest.approx(sum(each["monthly"] for each in document["components"]), abs=0.1)


def test_the_small_profile_gives_up_no_safety():
    small: Settings = settings_of("small")
    assert small.protection.data is True
    assert small.backups.lock is not None
    assert small.database.final_snapshot is True
    assert small.listener.certificate_arn is not None
    run = recorded("small")
    assert run.one("Instance").inputs["storageEncrypted"] is True
    assert run.one("Instance").inputs["deletionProtection"] is True
    cache = run.one("ReplicationGroup").inputs
    assert (cache["numCacheClusters"], cache["automaticFailoverEnabled"], cache["multiAzEnabled"]) == (1, False, False)
