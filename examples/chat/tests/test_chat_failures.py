"""What the service does when something it stands on is away, and when it is told to end."""

import concurrent.futures
import http.client
import signal
import time
import uuid

import httpx
import pytest

pytestmark = pytest.mark.dock


def wait_for(condition, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen in {seconds} s"
        time.sleep(0.1)


def test_health_names_its_four_checks_and_their_latency(a_task):
    answer = a_task.get("/api/health")
    assert answer.status_code == 200, answer.text
    checks = answer.json()["checks"]
    assert set(checks) == {"database", "cache", "disk", "memory"}
    assert {check["status"] for check in checks.values()} == {"ok"}
    assert all(0 <= check["latency_ms"] < 1000 for check in checks.values())
    database = a_task.get("/api/health/db").json()
    assert (database["status"], database["schema"]) == ("ok", "0004")
    assert database["latency_ms"] < 100


def test_the_database_dies_and_comes_back(own_environment, own_postgres, start_task, visitor):
    task = start_task(own_environment)
    alice = visitor(task, "alice")
    path = f"/api/conversations/{alice.post('/api/conversations', json={'title': 'T'}).json()['id']}/messages"
    committed = alice.post(path, json={"client_id": str(uuid.uuid4()), "text": "before"}).json()
    # All connections of the pool, so that all of them are dead afterwards.
    with concurrent.futures.ThreadPoolExecutor(20) as crowd:
        list(crowd.map(lambda _: alice.get(path, params={"after": 0}).raise_for_status(), range(100)))

    own_postgres.stop(signal.SIGKILL)
    started = time.monotonic()
    health, refused = task.get("/api/health"), alice.post(path, json={"client_id": str(uuid.uuid4()), "text": "x"})
    assert time.monotonic() - started < 6.0, "an answer, not a hanging request"
    assert health.status_code == 503
    failing = {name for name, check in health.json()["checks"].items() if check["status"] != "ok"}
    assert failing == {"database"}
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "database_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert task.get("/api/health/db").status_code == 503
    assert task.get("/api/ping").status_code == 200
    assert task.get("/metrics").status_code == 200
    assert "chat_active_conversations NaN" in task.get("/metrics").text

    wait_for(lambda: time.monotonic() - started > 8.0)  # longer than a pool that backs off would notice at once
    own_postgres.start()
    started = time.monotonic()
    assert alice.get(path, params={"after": 0}).json()["messages"] == [committed]
    assert time.monotonic() - started < 3.0
    assert task.get("/api/health").status_code == 200
    with concurrent.futures.ThreadPoolExecutor(20) as crowd:
        statuses = list(crowd.map(lambda _: alice.get(path, params={"after": 0}).status_code, range(100)))
    assert set(statuses) == {200}


def test_a_short_restart_of_the_database_costs_no_request(own_environment, own_postgres, start_task, visitor):
    task = start_task(own_environment)
    alice = visitor(task, "alice")
    path = f"/api/conversations/{alice.post('/api/conversations', json={'title': 'T'}).json()['id']}/messages"
    with concurrent.futures.ThreadPoolExecutor(8) as crowd:

        def post(n: int) -> int:
            time.sleep(0.025 * (n % 8))
            return alice.post(path, json={"client_id": str(uuid.uuid4()), "text": f"m{n}"}).status_code

        posting = [crowd.submit(post, n) for n in range(160)]
        time.sleep(0.3)
        own_postgres.stop(signal.SIGINT)
        own_postgres.start()
        statuses = [job.result(60) for job in posting]
    assert statuses == [201] * 160
    numbers = [m["number"] for m in alice.get(path, params={"after": 0}).json()["messages"]]
    assert numbers == list(range(1, 161)), "each once, without a gap"


def test_a_frozen_database_is_answered_for_in_time(own_environment, own_postgres, start_task, visitor):
    task = start_task(own_environment)
    alice = visitor(task, "alice")
    own_postgres.process.send_signal(signal.SIGSTOP)
    frozen = [int(pid) for pid in _children(own_postgres.process.pid)]
    for pid in frozen:
        _signal(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        answer = alice.get("/api/conversations")
        assert answer.status_code == 503
        assert time.monotonic() - started < 5.0
        assert task.get("/api/health").status_code == 503
    finally:
        for pid in frozen:
            _signal(pid, signal.SIGCONT)
        own_postgres.process.send_signal(signal.SIGCONT)
    wait_for(lambda: alice.get("/api/conversations").status_code == 200, 10)


def test_the_cache_dies_and_comes_back(own_environment, own_redis, start_task, visitor):
    task = start_task(own_environment)
    alice = visitor(task, "alice")
    own_redis.stop()
    started = time.monotonic()
    health, refused = task.get("/api/health"), alice.get("/api/conversations")
    assert time.monotonic() - started < 5.0
    assert health.status_code == 503
    assert {n for n, check in health.json()["checks"].items() if check["status"] != "ok"} == {"cache"}
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "cache_unavailable")
    assert task.get("/api/health/db").status_code == 200
    own_redis.start()
    wait_for(lambda: task.get("/api/health").status_code == 200, 5)
    assert alice.get("/api/conversations").status_code == 401, "sessions lived in the cache: log in again"
    again = alice.post("/api/session", json={"name": "alice", "password": "correct horse"})
    assert again.status_code == 200


def test_a_full_disk_or_memory_fails_its_check_alone(environment, start_task):
    disk = start_task(environment, HEALTH_MINIMUM_DISK_MB="999999999").get("/api/health")
    memory = start_task(environment, HEALTH_MAXIMUM_MEMORY_PERCENT="1").get("/api/health")
    for answer, name in ((disk, "disk"), (memory, "memory")):
        assert answer.status_code == 503
        assert {n for n, check in answer.json()["checks"].items() if check["status"] != "ok"} == {name}


def test_a_release_whose_migration_has_not_run_is_not_healthy(environment, run_migration, start_task):
    task = start_task(environment)
    assert task.get("/api/health").status_code == 200
    assert run_migration(environment, "downgrade", "0003").returncode == 0
    answer = task.get("/api/health")
    assert answer.status_code == 503
    assert "schema is at 0003, this release needs 0004" in answer.json()["checks"]["database"]["problem"]


def test_a_service_that_starts_before_its_database_recovers(own_environment, own_postgres, start_task):
    own_postgres.stop()
    task = start_task(own_environment)
    assert task.get("/api/health").status_code == 503
    own_postgres.start()
    wait_for(lambda: task.get("/api/health").status_code == 200, 5)


def test_told_to_end_it_finishes_what_is_in_flight(environment, start_task):
    task = start_task(environment, DRAIN_SECONDS="1.5", CHAT_FAULT="slow:2.5")
    kept = http.client.HTTPConnection("127.0.0.1", int(task.url.rsplit(":", 1)[1]), timeout=10)
    kept.request("GET", "/api/health")
    kept.getresponse().read()
    with concurrent.futures.ThreadPoolExecutor(4) as crowd:
        in_flight = [crowd.submit(task.get, "/api/version") for _ in range(4)]
        time.sleep(0.5)
        told = time.monotonic()
        task.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        kept.request("GET", "/api/health")
        draining = kept.getresponse()
        assert draining.status == 503, "the load balancer must learn it at once"
        assert b'"draining"' in draining.read()
        assert draining.headers["connection"] == "close"
        assert [job.result(10).status_code for job in in_flight] == [200] * 4
    assert task.process.wait(10) == 0
    assert time.monotonic() - told < 6.0
    with pytest.raises(httpx.ConnectError):
        task.get("/api/version")


def test_what_never_ends_is_cut_off_in_time(environment, start_task):
    task = start_task(environment, SHUTDOWN_SECONDS="4", CHAT_FAULT="slow:60")
    with concurrent.futures.ThreadPoolExecutor(1) as crowd:
        cut_off = crowd.submit(task.get, "/api/version")
        time.sleep(0.5)
        told = time.monotonic()
        task.process.send_signal(signal.SIGTERM)
        task.process.wait(10)
        assert time.monotonic() - told < 5.0
        assert cut_off.result(5).status_code == 500
    assert task.process.returncode == 0


def test_every_answer_says_who_gave_it_and_every_line_of_the_log_is_json(a_task):
    import json

    answer = a_task.get("/api/version", headers={"x-request-id": "trace-me-please-1"})
    assert answer.headers["x-request-id"] == "trace-me-please-1"
    assert answer.headers["x-release"] == answer.json()["release"] == "1.0.0-test"
    assert answer.json()["schema_revision"] == "0004"
    strange = a_task.get("/api/version", headers={"x-request-id": 'a"b{}injected'})
    assert strange.headers["x-request-id"] != 'a"b{}injected'
    lines = [json.loads(line) for line in a_task.log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "trace-me-please-1"]
    assert (line["status"], line["route"], line["release"]) == (200, "/api/version", "1.0.0-test")
    assert line["duration_ms"] >= 0


def test_the_page_runs_only_its_own_script(a_task):
    answer = a_task.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for outside in ("http://", "https://", "src=", "@import", "url("):
        assert outside not in answer.text.replace("http://www.w3.org/2000/svg", "")


def _children(pid: int) -> list[str]:
    from pathlib import Path

    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _signal(pid: int, number: signal.Signals) -> None:
    import os

    os.kill(pid, number)
