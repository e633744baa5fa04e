"""The last of the rehearsals: `pulumi destroy` leaves nothing running."""

from __future__ import annotations

import pytest

from tests.rehearsals.environment import Environment, until

pytestmark = [pytest.mark.dock, pytest.mark.engine, pytest.mark.timeout(900)]


def test_destroy_leaves_nothing_running(environment: Environment) -> None:
    environment.run("pulumi destroy --yes --skip-preview --stack local --non-interactive")

    def only_the_dock_itself() -> bool:
        left = {process["name"].split("/")[0] for process in environment.status()["processes"]}
        return left <= {"emulator", "dns"}

    until(only_the_dock_itself, 60, "only the emulator and the DNS server are left")
    assert environment.json("aws rds describe-db-instances")["DBInstances"] == []
    assert environment.json("aws ecs list-clusters")["clusterArns"] == []
