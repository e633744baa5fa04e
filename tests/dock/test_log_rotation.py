"""Logs stay bounded while their writers go on."""

from __future__ import annotations

from pathlib import Path

from dock.aws.request import identify
from dock.calls import Calls, read
from dock.engines import log_rotation
from dock.http import Answer
from tests.dock.faults.test_wishes import request


def test_a_writer_goes_on_in_a_log_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    with path.open("ab", buffering=0) as writer:
        for number in range(6):
            writer.write(f"{number}".encode() * 1000)
            log_rotation.rotate_all(tmp_path, tmp_path / "ecs", max_bytes=999)
            assert path.stat().st_size == 0
        writer.write(b"after")
    assert path.read_bytes() == b"after"
    kept = sorted(each.name for each in tmp_path.iterdir())
    assert kept == ["engine.log", "engine.log.1", "engine.log.2"]
    assert (tmp_path / "engine.log.1").read_bytes() == b"5" * 1000
    assert (tmp_path / "engine.log.2").read_bytes() == b"4" * 1000


def test_short_logs_and_what_others_read_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "ecs").mkdir()
    for path in (tmp_path / "short.log", tmp_path / "ecs" / "task.log"):
        path.write_bytes(b"x" * 500)
    (tmp_path / "ecs" / "task.log").write_bytes(b"x" * 5000)
    log_rotation.rotate_all(tmp_path, tmp_path / "ecs", max_bytes=1000)
    assert (tmp_path / "short.log").stat().st_size == 500
    assert (tmp_path / "ecs" / "task.log").stat().st_size == 5000


def test_the_record_of_calls_keeps_the_last_ones_in_bounded_files(tmp_path: Path) -> None:
    calls = Calls(tmp_path, max_bytes=20_000)
    answer = Answer(200, {}, b"", "request")
    for number in range(400):
        asked = request("CreateCluster" if number % 2 else "ListClusters")
        calls.add(asked, f"{number}", 1.0, answer, acted=True, faults=[])
    kept = list(read(tmp_path))
    assert [entry["account"] for entry in kept] == [str(number) for number in range(400 - len(kept), 400)]
    assert 50 < len(kept) < 400
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 41_000
    # Reads are told from writes: a write's request has a digest, which is the same when it is sent again.
    assert len({entry.get("digest") for entry in kept}) == 2


def test_no_secret_is_on_record(tmp_path: Path) -> None:
    credential = "AWS4-HMAC-SHA256 Credential=000000000001/20261101/us-east-1/secretsmanager/aws4_request, x"
    asked = identify(
        "POST",
        "/",
        {"Authorization": credential, "X-Amz-Target": "secretsmanager.CreateSecret"},
        b'{"Name": "database", "SecretString": "canary", "ClientRequestToken": "token"}',
    )
    Calls(tmp_path).add(asked, "000000000001", 1.0, None, acted=True, faults=["f-1"])
    assert "canary" not in (tmp_path / "calls.jsonl").read_text()
    (entry,) = read(tmp_path)
    assert (entry["about"], entry["error"]) == ({"Name": "database"}, "no answer")
