"""Multi-AZ: nothing that was acknowledged is lost, whoever dies, also while nobody looks."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.dock.rds.rig import Dock, Instance, alive, create, memory, until
from tests.dock.rds.writer import Writer

pytestmark = pytest.mark.dock


@pytest.fixture(scope="module")
def pair(dock: Dock) -> Instance:
    """A Multi-AZ instance."""
    made = create(dock, "pair", MultiAZ=True, BackupRetentionPeriod=1)
    made.wait()
    return made


def zones(instance: Instance) -> tuple[str, str]:
    described = instance.describe()
    return described["AvailabilityZone"], described["SecondaryAvailabilityZone"]


def test_a_multi_az_instance_has_a_synchronous_standby_when_it_is_available(pair: Instance) -> None:
    assert pair.describe()["MultiAZ"]
    assert len(set(zones(pair))) == 2
    assert pair.nodes()["standby"]["synchronous"]
    assert pair.query("SHOW synchronous_commit") == "on"


def test_the_standby_takes_over_when_the_primary_is_killed(pair: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    nodes, before = pair.synchronous(), zones(pair)
    with Writer(pair) as writer:
        os.kill(nodes["primary"]["pid"], signal.SIGKILL)
        writer.wait_for_more()
    assert writer.lost() == set()
    assert writer.outage() < 5
    assert pair.nodes()["primary"]["pid"] == nodes["standby"]["pid"]
    messages = pair.messages()
    assert any(message.startswith("Multi-AZ instance failover started") for message in messages)
    assert "Multi-AZ instance failover completed" in messages
    with capsys.disabled():
        print(f"\nfailover after SIGKILL: {writer.outage():.2f} s without an acknowledged commit")
    # The former primary is dead for certain, and comes back as a standby.
    rebuilt = pair.synchronous()
    assert rebuilt["standby"]["node"] == nodes["primary"]["node"]
    assert zones(pair) == before[::-1]


def test_a_former_primary_that_comes_back_takes_old_segments_from_the_archive(pair: Instance) -> None:
    """One hung for ever: it was turned back to a checkpoint whose segment the new primary no longer had."""
    nodes = pair.synchronous()
    with pair.connect() as connection:
        connection.execute("CHECKPOINT")
    for _ in range(3):
        # More than a segment of 16 MB each time, all of them after the last checkpoint.
        pair.query("SELECT count(pg_logical_emit_message(true, 't', repeat('x', 1000000))) FROM generate_series(1, 17)")
    standby = nodes["standby"]["address"].partition(":")[0]
    with pair.connect(host=standby, port=5432, sslmode="require") as connection:
        os.kill(nodes["primary"]["pid"], signal.SIGKILL)
        promoted = "SELECT NOT pg_is_in_recovery()"
        until(lambda: connection.execute(promoted).fetchone() == (True,), 30, "the standby took over", pause=0.005)
        # As after an hour: nothing keeps the segments for the former primary yet.
        connection.execute("CHECKPOINT")
    until(lambda: pair.nodes()["primary"]["node"] == nodes["standby"]["node"], 30, "the record says so")
    rebuilt = pair.synchronous()
    assert rebuilt["standby"]["node"] == nodes["primary"]["node"]
    assert "restored log file" in pair.server_log(nodes["primary"]["node"])


def test_a_backend_that_outlives_its_killed_primary_is_ended_before_the_promotion(pair: Instance) -> None:
    primary = pair.synchronous()["primary"]["pid"]
    session = pair.connect()
    backend = session.info.backend_pid
    try:
        # Busy without ever waiting, it would notice its postmaster's end only much later.
        session.pgconn.send_query(b"SELECT sum(length(md5(n::text))) FROM generate_series(1, 100000000) n")
        os.kill(primary, signal.SIGKILL)
        until(lambda: pair.nodes().get("primary", {}).get("pid") not in (None, primary), 20, "another primary")
        assert not alive(backend)
    finally:
        session.close()


def test_a_reboot_with_failover_promotes_the_standby(pair: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    nodes, before = pair.synchronous(), zones(pair)
    with Writer(pair) as writer:
        pair.rds.reboot_db_instance(DBInstanceIdentifier="pair", ForceFailover=True)
        pair.wait()
        writer.wait_for_more()
    assert writer.lost() == set()
    assert pair.nodes()["primary"]["node"] == nodes["standby"]["node"]
    assert pair.messages()[-1] in (
        "DB instance restarted",
        "The Multi-AZ standby is synchronous: every commit is on both nodes",
    )
    pair.synchronous()
    assert zones(pair) == before[::-1]
    with capsys.disabled():
        print(f"\nreboot with failover: {writer.outage():.2f} s without an acknowledged commit")


def test_the_primary_goes_on_when_the_standby_hangs_and_is_synchronous_again_later(pair: Instance) -> None:
    standby = pair.synchronous()["standby"]["pid"]
    processes = [psutil.Process(standby), *psutil.Process(standby).children()]
    with Writer(pair) as writer:
        for process in processes:
            process.suspend()
        try:
            until(lambda: not pair.nodes()["standby"]["synchronous"], 30, "the primary goes on alone")
            assert "SecondaryAvailabilityZone" not in pair.describe()
            writer.wait_for_more()
            assert "The Multi-AZ standby is lost" in "\n".join(pair.messages())
        finally:
            for process in processes:
                process.resume()
        pair.synchronous()
    assert 3 < writer.outage() < 20


def test_a_standby_that_missed_commits_is_not_promoted(pair: Instance) -> None:
    nodes = pair.synchronous()
    children = [psutil.Process(nodes["standby"]["pid"]), *psutil.Process(nodes["standby"]["pid"]).children()]
    for process in children:
        process.suspend()
    try:
        until(lambda: not pair.nodes()["standby"]["synchronous"], 30, "the primary goes on alone")
        with Writer(pair) as writer:
            os.kill(nodes["primary"]["pid"], signal.SIGKILL)
            until(lambda: pair.nodes()["primary"]["pid"] not in (None, nodes["primary"]["pid"]), 30, "a primary")
            writer.wait_for_more()
        assert writer.lost() == set()
        assert pair.nodes()["primary"]["node"] == nodes["primary"]["node"]
    finally:
        for process in children:
            if process.is_running():
                process.resume()
    pair.synchronous()


def test_a_killed_standby_comes_back_without_a_long_wait(pair: Instance) -> None:
    nodes = pair.synchronous()
    with Writer(pair) as writer:
        os.kill(nodes["standby"]["pid"], signal.SIGKILL)
        until(
            lambda: pair.nodes().get("standby", {}).get("pid") not in (None, nodes["standby"]["pid"]), 20, "a standby"
        )
        pair.synchronous()
        writer.wait_for_more()
    assert writer.lost() == set()
    assert pair.nodes()["primary"]["pid"] == nodes["primary"]["pid"]


def test_both_nodes_killed_at_once_lose_nothing(pair: Instance) -> None:
    nodes = pair.synchronous()
    with Writer(pair) as writer:
        for node in nodes.values():
            os.kill(node["pid"], signal.SIGKILL)
        writer.wait_for_more()
    assert writer.lost() == set()
    pair.synchronous()


def test_a_primary_that_hangs_is_replaced(pair: Instance) -> None:
    nodes = pair.synchronous()
    hung = [psutil.Process(nodes["primary"]["pid"]), *psutil.Process(nodes["primary"]["pid"]).children()]
    for process in hung:
        process.suspend()
    until(lambda: pair.nodes()["primary"]["node"] == nodes["standby"]["node"], 90, "the standby took over")
    assert not any(alive(process.pid) for process in hung)
    pair.answer()


def test_a_primary_that_died_while_the_daemon_was_dead_is_replaced_by_the_standby(dock: Dock, pair: Instance) -> None:
    nodes = pair.synchronous()
    with Writer(pair) as writer:
        dock.kill()
        # The engines go on without the daemon.
        writer.wait_for_more()
        os.kill(nodes["primary"]["pid"], signal.SIGKILL)
        dock.start()
        pair.rds = dock.client()
        writer.wait_for_more()
    assert writer.lost() == set()
    assert pair.nodes()["primary"]["pid"] == nodes["standby"]["pid"]
    pair.synchronous()


def test_a_daemon_killed_during_a_failover_finishes_it(dock: Dock, pair: Instance) -> None:
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2):
        nodes = pair.synchronous()
        with Writer(pair) as writer:
            os.kill(nodes["primary"]["pid"], signal.SIGKILL)
            # Each time it dies elsewhere in the failover.
            signal.sigtimedwait([], delay)
            dock.kill()
            dock.start()
            pair.rds = dock.client()
            writer.wait_for_more()
        assert writer.lost() == set(), f"daemon killed after {delay} s"
        assert pair.nodes()["primary"]["pid"] == nodes["standby"]["pid"], f"daemon killed after {delay} s"


def test_the_archive_has_every_segment_and_no_archiver_fails(pair: Instance) -> None:
    """After all the failovers before: the condition of a restore to any point in time."""
    pair.synchronous()
    pair.query("SELECT count(*) FROM written")
    archive = next(path for path in (pair.dock.home / "rds").glob("db-*/archive"))
    with pair.connect(dbname="postgres") as session:
        failures: Any = session.execute("SELECT failed_count, last_failed_wal FROM pg_stat_archiver").fetchone()
    assert failures[0] == 0, failures
    positions = sorted({int(path.name[8:16] + path.name[22:24], 16) for path in archive.glob("[0-9A-F]" * 24)})
    assert positions == list(range(positions[0], positions[-1] + 1))
    logs = "".join(path.read_text() for path in Path(pair.dock.home / "logs").glob("rds-*-[ab].log"))
    assert "other content" not in logs


def test_an_instance_is_converted_to_multi_az_and_back(pair: Instance) -> None:
    pair.rds.modify_db_instance(DBInstanceIdentifier="pair", MultiAZ=False, ApplyImmediately=True)
    described = pair.wait()
    assert not described["MultiAZ"]
    assert "SecondaryAvailabilityZone" not in described
    assert list(pair.nodes()) == ["primary"]
    assert pair.query("SELECT count(*) FROM pg_replication_slots") == 0
    assert pair.query("SELECT count(*) FROM written") > 0
    pair.rds.modify_db_instance(DBInstanceIdentifier="pair", MultiAZ=True, ApplyImmediately=True)
    assert pair.wait()["MultiAZ"]
    assert pair.nodes()["standby"]["synchronous"]
    assert "DB instance converted to a Multi-AZ DB instance." in pair.messages()


def test_down_and_up_keep_rows_roles_and_address(dock: Dock, pair: Instance) -> None:
    before, nodes, rows = pair.describe()["Endpoint"], pair.synchronous(), pair.query("SELECT count(*) FROM written")
    dock.stop()
    with pytest.raises(psycopg.OperationalError):
        pair.connect_directly(host=before["Address"], port=before["Port"])
    assert not any(alive(node["pid"]) for node in nodes.values())
    dock.start()
    pair.rds = dock.client()
    assert pair.wait()["Endpoint"] == before
    assert pair.query("SELECT count(*) FROM written") == rows
    assert pair.synchronous()["primary"]["node"] == nodes["primary"]["node"]


def test_the_pair_is_small(pair: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    total = sum(memory(node["pid"]) for node in pair.synchronous().values())
    with capsys.disabled():
        print(f"\nprimary and standby: {total / 2**20:.0f} MB PSS")
    assert total < 150 * 2**20
