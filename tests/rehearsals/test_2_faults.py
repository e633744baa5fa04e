"""SIGKILL at any moment: what a user saw, and that nothing acknowledged was lost."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid

import httpx
import psycopg
import pytest

from tests.rehearsals.environment import Environment, drydock, until

pytestmark = [pytest.mark.dock, pytest.mark.engine, pytest.mark.timeout(900)]


def healthy_targets(environment: Environment) -> int:
    target_group = environment.manifest.services["web"].target_group
    health = environment.client("elbv2").describe_target_health(TargetGroupArn=target_group)
    return sum(entry["TargetHealth"]["State"] == "healthy" for entry in health["TargetHealthDescriptions"])


def serves(environment: Environment) -> bool:
    return httpx.get(f"{environment.manifest.services['web'].url}/api/health", timeout=3).status_code == 200


def test_a_killed_task_comes_back_and_users_go_on(environment: Environment) -> None:
    before = environment.client("ecs").list_tasks(cluster="chatvrm-local", serviceName="chatvrm-local-web")["taskArns"]
    os.kill(environment.pid("ecs/"), signal.SIGKILL)

    def replaced() -> bool:
        now = environment.client("ecs").list_tasks(cluster="chatvrm-local", serviceName="chatvrm-local-web")["taskArns"]
        return len(now) == 2 and set(now) != set(before) and healthy_targets(environment) == 2

    until(replaced, 60, "a new task is healthy in the place of the killed one")
    assert serves(environment)


def test_no_committed_row_is_lost_when_the_primary_is_killed(environment: Environment) -> None:
    database = environment.manifest.database
    secret = environment.secret(database.master_secret)

    def connect() -> psycopg.Connection[tuple[int]]:
        return psycopg.connect(
            host=database.endpoint,
            dbname=database.name,
            user=secret["username"],
            password=secret["password"],
            sslmode="require",
            connect_timeout=2,
            autocommit=True,
        )

    table = f"rehearsal_{uuid.uuid4().hex[:8]}"
    with connect() as connection:
        connection.execute(f"create table {table} (n bigint primary key)")
    acknowledged: list[int] = []
    ended = threading.Event()

    def write() -> None:
        n = 0
        while not ended.is_set():
            try:
                with connect() as connection:
                    while not ended.is_set():
                        n += 1
                        connection.execute(f"insert into {table} values ({n})")
                        acknowledged.append(n)
            except psycopg.Error:
                time.sleep(0.05)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: len(acknowledged) > 50, 30, "rows are written")
        os.kill(primary_pid(environment), signal.SIGKILL)
        at_kill = len(acknowledged)
        until(lambda: len(acknowledged) > at_kill + 50, 60, "rows are written again on the promoted standby")
    finally:
        ended.set()
        writer.join(30)
    with connect() as connection:
        kept = {row[0] for row in connection.execute(f"select n from {table}")}
        connection.execute(f"drop table {table}")
    assert set(acknowledged) - kept == set()
    until(lambda: serves(environment), 30, "the application is healthy on the new primary")


def primary_pid(environment: Environment) -> int:
    """The process of the node that the dock says is the primary."""
    for resource in environment.status()["resources"]:
        for node in resource.get("nodes", []):
            if resource["service"] == "rds" and node["role"] == "primary":
                return int(node["pid"])
    raise AssertionError("the dock names no primary")


@pytest.mark.parametrize("engine", ["elb", "endpoints"])
def test_a_killed_proxy_is_back_within_seconds(environment: Environment, engine: str) -> None:
    os.kill(environment.pid(engine), signal.SIGKILL)
    until(lambda: serves(environment), 30, f"users are served after {engine} was killed")


def test_a_killed_cache_primary_is_replaced(environment: Environment) -> None:
    (before,) = [node for node in environment.status()["resources"] if node.get("role") == "primary"]
    os.kill(before["pid"], signal.SIGKILL)

    def promoted() -> bool:
        (now,) = [node for node in environment.status()["resources"] if node.get("role") == "primary"]
        return bool(now["name"] != before["name"]) and serves(environment)

    until(promoted, 60, "the replica took over and the application uses it")


def test_users_see_nothing_when_the_dock_itself_is_killed_and_the_next_up_carries_on(environment: Environment) -> None:
    before = environment.status()
    os.kill(before["pid"], signal.SIGKILL)
    assert serves_without_control_plane(environment, before)
    drydock(environment.home, "up")
    after = environment.status()
    assert after["state"] == "running"
    tasks = {process["pid"] for process in before["processes"] if process["name"].startswith("ecs/")}
    assert tasks <= {process["pid"] for process in after["processes"]}, "tasks were adopted, not restarted"
    environment.run("pulumi preview --stack local --refresh --expect-no-changes")


def serves_without_control_plane(environment: Environment, status: dict[str, object]) -> bool:
    outputs = environment.json("pulumi stack output --json --stack local")
    return all(httpx.get(f"{outputs['url']}/api/health", timeout=5).status_code == 200 for _ in range(20))


def test_rows_are_there_after_down_and_up(environment: Environment) -> None:
    name = f"row_{uuid.uuid4().hex[:8]}"
    master = environment.secret(environment.manifest.database.master_secret)
    database = environment.manifest.database

    def connect() -> psycopg.Connection[tuple[str]]:
        return psycopg.connect(
            host=database.endpoint, dbname=database.name, user=master["username"], password=master["password"],
            sslmode="require", connect_timeout=3, autocommit=True,
        )  # fmt: skip

    with connect() as connection:
        connection.execute("create table if not exists kept (name text primary key)")
        connection.execute("insert into kept values (%s)", (name,))
    drydock(environment.home, "down")
    assert environment.status()["state"] == "down"
    drydock(environment.home, "up")
    with connect() as connection:
        assert connection.execute("select 1 from kept where name = %s", (name,)).fetchone() is not None
        connection.execute("drop table kept")
    until(lambda: serves(environment), 60, "users are served again")


def test_a_second_up_at_once_is_refused_with_the_reason(environment: Environment) -> None:
    import fcntl

    with (environment.home / "run" / "up.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = drydock(environment.home, "up", check=False)
    assert done.returncode == 1
    assert "another `drydock up` is at work" in done.stderr
