"""The application's role, its rights and the schema."""

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

pytestmark = pytest.mark.dock

CHAT = Path(__file__).resolve().parent.parent


def events(done: subprocess.CompletedProcess[str]) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def event(done: subprocess.CompletedProcess[str], name: str) -> dict:
    (found,) = [line for line in events(done) if line["event"] == name]
    return found


@pytest.fixture
def application(environment, postgres, database):
    with postgres.connect(environment["DATABASE_USER"], database, environment["DATABASE_PASSWORD"]) as connection:
        yield connection


def test_run_twice_it_changes_nothing_the_second_time(environment, run_migration):
    again = run_migration(environment)
    assert again.returncode == 0, again.stdout
    assert event(again, "role")["action"] == "unchanged"
    assert event(again, "schema") == {"event": "schema", "action": "unchanged", "schema": "0004"}
    assert event(again, "ready")["schema"] == "0004"


def test_the_application_can_do_its_work_and_no_more(application):
    assert application.execute("SELECT count(*) FROM messages").fetchone() == (0,)
    for forbidden in (
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE messages ADD COLUMN mine int",
        "DROP TABLE messages",
        "TRUNCATE messages",
        "DELETE FROM messages",
        "UPDATE accounts SET password_hash = ''",
        "UPDATE alembic_version SET version_num = '0001'",
        "CREATE ROLE mine",
        "COPY messages TO PROGRAM 'true'",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute(forbidden)


def test_a_changed_password_is_taken_over_and_the_old_one_no_longer_works(
    environment, run_migration, postgres, database
):
    new = environment | {"DATABASE_PASSWORD": "rotated-canary-11"}
    done = run_migration(new)
    assert event(done, "role")["action"] == "password updated"
    postgres.connect(environment["DATABASE_USER"], database, "rotated-canary-11").close()
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        postgres.connect(environment["DATABASE_USER"], database, environment["DATABASE_PASSWORD"])


def test_down_and_up_again_revision_by_revision(environment, run_migration, postgres, database):
    def tables() -> set[str]:
        with postgres.connect(database=database) as master:
            rows = master.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {row[0] for row in rows}

    def columns() -> list[tuple]:
        with postgres.connect(database=database) as master:
            return master.execute(
                "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
                " WHERE table_schema = 'public' ORDER BY table_name, column_name"
            ).fetchall()

    whole = columns()
    assert run_migration(environment, "downgrade", "0002").returncode == 0
    assert "payments" not in tables()
    assert "characters" in tables()
    down = run_migration(environment, "downgrade", "base")
    assert down.returncode == 0, down.stdout
    assert tables() == {"alembic_version"}
    for revision in ("0001", "0002", "0003", "head"):
        done = run_migration(environment, "upgrade", revision)
        assert done.returncode == 0, done.stdout
    assert columns() == whole
    assert [m["after"] for m in events(done) if m["event"] == "migration"] == ["0004"]


def test_an_older_release_leaves_a_newer_schema_alone(environment, run_migration):
    done = run_migration(environment, "upgrade", "0003")
    assert done.returncode == 0
    assert "newer than 0003" in event(done, "schema")["reason"]
    assert event(run_migration(environment, "status"), "status") == {
        "event": "status",
        "schema": "0004",
        "newest": "0004",
    }


def test_two_at_once_take_turns(environment, postgres, database, run_migration):
    results: list[subprocess.CompletedProcess[str]] = []
    run_migration(environment, "downgrade", "0001")
    threads = [threading.Thread(target=lambda: results.append(run_migration(environment))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [done.returncode for done in results] == [0, 0, 0], [done.stdout for done in results]
    steps = [m["after"] for done in results for m in events(done) if m["event"] == "migration"]
    assert steps == ["0002", "0003", "0004"], "each revision once"


def test_a_locked_table_is_tried_again_and_does_not_block_others_for_long(
    environment, run_migration, postgres, database
):
    assert run_migration(environment, "downgrade", "0003").returncode == 0
    with postgres.connect(database=database) as holder, postgres.connect(database=database) as reader:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE conversations IN ACCESS SHARE MODE")
        results: list[subprocess.CompletedProcess[str]] = []
        thread = threading.Thread(target=lambda: results.append(run_migration(environment)))
        thread.start()
        time.sleep(1.5)  # the migration now waits for its lock
        started = time.monotonic()
        reader.execute("SELECT count(*) FROM conversations")
        assert time.monotonic() - started < 3.0
        time.sleep(1.5)
        holder.execute("COMMIT")
        thread.join(60)
    (done,) = results
    assert done.returncode == 0, done.stdout
    assert [line["reason"] for line in events(done) if line["event"] == "retry"]
    assert event(done, "ready")["schema"] == "0004"


def test_killed_half_way_it_can_simply_be_run_again(environment, run_migration, master_credentials, postgres, database):
    assert run_migration(environment, "downgrade", "0001").returncode == 0
    with postgres.connect(database=database) as holder, postgres.connect(database=database) as observer:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE messages")
        process = subprocess.Popen(
            [sys.executable, "-m", "chat.migrate"],
            env=environment | master_credentials,
            cwd=CHAT,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 15
        waiting = (
            b"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while observer.execute(waiting).fetchone() != (1,):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
        process.wait(10)
        holder.execute("ROLLBACK")
    done = run_migration(environment)
    assert done.returncode == 0, done.stdout
    assert event(done, "ready")["schema"] == "0004"


def test_errors_say_what_and_never_a_password(environment, run_migration):
    wrong = run_migration(environment | {"DATABASE_MASTER_PASSWORD": "wrong-canary-5"})
    assert wrong.returncode == 1
    assert "check DATABASE_MASTER_PASSWORD" in event(wrong, "failed")["problem"]
    unknown = run_migration(environment, "upgrade", "0099")
    assert (unknown.returncode, "no revision 0099" in event(unknown, "failed")["problem"]) == (1, True)
    same = run_migration(environment | {"DATABASE_MASTER_USER": environment["DATABASE_USER"], "DATABASE_PORT": "x"})
    assert same.returncode == 2
    problems = event(same, "refused")["problems"]
    assert any("DATABASE_PORT" in problem for problem in problems)
    for done in (wrong, unknown, same):
        assert "canary" not in done.stdout + done.stderr


def test_no_password_reaches_the_servers_log(own_postgres, own_environment, run_migration):
    with own_postgres.connect(database="chat") as master:
        rows = master.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'app_chat'").fetchone()
    assert rows == (1,)
    own_postgres.stop()
    (own_postgres.data / "postgresql.auto.conf").write_text("log_statement = 'all'\n")
    own_postgres.start()
    assert run_migration(own_environment | {"DATABASE_PASSWORD": "new-canary-77"}).returncode == 0
    log = (own_postgres.data.parent / "postgres.log").read_text()
    assert "ALTER ROLE" in log
    assert "new-canary-77" not in log


def test_revisions_are_numbered_as_their_files_are():
    for file in (CHAT / "migrations" / "versions").glob("*.py"):
        number = file.name.partition("_")[0]
        text = file.read_text()
        assert f'revision = "{number}"' in text
        before = f'"{int(number) - 1:04}"' if number != "0001" else "None"
        assert re.search(rf"down_revision = {before}", text)
        assert "def downgrade" in text
