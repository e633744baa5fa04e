"""Real engines for the service's tests: PostgreSQL, Redis and the service's own processes, each test run's own."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest

CHAT = Path(__file__).resolve().parent.parent
if str(CHAT) not in sys.path:
    sys.path.insert(0, str(CHAT))

MASTER_PASSWORD = "master-canary-7f3a"
MASTER = {"DATABASE_MASTER_USER": "master", "DATABASE_MASTER_PASSWORD": MASTER_PASSWORD}
APPLICATION_PASSWORD = "application-canary-91bc"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], seconds: float = 15.0, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.05)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        pytest.fail("these tests need PostgreSQL's server programs (Debian: postgresql)")
    return Path(on_path).parent


@pytest.fixture(scope="session")
def workplace() -> Iterator[Path]:
    """A folder that the unprivileged user of the database can reach."""
    folder = Path(tempfile.mkdtemp(prefix="chat-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Postgres:
    """A cluster whose superuser is left alone; `master` may create roles and databases, as on RDS."""

    programs: Path
    data: Path
    port: int
    extra: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        self.process = subprocess.Popen(
            [
                self.programs / "postgres",
                *("-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"),
                *("-c", f"unix_socket_directories={self.data}", "-c", "fsync=off", "-c", "max_connections=60"),
                *self.extra,
            ],
            stdout=subprocess.DEVNULL,
            stderr=(self.data.parent / "postgres.log").open("ab"),
            **user,  # type: ignore[arg-type]
        )
        wait_until(self._ready, 20, "PostgreSQL's start")

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    def connect(self, user: str = "master", database: str = "postgres", password: str = MASTER_PASSWORD):  # type: ignore[no-untyped-def]
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, dbname=database, password=password, autocommit=True
        )

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.data.parent / "postgres.log").read_text()
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="session")
def postgres(postgres_programs: Path, workplace: Path) -> Iterator[Postgres]:
    cluster = Postgres(postgres_programs, workplace / "postgres" / "data", free_port())
    yield from _running_cluster(cluster)


@pytest.fixture
def own_postgres(postgres_programs: Path, workplace: Path) -> Iterator[Postgres]:
    """A cluster of one test's own, which it may break."""
    folder = Path(tempfile.mkdtemp(dir=workplace))
    cluster = Postgres(postgres_programs, folder / "data", free_port())
    yield from _running_cluster(cluster)


def _running_cluster(cluster: Postgres) -> Iterator[Postgres]:
    folder = cluster.data.parent
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    user: dict[str, object] = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
    secret = folder / "superuser"
    secret.write_text("superuser\n")
    secret.chmod(0o644)
    subprocess.run(
        [
            *(cluster.programs / "initdb", "-D", cluster.data, "-U", "postgres", "--no-sync", "--locale=C.UTF-8"),
            *("--auth=scram-sha-256", f"--pwfile={secret}"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
        **user,  # type: ignore[call-overload]
    )
    single = subprocess.run(
        [cluster.programs / "postgres", "--single", "-D", cluster.data, "postgres"],
        input=f"CREATE ROLE master LOGIN CREATEROLE CREATEDB PASSWORD '{MASTER_PASSWORD}'\n",
        text=True,
        check=True,
        capture_output=True,
        timeout=60,
        **user,  # type: ignore[call-overload]
    )
    assert "ERROR" not in single.stderr, single.stderr
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


@dataclass
class RedisServer:
    folder: Path
    port: int
    extra: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--dir",
                self.folder,
                "--save",
                "",
                *self.extra,
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: answers(self.port), what="Redis's start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@pytest.fixture(scope="session")
def redis_server(workplace: Path) -> Iterator[RedisServer]:
    server = RedisServer(workplace, free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_redis(workplace: Path) -> Iterator[RedisServer]:
    server = RedisServer(Path(tempfile.mkdtemp(dir=workplace)), free_port())
    server.start()
    yield server
    server.stop()


@dataclass
class Task:
    """One process of the service."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def get(self, path: str, **options: object) -> httpx.Response:
        return httpx.get(self.url + path, timeout=15, **options)  # type: ignore[arg-type]

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self.process.wait(30)


Environment = dict[str, str]


@pytest.fixture(scope="session")
def free_port_number() -> Callable[[], int]:
    return free_port


@pytest.fixture(scope="session")
def wait_for_port() -> Callable[[int, subprocess.Popen[bytes]], None]:
    def wait(port: int, process: subprocess.Popen[bytes]) -> None:
        wait_until(lambda: answers(port) or process.poll() is not None, 20, "the service's start")
        assert process.poll() is None, f"the service ended with code {process.returncode}"

    return wait


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """A fresh database that the master owns; its name."""
    name = f"chat_{os.getpid()}_{time.monotonic_ns()}"
    with postgres.connect() as master:
        master.execute(f'CREATE DATABASE "{name}"'.encode())
    yield name
    with postgres.connect("postgres", password="superuser") as superuser:
        superuser.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def environment_for(postgres: Postgres, redis: RedisServer, database: str) -> Environment:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHAT),
        "PLATFORM": "chatvrm",
        "ENVIRONMENT": "local",
        "RELEASE": "1.0.0-test",
        "DATABASE_HOST": "127.0.0.1",
        "DATABASE_PORT": str(postgres.port),
        "DATABASE_NAME": database,
        # Roles belong to the cluster, which tests share.
        "DATABASE_USER": f"app_{database}",
        "DATABASE_PASSWORD": APPLICATION_PASSWORD,
        "DATABASE_SSLMODE": "disable",
        "CACHE_HOST": "127.0.0.1",
        "CACHE_PORT": str(redis.port),
        "CACHE_TLS": "false",
        "DRAIN_SECONDS": "0.3",
        "CHAT_FEATURES": "topics",
    }


def migrate(environment: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chat.migrate", *arguments],
        env=MASTER | environment,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=CHAT,
    )


@pytest.fixture
def master_credentials() -> Environment:
    return MASTER


@pytest.fixture
def run_migration() -> Callable[..., subprocess.CompletedProcess[str]]:
    return migrate


@pytest.fixture
def environment(postgres: Postgres, redis_server: RedisServer, database: str) -> Environment:
    """An environment whose database is migrated."""
    environment = environment_for(postgres, redis_server, database)
    done = migrate(environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return environment


@pytest.fixture
def own_environment(own_postgres: Postgres, own_redis: RedisServer) -> Environment:
    """Like `environment`, on engines that the test may stop."""
    with own_postgres.connect() as master:
        master.execute(b"CREATE DATABASE chat")
    environment = environment_for(own_postgres, own_redis, "chat")
    done = migrate(environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return environment


@pytest.fixture
def start_task(workplace: Path) -> Iterator[Callable[..., Task]]:
    """Start the service and wait until it listens; `wait=False` returns at once."""
    started: list[Task] = []

    def start(environment: Environment, *, wait: bool = True, command: list[str] | None = None, **more: str) -> Task:
        port = free_port()
        log = Path(tempfile.mkstemp(dir=workplace, suffix=".log")[1])
        with log.open("wb") as output:
            process = subprocess.Popen(
                command or [sys.executable, "-m", "chat"],
                env=environment | {"PORT": str(port)} | more,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=CHAT,
            )
        task = Task(process, f"http://127.0.0.1:{port}", log)
        started.append(task)
        if wait:
            wait_until(lambda: answers(port) or process.poll() is not None, 20, "the service's start")
            assert process.poll() is None, log.read_text()
        return task

    yield start
    for task in started:
        task.process.kill()
        task.process.wait(10)


class Visitor(httpx.Client):
    """Somebody with a browser: keeps the session's cookie."""

    name: str


@pytest.fixture
def visitor() -> Iterator[Callable[..., Visitor]]:
    """Register somebody new at a task."""
    opened: list[Visitor] = []

    def register(task: Task, name: str) -> Visitor:
        client = Visitor(base_url=task.url, timeout=15)
        opened.append(client)
        client.name = name
        answer = client.post("/api/accounts", json={"name": name, "password": "correct horse"})
        assert answer.status_code == 201, answer.text
        return client

    yield register
    for client in opened:
        client.close()


@pytest.fixture
def a_task(environment: Environment, start_task: Callable[..., Task]) -> Task:
    return start_task(environment)
