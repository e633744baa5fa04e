"""What the checkers of a health check agree on."""

from __future__ import annotations

from typing import Any

import pytest

from dock.engines.dns import checks as module
from dock.engines.dns.checks import Check, Checker, Checks
from dock.engines.dns.probe import Outcome

REGIONS = tuple(f"region-{number}" for number in range(8))
GOOD, BAD = Outcome(True, "Success: HTTP Status Code 200, OK"), Outcome(False, "Failure: HTTP Status Code 500, no")


def endpoint(identifier: str = "e", **more: Any) -> Check:
    facts = {"identifier": identifier, "kind": "endpoint", "inverted": False, "disabled": False, "interval": 10,
             "threshold": 2, "regions": list(REGIONS), **more}  # fmt: skip
    return Check.load(facts)


def calculated(children: list[str], needed: int, **more: Any) -> Check:
    facts = {"identifier": "c", "kind": "calculated", "inverted": False, "disabled": False, "children": children,
             "health_threshold": needed, **more}  # fmt: skip
    return Check.load(facts)


def alarm(insufficient: str) -> Check:
    facts = {"identifier": "a", "kind": "alarm", "inverted": False, "disabled": False, "insufficient": insufficient}
    return Check.load(facts)


class Rig:
    """Checks whose checkers see what a test says."""

    def __init__(self) -> None:
        self.changes = 0
        self.checks = Checks(dict.fromkeys(REGIONS, "127.0.0.1"), lambda _: [], self._count)

    def _count(self) -> None:
        self.changes += 1

    def see(self, outcome: Outcome, regions: int, times: int = 2, check: str = "e") -> None:
        running = self.checks._running[check]
        for checker in list(running.checkers.values())[:regions]:
            for _ in range(times):
                checker.see(outcome, running.check.threshold)


@pytest.fixture
async def rig():
    rig = Rig()
    yield rig
    await rig.checks.stop()


def test_a_checker_changes_its_mind_after_as_many_results_in_a_row_as_the_threshold():
    checker = Checker()
    assert [checker.see(outcome, 3) for outcome in (BAD, BAD, GOOD, BAD, BAD, BAD)] == [False] * 5 + [True]
    assert not checker.healthy
    assert [checker.see(outcome, 3) for outcome in (GOOD, GOOD, BAD, GOOD, GOOD, GOOD)] == [False] * 5 + [True]
    assert checker.healthy


async def test_it_is_healthy_while_more_than_eighteen_percent_of_its_checkers_say_so(rig):
    rig.checks.load({"e": endpoint()})
    assert rig.checks.healthy("e"), "a new one is healthy until it failed often enough"
    rig.see(BAD, 6)
    assert rig.checks.healthy("e"), "2 of 8 are 25 %"
    rig.see(BAD, 7)
    assert not rig.checks.healthy("e"), "1 of 8 is 12.5 %"


async def test_results_below_the_threshold_change_nothing(rig):
    rig.checks.load({"e": endpoint(threshold=3)})
    rig.see(BAD, 8, times=2)
    rig.see(GOOD, 8, times=1)
    rig.see(BAD, 8, times=2)
    assert rig.checks.healthy("e")


async def test_an_inverted_one_says_the_opposite_and_a_disabled_one_is_healthy(rig):
    rig.checks.load({"e": endpoint(inverted=True), "d": endpoint("d", disabled=True), "i": endpoint("i", disabled=True, inverted=True)})  # fmt: skip  # noqa: E501
    assert not rig.checks.healthy("e")
    rig.see(BAD, 8)
    assert rig.checks.healthy("e")
    rig.see(BAD, 8, check="d")
    assert rig.checks.healthy("d")
    assert not rig.checks.healthy("i")


@pytest.mark.parametrize(("needed", "healthy"), [(0, True), (1, True), (2, False), (3, False)])
async def test_a_calculated_one_wants_so_many_of_its_children_healthy(rig, needed, healthy):
    rig.checks.load({"e": endpoint(), "f": endpoint("f"), "c": calculated(["e", "f"], needed)})
    rig.see(BAD, 8)
    assert rig.checks.healthy("c") is healthy
    (observed,) = rig.checks.observations("c")
    assert "1 of 2 child health checks are healthy" in observed["text"]


@pytest.mark.parametrize(
    ("insufficient", "expected"), [("Healthy", True), ("Unhealthy", False), ("LastKnownStatus", False)]
)
async def test_an_alarm_without_data_is_what_the_check_says_of_it(rig, insufficient, expected, monkeypatch):
    rig.checks.load({"a": alarm(insufficient)})
    rig.checks.alarm("a", "OK")
    assert rig.checks.healthy("a")
    rig.checks.alarm("a", "ALARM")
    assert not rig.checks.healthy("a")
    rig.checks.alarm("a", "INSUFFICIENT_DATA")
    assert rig.checks.healthy("a") is expected
    rig.checks.alarm("a", "OK")
    # Nobody has confirmed it for a while: the control plane is gone.
    monkeypatch.setattr(module, "ALARM_STALE_SECONDS", -1)
    assert rig.checks.healthy("a") is (insufficient != "Unhealthy")


async def test_a_restart_does_not_make_a_dead_endpoint_healthy():
    first, second = Rig(), Rig()
    first.checks.load({"e": endpoint()})
    first.see(BAD, 8)
    second.checks.restore(first.checks.document())
    second.checks.load({"e": endpoint()})
    assert not second.checks.healthy("e")
    assert second.checks.observations("e")[0]["failure"] == BAD.text
    await first.checks.stop()
    await second.checks.stop()


async def test_a_change_of_the_threshold_keeps_what_was_seen_and_one_of_the_endpoint_does_not(rig):
    rig.checks.load({"e": endpoint()})
    rig.see(BAD, 8)
    rig.checks.load({"e": endpoint(threshold=5)})
    assert not rig.checks.healthy("e")
    other = {"protocol": "tcp", "address": "127.0.0.1", "host": None, "port": 1, "path": "/", "search": None, "sni": False}  # fmt: skip  # noqa: E501
    rig.checks.load({"e": endpoint(endpoint=other)})
    assert rig.checks.healthy("e")
