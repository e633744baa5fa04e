"""What goes wrong is said, leaves nothing behind, and the next daemon carries on."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.dock.rds.rig import Dock, Instance, create, end_what_is_left, until

pytestmark = pytest.mark.dock


@pytest.fixture
def own_dock() -> Iterator[Dock]:
    """A dock that the test may kill; not started."""
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o711)
    dock = Dock(root / "home")
    try:
        yield dock
    finally:
        dock.stop()
        end_what_is_left(root)
        shutil.rmtree(root, ignore_errors=True)


def gone(instance: Instance) -> bool:
    filters = [{"Name": "db-instance-id", "Values": [instance.identifier]}]
    return not instance.rds.describe_db_instances(Filters=filters)["DBInstances"]


def test_a_daemon_killed_at_any_moment_of_a_creation_carries_on(own_dock: Dock) -> None:
    own_dock.start()
    for number, delay in enumerate((0.0, 0.2, 0.6, 1.2, 2.0)):
        made = create(own_dock, f"made-{number}", MultiAZ=number % 2 == 0, BackupRetentionPeriod=number % 2)
        time.sleep(delay)  # the moment of the kill is what varies
        own_dock.kill()
        own_dock.start()
        made.rds = own_dock.client()
        made.wait()
        assert made.query("SELECT current_user") == "captain"
    assert not list((own_dock.home / "rds").glob("*.verifier"))


def test_a_daemon_killed_during_a_deletion_finishes_it(own_dock: Dock) -> None:
    own_dock.start()
    for delay in (0.0, 0.3):
        made = create(own_dock, "passing", MultiAZ=True)
        resource = made.wait()["DbiResourceId"]
        name = f"final-{int(delay * 10)}"
        made.rds.delete_db_instance(DBInstanceIdentifier="passing", FinalDBSnapshotIdentifier=name)
        time.sleep(delay)  # the moment of the kill is what varies
        own_dock.kill()
        own_dock.start()
        made.rds = own_dock.client()
        until(partial(gone, made), 60, "deleted")
        assert not (own_dock.home / "rds" / resource).exists()
        (snapshot,) = made.rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"]
        assert snapshot["Status"] == "available"


def test_deleting_while_creating_leaves_nothing(own_dock: Dock) -> None:
    own_dock.start()
    made = create(own_dock, "short", MultiAZ=True)
    resource = made.describe()["DbiResourceId"]
    made.rds.delete_db_instance(DBInstanceIdentifier="short", SkipFinalSnapshot=True)
    until(partial(gone, made), 60, "deleted")
    assert not (own_dock.home / "rds" / resource).exists()
    assert not list((own_dock.home / "rds").glob("*.verifier"))
    assert own_dock.status() == []


def test_a_full_disk_fails_the_creation_with_the_reason(own_dock: Dock) -> None:
    rds = own_dock.home / "rds"
    rds.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(rds)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    try:
        own_dock.start()
        made = create(own_dock, "big")
        until(lambda: made.describe()["DBInstanceStatus"] == "storage-full", 60, "storage full")
        assert any("No space left on device" in message for message in made.messages())
        assert "Endpoint" not in made.describe()
        made.rds.delete_db_instance(DBInstanceIdentifier="big", SkipFinalSnapshot=True)
        until(lambda: gone(made), 30, "deleted")
        assert not list(rds.glob("db-*"))
    finally:
        own_dock.stop()
        subprocess.run(["umount", str(rds)], check=True)


def test_a_disk_that_fills_up_stops_the_instance_until_there_is_room(own_dock: Dock) -> None:
    rds = own_dock.home / "rds"
    rds.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(rds)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    try:
        own_dock.start()
        made = create(own_dock, "filling")
        made.wait()
        made.execute("CREATE TABLE kept AS SELECT 1 AS n")
        ballast = rds / "ballast"
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(bytes(2**20))
                    file.flush()
            except OSError:
                pass
        with pytest.raises(Exception, match=r"No space left|closed the connection|terminat"):
            made.execute("CREATE TABLE more AS SELECT repeat(md5(n::text), 99) AS t FROM generate_series(1, 90000) n")
        ballast.unlink()
        made.answer(60)
        assert made.query("SELECT n FROM kept") == 1
        until(lambda: made.describe()["DBInstanceStatus"] == "available", 30, "available")
    finally:
        own_dock.stop()
        subprocess.run(["umount", str(rds)], check=True)


def test_a_taken_port_fails_the_creation_with_the_reason(own_dock: Dock) -> None:
    own_dock.start()
    block = own_dock.url.split(".")[1]
    with socket.socket() as squatter:
        squatter.bind((f"127.{block}.4.1", 5432))
        squatter.listen()
        made = create(own_dock, "squatted")
        until(lambda: made.describe()["DBInstanceStatus"] == "failed", 60, "failed")
        assert any("Address already in use" in message for message in made.messages())
    made.rds.delete_db_instance(DBInstanceIdentifier="squatted", SkipFinalSnapshot=True)
    until(lambda: gone(made), 30, "deleted")
    again = create(own_dock, "squatted")
    again.wait()


def test_missing_binaries_are_named_at_once(own_dock: Dock) -> None:
    own_dock.start(DRYDOCK_POSTGRES_BIN="/nonexistent")
    with pytest.raises(ClientError) as caught:
        create(own_dock, "impossible")
    message: Any = caught.value.response["Error"]["Message"]
    assert "no complete PostgreSQL 15 or newer in DRYDOCK_POSTGRES_BIN=/nonexistent" in message
    assert "apt-get install postgresql" in message
    assert own_dock.client().describe_db_instances()["DBInstances"] == []


def test_a_data_folder_that_is_destroyed_does_not_keep_the_dock_from_starting(own_dock: Dock) -> None:
    own_dock.start()
    broken, sound = create(own_dock, "broken"), create(own_dock, "sound")
    resource = broken.wait()["DbiResourceId"]
    sound.wait()
    own_dock.stop()
    (own_dock.home / "rds" / resource / "a" / "data" / "global" / "pg_control").unlink()
    own_dock.start()
    broken.rds = sound.rds = own_dock.client()
    assert broken.describe()["DBInstanceStatus"] == "failed"
    assert any("pg_control" in message for message in broken.messages())
    sound.wait()
    assert sound.query("SELECT 1") == 1
    broken.rds.delete_db_instance(DBInstanceIdentifier="broken", SkipFinalSnapshot=True)
    until(lambda: gone(broken), 30, "deleted")
