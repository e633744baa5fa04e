"""The README's commands, as they stand there."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.rehearsals.environment import PROJECT, Environment

pytestmark = [pytest.mark.dock, pytest.mark.engine, pytest.mark.timeout(900)]


def test_the_commands_of_the_readme_work_in_the_order_in_which_they_stand_there(environment: Environment) -> None:
    blocks = re.findall(r"```console\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    commands = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    assert len(commands) > 10
    typed = [command for command in commands if not command.startswith("make ")]
    script = "\n".join(["set -e", f"export DRYDOCK_HOME={shlex.quote(str(environment.home))}", *typed])
    done = environment.run(script, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "PONG" in done.stdout
