"""The production stack, whole, beside the local environment."""

from __future__ import annotations

import json

import pytest

from tests.rehearsals.environment import Environment

pytestmark = [pytest.mark.dock, pytest.mark.engine, pytest.mark.timeout(900)]


def test_the_whole_production_stack_comes_up_changes_nothing_more_and_leaves_nothing(environment: Environment) -> None:
    done = environment.run("drydock rehearse production --json", check=False, seconds=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found = json.loads(done.stdout)
    assert found["passed"]
    assert found["resources"] > 150
    assert (found["unchanged"], found["left"], found["problem"]) == (True, [], "")
    # The local environment was in nobody's way, and nobody in its.
    environment.run("pulumi preview --stack local --expect-no-changes")
