"""What `drydock rehearse` refuses before it breaks anything, and how it judges."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dock.home import Home
from drydock.errors import DrydockError
from drydock.rehearse import alarms
from drydock.rehearse.faults import CannotBeRehearsed, Fault
from drydock.rehearse.stage import Stage, repeated


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    document = {"endpoint_url": "http://127.0.0.1:1", "account": "000000000001", "region": "us-east-1"}
    (home.run / "endpoint.json").write_text(json.dumps(document))
    return home


@pytest.mark.parametrize("stack", ["production", "staging"])
def test_an_environment_of_real_users_is_not_rehearsed_on(home: Home, stack: str) -> None:
    with pytest.raises(DrydockError, match="not in this dock"):
        Stage.open(home, stack)


def test_an_environment_that_is_not_there_is_said_to_be_missing(home: Home) -> None:
    with pytest.raises(DrydockError, match="can't be read"):
        Stage.open(home, "nowhere")


def test_a_fault_that_breaks_its_own_cause_goes_on_and_ends_with_its_context() -> None:
    tried: list[int] = []

    def fail() -> None:
        tried.append(1)
        raise OSError("the fault has hit this too")

    with repeated(fail, 0.001):
        while len(tried) < 3:
            pass
    count = len(tried)
    time.sleep(0.02)
    assert len(tried) == count


class FakeStage:
    """Alarms that fire and clear as their fault says: `obedient` ones, that is."""

    def __init__(self, obedient: bool) -> None:
        self.obedient = obedient
        self.on = False
        self.taken_back = 0
        self.names = {"errors": "here-errors"}
        self.target = SimpleNamespace(manifest=SimpleNamespace(alarms=SimpleNamespace(names=self.names)))

    def alarms(self, names: list[str]) -> dict[str, dict[str, Any]]:
        state = "ALARM" if self.on and self.obedient else "OK"
        now = datetime.now(UTC)
        return {name: {"StateValue": state, "StateTransitionedTimestamp": now, "Period": 1} for name in names}

    @contextmanager
    def fault(self, _: Any) -> Iterator[None]:
        self.on = True
        try:
            yield
        finally:
            self.on = False
            self.taken_back += 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"FIRE_SECONDS": 0.2, "CLEAR_SECONDS": 0.2, "_LOOK_SECONDS": 0.01, "_JUDGED_SECONDS": 0.1}
    for name, seconds in times.items():
        monkeypatch.setattr(alarms, name, seconds)


def played(stage: FakeStage, **changes: Any) -> list[alarms.Row]:
    fault = Fault("requests fail", changes.pop("inject", stage.fault), ("errors",), 1, **changes)
    return alarms._Rehearsal(stage, quiet=True).play([fault])  # type: ignore[arg-type]


@pytest.mark.usefixtures("quick")
def test_an_alarm_that_fires_and_clears_has_passed() -> None:
    (row,) = played(FakeStage(obedient=True))
    assert row.passed
    assert row.fired_after is not None
    assert row.cleared_after is not None


@pytest.mark.usefixtures("quick")
def test_an_alarm_that_sleeps_is_found_out_and_its_fault_taken_back() -> None:
    stage = FakeStage(obedient=False)
    (row,) = played(stage)
    assert (row.verdict, row.passed, stage.taken_back) == ("did not fire", False, 1)


@pytest.mark.usefixtures("quick")
def test_an_alarm_that_fires_below_its_threshold_is_found_out() -> None:
    (row,) = played(FakeStage(obedient=True), silent=True)
    assert row.verdict == "fired, and should not have"


@pytest.mark.usefixtures("quick")
def test_a_fault_that_can_not_be_made_here_says_why_and_is_no_success() -> None:
    def impossible(_: Any) -> Any:
        raise CannotBeRehearsed("this disk is too small")

    (row,) = played(FakeStage(obedient=True), inject=impossible)
    assert (row.verdict, row.passed) == ("not rehearsed: this disk is too small", False)
