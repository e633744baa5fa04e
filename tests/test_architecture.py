"""What holds over the whole tree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGES = ("stacks", "components", "operations", "dock", "drydock", "tools", "benchmarks")


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=30)
    return [PROJECT / name for name in listed.stdout.splitlines() if (PROJECT / name).is_file()]


def test_arrows_between_packages_go_one_way() -> None:
    command = str(Path(sys.executable).with_name("lint-imports"))
    done = subprocess.run([command], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_no_file_is_a_god_file() -> None:
    long = {str(path): count for path in tracked("*.py") if (count := len(path.read_text().splitlines())) > 600}
    assert long == {}


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    drawers = [path for path in tracked("*.py") if path.stem in ("utils", "util", "helpers", "common", "misc")]
    assert drawers == []


def test_every_test_is_collected() -> None:
    """A file with tests whose name no pattern matches would never run."""
    hidden = [
        path
        for path in tracked("*.py")
        if re.search(r"^(async )?def test_", path.read_text(), re.MULTILINE) and not path.name.startswith("test_")
    ]
    assert hidden == []


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_binds_a_wildcard_address(package: str) -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for path in tracked(f"{package}/**.py", f"{package}/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value == "0.0.0.0"
    ]
    assert found == []


def test_lock_files_carry_hashes_and_no_addresses() -> None:
    for lock in tracked("*.lock"):
        text = lock.read_text()
        assert "://" not in text, lock
        pins = re.findall(r"^[a-z0-9].*==", text, re.MULTILINE)
        assert pins, lock
        assert text.count("--hash=sha256:") >= len(pins), lock


def test_no_cancellation_is_lost_in_wait_for() -> None:
    """Up to Python 3.11 `asyncio.wait_for` swallows a cancellation that comes as its awaitable completes: whoever
    cancelled then waits for ever. `asyncio.timeout` doesn't."""
    users = [path for path in tracked("dock/**.py", "dock/*.py") if re.search(r"asyncio\.wait_for\(", path.read_text())]
    assert users == []
