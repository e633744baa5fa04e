"""Each dock has a block of addresses of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dock.addresses import Addresses
from dock.store import Store

MAKE = """
import sys
from pathlib import Path
from dock.addresses import Addresses
from dock.store import Store
# For as long as the object lives, so does its claim.
addresses = Addresses(Store(Path(sys.argv[1])))
print(addresses.octet, flush=True)
sys.stdin.read()
"""


def test_docks_that_are_made_at_once_never_share_a_block(tmp_path: Path) -> None:
    # Nothing listens yet in any of them: an engine that started second would find its address taken.
    docks = [Addresses(Store(tmp_path / f"{number}.sqlite")) for number in range(40)]
    assert len({dock.octet for dock in docks}) == len(docks)


def test_a_block_is_claimed_against_other_processes_and_free_when_its_process_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path / "other.sqlite")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        taken = int(other.stdout.readline())
        docks = [Addresses(Store(tmp_path / f"{number}.sqlite")) for number in range(60)]
        assert taken not in {dock.octet for dock in docks}
        other.communicate("", timeout=10)


def test_a_dock_keeps_its_block_over_restarts(tmp_path: Path) -> None:
    octets = set()
    for _ in range(3):
        store = Store(tmp_path / "dock.sqlite")
        octets.add(Addresses(store).octet)
        store.close()
    assert len(octets) == 1
