"""A small environment of real engines, whose faults are switched on one at a time: PostgreSQL and Redis (with a
replica) over TLS, and a service over HTTP. AWS's own answers come from `Cloud`."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dock.certificates import CertificateAuthority
from dock.home import Home
from operations import control
from tests.operations.cloud import AwsRefusal, Cloud

POSTGRES = Path("/usr/lib/postgresql/15/bin")
CANARY = "canary-5up3r-s3cret"


@dataclass
class Service:
    """The service's behaviour, changed while it runs."""

    slow_seconds: float = 0.0
    error_share: float = 0.0
    problems: dict[str, str] = field(default_factory=dict)
    database: Callable[[], str | None] = lambda: None
    cache: Callable[[], str | None] = lambda: None
    url: str = ""

    def answer(self, path: str) -> tuple[int, bytes]:
        if path == "/api/health":
            found = {"database": self.database(), "cache": self.cache(), "disk": None, "memory": None, **self.problems}
            checks = {
                name: {"status": "failing", "problem": problem} if problem else {"status": "ok"}
                for name, problem in found.items()
            }
            well = not any(found.values())
            return 200 if well else 503, json.dumps({"status": "ok" if well else "failing", "checks": checks}).encode()
        if path == "/api/health/db":
            start = time.perf_counter()
            problem = self.database()
            body = {"status": "failing" if problem else "ok", "problem": problem}
            body["latency_ms"] = 1000 * (time.perf_counter() - start)  # type: ignore[assignment]
            return 503 if problem else 200, json.dumps(body).encode()
        time.sleep(self.slow_seconds)
        if random.random() < self.error_share:
            return 500, b"something went wrong here"
        return 200, b"<!doctype html><title>chat</title>"


@dataclass
class Environment:
    root: Path
    cloud: Cloud
    service: Service
    document: dict[str, Any]
    ca: Path
    processes: dict[str, subprocess.Popen[bytes]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(psycopg.Error, redis.RedisError, OSError):
            if condition():
                return
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.05)


@contextmanager
def running(document: dict[str, Any]) -> Iterator[Environment]:
    root = Path(tempfile.mkdtemp(prefix="drydock-"))
    root.chmod(0o755)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        home = Home(root / "home")
        home.create()
        authority = CertificateAuthority(home)
        ca = root / "ca.pem"
        shutil.copy(authority.path, ca)
        with contextlib.ExitStack() as stack:
            document["database"] |= {"port": _postgres(root, authority, processes)}
            document["cache"] |= {"port": _redis(root, authority, processes)}
            service = Service(database=lambda: _query(document, ca), cache=lambda: _ping(document, ca))
            service.url = stack.enter_context(_http(service))
            document["services"]["web"]["url"] = service.url
            cloud = Cloud(answers=_answers(document))
            yield Environment(root, cloud, service, document, ca, processes)
    finally:
        for process in processes.values():
            process.kill()
            process.wait(10)
        shutil.rmtree(root, ignore_errors=True)


def _postgres(root: Path, authority: CertificateAuthority, processes: dict[str, subprocess.Popen[bytes]]) -> int:
    """PostgreSQL with a role `chat_app` and its database `chat`, TLS only; gives the port."""
    user = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    folder, port = root / "postgres", free_port()
    folder.mkdir()
    os.chown(folder, user.pw_uid, user.pw_gid)
    run_as: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    data = folder / "data"
    (root / "password").write_text(CANARY)
    (root / "password").chmod(0o644)
    subprocess.run(
        [
            POSTGRES / "initdb",
            "-D",
            data,
            "-U",
            "chat_app",
            "-A",
            "scram-sha-256",
            "--no-sync",
            f"--pwfile={root}/password",
        ],
        check=True,
        capture_output=True,
        timeout=60,
        **run_as,
    )
    tls = authority.issue(folder / "tls", "postgres", ["127.0.0.1"], (user.pw_uid, user.pw_gid))
    os.chown(folder / "tls", user.pw_uid, user.pw_gid)
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_cert_file": tls.certificate,
        "ssl_key_file": tls.key,
        "fsync": "off",
        "max_connections": 100,
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (root / "postgres.log").open("wb") as log:
        processes["postgres"] = subprocess.Popen(
            [POSTGRES / "postgres", "-D", data, *options], stdout=log, stderr=log, **run_as
        )
    administrator = f"host=127.0.0.1 port={port} user=chat_app password={CANARY} dbname=postgres connect_timeout=2"

    def create() -> bool:
        with psycopg.connect(administrator, autocommit=True) as connection:
            connection.execute("create database chat")
        return True

    until(create)
    return port


def _redis(root: Path, authority: CertificateAuthority, processes: dict[str, subprocess.Popen[bytes]]) -> int:
    """Redis and one replica of it, TLS only, with an auth token; gives the primary's port."""
    tls = authority.issue(root / "redis-tls", "redis", ["127.0.0.1"])
    primary, replica = free_port(), free_port()
    for name, port in (("redis", primary), ("redis-replica", replica)):
        settings = {
            "port": 0,
            "tls-port": port,
            "bind": "127.0.0.1",
            "tls-cert-file": tls.certificate,
            "tls-key-file": tls.key,
            "tls-ca-cert-file": authority.path,
            "tls-auth-clients": "no",
            "tls-replication": "yes",
            "requirepass": CANARY,
            "masterauth": CANARY,
            "save": "",
            "maxmemory": "64mb",
            "repl-diskless-sync-delay": 0,
            "dir": root,
        }
        options = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
        if name == "redis-replica":
            options += ["--replicaof", "127.0.0.1", str(primary)]
        with (root / f"{name}.log").open("wb") as log:
            processes[name] = subprocess.Popen(["redis-server", *options], stdout=log, stderr=log)
    with redis.Redis(port=primary, password=CANARY, ssl=True, ssl_ca_certs=str(authority.path)) as client:
        until(lambda: client.info("replication")["connected_slaves"] == 1)
        until(lambda: client.info("replication")["slave0"]["state"] == "online")
    return primary


def _query(document: dict[str, Any], ca: Path) -> str | None:
    database = document["database"]
    try:
        with psycopg.connect(
            host="127.0.0.1",
            port=database["port"],
            dbname="chat",
            user="chat_app",
            password=CANARY,
            sslmode="verify-full",
            sslrootcert=str(ca),
            connect_timeout=2,
        ) as connection:
            connection.execute("select 1")
    except psycopg.Error as error:
        return f"does not answer ({type(error).__name__})"
    return None


def _ping(document: dict[str, Any], ca: Path) -> str | None:
    port = document["cache"]["port"]
    try:
        with redis.Redis(
            port=port,
            password=CANARY,
            ssl=True,
            ssl_ca_certs=str(ca),
            socket_timeout=1,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
    except redis.RedisError as error:
        return f"does not answer ({type(error).__name__})"
    return None


@contextmanager
def _http(service: Service) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = service.answer(self.path)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


def _parameter(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The environment's manifest; there is no store of runs."""
    if name == control.PARAMETER:
        raise AwsRefusal("ParameterNotFound")
    return {"Parameter": {"Name": name, "Type": "String", "Value": json.dumps(document)}}


def _answers(document: dict[str, Any]) -> dict[str, Any]:
    """What AWS says of a healthy environment."""
    secrets = {
        document["database"]["application_secret"]: {"username": "chat_app", "password": CANARY},
        document["cache"]["secret"]: {"auth_token": CANARY},
    }
    return {
        "GetParameter": lambda request: _parameter(document, request["Name"]),
        "GetSecretValue": lambda request: {"SecretString": json.dumps(secrets[request["SecretId"]])},
        "DescribeServices": {
            "services": [{"status": "ACTIVE", "desiredCount": 2, "runningCount": 2, "pendingCount": 0}],
            "failures": [],
        },
        "DescribeTargetHealth": {
            "TargetHealthDescriptions": [
                {"Target": {"Id": f"127.65.8.{number}", "Port": 8080}, "TargetHealth": {"State": "healthy"}}
                for number in (1, 2)
            ]
        },
        "DescribeDBInstances": {
            "DBInstances": [
                {
                    "DBInstanceIdentifier": "chatvrm-local-database",
                    "DBInstanceStatus": "available",
                    "Engine": "postgres",
                    "EngineVersion": "15.18",
                    "MultiAZ": True,
                    "SecondaryAvailabilityZone": "us-east-1b",
                }
            ]
        },
        "DescribeReplicationGroups": {
            "ReplicationGroups": [{"Status": "available", "MemberClusters": ["cache-001", "cache-002"]}]
        },
    }
