from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dock.store import EVERYWHERE, Scope, Store

HERE = Scope("000000000001", "us-east-1")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "dock.sqlite")


def test_a_record_comes_back_after_the_store_was_opened_again(store: Store, tmp_path: Path) -> None:
    store.table("thing").put(HERE, "a", {"n": 1})
    store.close()
    assert Store(tmp_path / "dock.sqlite").table("thing").get(HERE, "a") == {"n": 1}


def test_changing_a_copy_changes_no_record(store: Store) -> None:
    things = store.table("thing")
    things.put(HERE, "a", {"tags": ["x"]})
    copy = things.get(HERE, "a")
    assert copy is not None
    copy["tags"].append("y")
    assert things.get(HERE, "a") == {"tags": ["x"]}


def test_scopes_do_not_see_each_other(store: Store) -> None:
    things = store.table("thing")
    things.put(HERE, "a", {"n": 1})
    things.put(Scope("000000000002", "us-east-1"), "b", {"n": 2})
    assert things.list(HERE) == [{"n": 1}]
    assert len(things.all()) == 2


def test_a_transaction_that_fails_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    things = store.table("thing")
    things.put(HERE, "old", {"n": 1})

    def change_half() -> None:
        with store.transaction():
            things.put(HERE, "old", {"n": 2})
            things.put(HERE, "new", {"n": 3})
            things.delete(HERE, "old")
            raise ValueError("killed half-way")

    with pytest.raises(ValueError, match="half-way"):
        change_half()
    assert things.list(HERE) == [{"n": 1}]
    store.close()
    assert Store(tmp_path / "dock.sqlite").table("thing").list(HERE) == [{"n": 1}]


def test_an_acknowledged_record_survives_sigkill(tmp_path: Path) -> None:
    script = (
        "import sys; from dock.store import Store, EVERYWHERE; from pathlib import Path\n"
        "table = Store(Path(sys.argv[1])).table('thing')\n"
        "n = 0\n"
        "while True:\n"
        "    table.put(EVERYWHERE, str(n), {'n': n}); print(n, flush=True); n += 1\n"
    )
    path = tmp_path / "dock.sqlite"
    child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = [child.stdout.readline() for _ in range(20)]
    os.kill(child.pid, signal.SIGKILL)
    acknowledged += child.stdout.readlines()
    child.wait(10)
    kept = Store(path).table("thing")
    whole = [line for line in acknowledged if line.endswith("\n")]
    assert all(kept.get(EVERYWHERE, line.strip()) is not None for line in whole)


def test_a_full_disk_is_an_error_and_the_record_keeps_its_old_value(store: Store, tmp_path: Path) -> None:
    things = store.table("thing")
    things.put(HERE, "a", {"n": 1})
    store._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(Exception, match="full"):
        things.put(HERE, "a", {"n": "x" * 100_000})
    assert things.get(HERE, "a") == {"n": 1}
