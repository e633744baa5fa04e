"""A dock with RDS in a process of its own, and its instances, used as a user does: boto3, psycopg, signals."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
import psutil
import psycopg
from botocore.config import Config

from dock.cloud import ACCOUNTS, REGIONS

T = TypeVar("T")
PASSWORD = "Canary-7f3e-not-in-any-log"
ROOT = Path(__file__).parents[3]


class Dock:
    """The daemon's process and its home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home.parent / "daemon.log"
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self, **environment: str) -> None:
        """Start it and wait until it serves."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.dock.rds.daemon", str(self.home)],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.url = self._line(120)

    def kill(self) -> None:
        """SIGKILL: engines go on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        """As `drydock down`."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)

    def status(self) -> list[dict[str, Any]]:
        """What `drydock status` shows of RDS."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._line(10))

    def client(self, service: str = "rds", account: str = ACCOUNTS[0], region: str = REGIONS[0]) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="dock",
            config=Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 1}),
        )

    @property
    def authority(self) -> str:
        """The path of the CA's certificate."""
        return str(self.home / "ca.pem")

    def _line(self, seconds: float) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline().strip() if ready else ""
        if not line:
            raise AssertionError(f"the daemon did not answer:\n{self.log.read_text()[-3000:]}")
        return line


class Instance:
    """One DB instance as its user sees it."""

    def __init__(self, dock: Dock, identifier: str) -> None:
        self.dock = dock
        self.identifier = identifier
        self.rds = dock.client()

    def describe(self) -> dict[str, Any]:
        return self.rds.describe_db_instances(DBInstanceIdentifier=self.identifier)["DBInstances"][0]

    def wait(self, status: str = "available", seconds: float = 60) -> dict[str, Any]:
        """Until the instance has this status; fails at once where it never will."""

        def there() -> dict[str, Any] | None:
            described = self.describe()
            found = described["DBInstanceStatus"]
            assert found == status or found not in ("failed", "storage-full", "incompatible-parameters"), (
                f"{found}: {self.messages()}"
            )
            return described if found == status else None

        return until(there, seconds, f"{self.identifier} {status}")

    def messages(self) -> list[str]:
        """All events of the instance, the oldest first."""
        events = self.rds.describe_events(SourceIdentifier=self.identifier, SourceType="db-instance")["Events"]
        return [event["Message"] for event in events]

    def server_log(self, node: str) -> str:
        """What the PostgreSQL server of a node has logged."""
        return (self.dock.home / "logs" / f"rds-{self.describe()['DbiResourceId']}-{node}.log").read_text()

    def nodes(self) -> dict[str, dict[str, Any]]:
        """`primary` and `standby` as `drydock status` shows them."""
        entry = next(entry for entry in self.dock.status() if entry["name"] == self.identifier)
        return {node["role"]: node for node in entry["nodes"]}

    def synchronous(self, seconds: float = 60) -> dict[str, dict[str, Any]]:
        """Wait until there is a synchronous standby."""

        def there() -> dict[str, dict[str, Any]] | None:
            nodes = self.nodes()
            return nodes if nodes.get("standby", {}).get("synchronous") else None

        return until(there, seconds, f"{self.identifier} has a synchronous standby")

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """A session over TLS, everything verified; `options` are libpq's and overrule."""
        described = self.describe()
        found = {
            "host": described["Endpoint"]["Address"],
            "port": described["Endpoint"]["Port"],
            "user": described["MasterUsername"],
            "dbname": described.get("DBName", "postgres"),
        }
        return self.connect_directly(**{**found, **options})

    def connect_directly(self, **options: Any) -> psycopg.Connection[Any]:
        """The same without asking RDS where, for when the daemon is gone."""
        settings: dict[str, Any] = {
            "user": "captain",
            "dbname": "chat",
            "password": PASSWORD,
            "sslmode": "verify-full",
            "sslrootcert": self.dock.authority,
            "connect_timeout": 5,
            "autocommit": True,
        }
        return psycopg.connect(**{**settings, **options})

    def answer(self, seconds: float = 30) -> None:
        """Wait until the endpoint serves sessions again."""

        def there() -> bool:
            try:
                return bool(self.query("SELECT NOT pg_is_in_recovery()"))
            except psycopg.OperationalError:
                return False

        until(there, seconds, f"{self.identifier} answers")

    def execute(self, *statements: str, **options: Any) -> None:
        with self.connect(**options) as connection:
            for statement in statements:
                connection.execute(statement)

    def query(self, text: str, **options: Any) -> Any:
        """The first value of the first row."""
        with self.connect(**options) as connection:
            row = connection.execute(text).fetchone()
        assert row is not None
        return row[0]


def until(condition: Callable[[], T | None], seconds: float, what: str, pause: float = 0.05) -> T:
    """The condition's first value that is true."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if value := condition():
            return value
        time.sleep(pause)
    raise AssertionError(f"not within {seconds} s: {what}")


def create(dock: Dock, identifier: str, **settings: Any) -> Instance:
    """Ask for an instance, with small defaults; doesn't wait."""
    asked = {
        "DBInstanceIdentifier": identifier,
        "DBInstanceClass": "db.t4g.micro",
        "Engine": "postgres",
        "AllocatedStorage": 20,
        "MasterUsername": "captain",
        "MasterUserPassword": PASSWORD,
        "DBName": "chat",
        "BackupRetentionPeriod": 0,
    }
    dock.client().create_db_instance(**{**asked, **settings})
    return Instance(dock, identifier)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet doesn't."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def memory(pid: int) -> int:
    """Bytes (PSS) of a server and its backends; one that ends meanwhile doesn't count."""
    total = 0
    leader = psutil.Process(pid)
    for process in [leader, *leader.children()]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total


def end_what_is_left(root: Path) -> None:
    """After a test that failed: every process that stands in the dock's folders."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str((entry / "cwd").readlink()).startswith(str(root)):
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue
