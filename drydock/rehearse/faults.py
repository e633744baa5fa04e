"""The faults that alarms are for, each real, each taken back when its context ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import redis

from drydock import daemon
from drydock.errors import DrydockError
from drydock.rehearse.stage import SERVICE, Stage, repeated
from drydock.shell import PROJECT
from operations import deploy, push_image
from operations.parameters import DeployParameters
from operations.runs.journal import unrecorded

DECLINED = "4000000000000002"
_GIB = 1024**3
# So much of this machine's disk a fault leaves free.
_SPARE_BYTES = 10 * _GIB
# Longer than any rehearsal: the context ends a fault before, and a rehearsal that was killed leaves it no longer.
_FAULT_SECONDS = 900


class CannotBeRehearsed(Exception):
    """Why this fault can't be made here."""


Inject = Callable[[Stage], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """`fires` are the alarms, by their keys in the manifest, that it must set off. Those of one `act` happen at once:
    they don't touch each other's alarms."""

    says: str
    inject: Inject
    fires: tuple[str, ...]
    act: int
    silent: bool = False
    """It must not fire them: a fault just below the threshold."""


@contextmanager
def failed_payments(stage: Stage, count: int) -> Iterator[None]:
    """So many payments with a card that is declined, within one period of the alarm."""
    period = int(stage.alarms([stage.target.manifest.alarms.names["payments"]]).popitem()[1]["Period"])
    with stage.user() as user:
        left = period - time.time() % period
        # Payments are counted by the minute of the log line: all of them belong into one.
        if left < 15:
            time.sleep(left + 0.5)
        for _ in range(count):
            payment = {"payment_id": str(uuid.uuid4()), "amount_cents": 500, "card_number": DECLINED}
            answer = user.post("/api/payments", json=payment)
            if answer.status_code != 402:
                raise CannotBeRehearsed(f"a declined payment answers {answer.status_code}")
        yield


def six_failed_payments(stage: Stage) -> AbstractContextManager[None]:
    return failed_payments(stage, stage.target.manifest.thresholds.payment_failures + 1)


def five_failed_payments(stage: Stage) -> AbstractContextManager[None]:
    return failed_payments(stage, stage.target.manifest.thresholds.payment_failures)


@contextmanager
def connections_taken(stage: Stage) -> Iterator[None]:
    """Connections that somebody opens and forgets, until nine in ten are taken."""
    database = stage.target.manifest.database
    wanted = database.max_connections * 90 // 100
    with ExitStack() as held:
        first = held.enter_context(contextlib.closing(stage.target.database()))
        first.autocommit = True
        for _ in range(database.max_connections):
            row = first.execute("SELECT sum(numbackends) FROM pg_stat_database").fetchone()
            if row is not None and row[0] >= wanted:
                break
            held.enter_context(contextlib.closing(stage.target.database()))
        else:
            raise CannotBeRehearsed(f"{wanted} connections could not be opened")
        yield


@contextmanager
def cache_filled(stage: Stage) -> Iterator[None]:
    """Keys that nobody needs, until nine tenths of the memory are taken."""
    with contextlib.closing(stage.target.cache()) as cache:
        mark = f"rehearsal:{uuid.uuid4().hex}"
        limit = int(cache.info("memory")["maxmemory"])
        written = 0
        try:
            while int(cache.info("memory")["used_memory"]) < limit * 0.9:
                for _ in range(8):
                    cache.set(f"{mark}:{written}", os.urandom(64 * 1024), ex=_FAULT_SECONDS)
                    written += 1
            yield
        finally:
            for number in range(written):
                with contextlib.suppress(redis.RedisError):
                    cache.unlink(f"{mark}:{number}")


@contextmanager
def voices_asked_for(stage: Stage, waiting: int) -> Iterator[None]:
    """Jobs for voices, so many that `waiting` of them wait at any time."""
    with contextlib.closing(stage.target.cache()) as cache:
        text = "the quick brown fox jumps over the lazy dog and over it again"
        name = f"rehearsal-{uuid.uuid4().hex}"
        queue = "voice:queue"

        def ask() -> None:
            missing = waiting - int(cache.llen(queue))
            jobs = [json.dumps({"name": f"{name}:{number}", "text": text}) for number in range(max(0, missing))]
            if jobs:
                cache.rpush(queue, *jobs)

        try:
            with repeated(ask, 0.2):
                yield
        finally:
            cache.delete(queue)


def many_voices(stage: Stage) -> AbstractContextManager[None]:
    return voices_asked_for(stage, 500)


@contextmanager
def cpu_burnt(stage: Stage) -> Iterator[None]:
    """What strangers can make a task's CPU do: names and passwords tried, and a voice after the other, though few
    enough that none of them waits for long."""
    with stage.target.http(timeout=20) as client:

        def log_in() -> None:
            guess = {"name": f"nobody-{uuid.uuid4().hex[:12]}", "password": uuid.uuid4().hex}
            client.post(f"{stage.service.url}/api/session", json=guess)

        with voices_asked_for(stage, 30), repeated(log_in, 0.0, workers=12):
            yield


@contextmanager
def requests_that_users_send(stage: Stage, per_second: float = 20.0) -> Iterator[None]:
    """Ordinary traffic, of which a bad release fails or delays its part."""
    with stage.target.http(timeout=20) as client:
        workers = 8
        url = f"{stage.service.url}/api/version"

        def send() -> None:
            client.get(url)

        with repeated(send, workers / per_second, workers):
            yield


@contextmanager
def released(stage: Stage, release: str) -> Iterator[None]:
    """A release deployed as any other, and the one before put back at the end."""
    before = _running(stage)
    layout = stage.home.data("images") / release
    command = [sys.executable, "image.py", release, "--output", str(layout)]
    subprocess.run(command, cwd=PROJECT / "examples" / "chat", stdout=subprocess.DEVNULL, timeout=1200, check=True)
    pushed = push_image.push(stage.target.client("ecr"), layout, stage.service.repository, release)
    try:
        with requests_that_users_send(stage):
            _deploy(stage, pushed.digest)
            yield
    finally:
        with requests_that_users_send(stage):
            _deploy(stage, before)


def release_with_errors(stage: Stage) -> AbstractContextManager[None]:
    return released(stage, "1.2.0-errors")


def release_that_is_slow(stage: Stage) -> AbstractContextManager[None]:
    return released(stage, "1.2.1-slow")


@contextmanager
def tasks_killed(stage: Stage) -> Iterator[None]:
    """Every task of the service is stopped as soon as it runs."""
    ecs, service = stage.target.client("ecs"), stage.service

    def stop() -> None:
        for arn in ecs.list_tasks(cluster=service.cluster, serviceName=service.service)["taskArns"]:
            ecs.stop_task(cluster=service.cluster, task=arn, reason="rehearsal of the alarms")

    with repeated(stop, 0.5):
        yield


@contextmanager
def engine_down(stage: Stage, name: str) -> Iterator[None]:
    """All processes of a database or a cache are ended, and not started again."""
    wish = {
        "kind": "engine-down",
        "target": name,
        "part": "all",
        "seconds": _FAULT_SECONDS,
        "note": "drydock rehearse alarms",
    }
    try:
        fault = daemon.ask(stage.home, "POST", "/faults", wish, timeout=30)
    except daemon.RefusedError as problem:
        raise CannotBeRehearsed(str(problem)) from None
    if fault is None:
        raise DrydockError("the dock is not running", "drydock up")
    try:
        yield
    finally:
        daemon.ask(stage.home, "DELETE", f"/faults/{fault['id']}", timeout=60)


def database_down(stage: Stage) -> AbstractContextManager[None]:
    return engine_down(stage, stage.target.manifest.database.identifier)


def cache_down(stage: Stage) -> AbstractContextManager[None]:
    return engine_down(stage, stage.target.manifest.cache.replication_group)


@contextmanager
def storage_taken(stage: Stage) -> Iterator[None]:
    """A file on the primary's storage, as WAL that piles up would be, until nine tenths are taken."""
    instance = stage.target.client("rds").describe_db_instances(
        DBInstanceIdentifier=stage.target.manifest.database.identifier
    )["DBInstances"][0]
    size = instance["AllocatedStorage"] * _GIB * 9 // 10
    folder = stage.home.data("rds") / instance["DbiResourceId"]
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE_BYTES:
        raise CannotBeRehearsed(
            f"it takes {size // _GIB} GiB of this machine's disk, which has {free // _GIB} GiB to spare"
        )
    ballast = folder / _primary(stage, instance["DbiResourceId"]) / "rehearsal.ballast"
    try:
        with ballast.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as problem:
                raise CannotBeRehearsed(f"the disk does not take a file of {size // _GIB} GiB: {problem}") from None
        yield
    finally:
        ballast.unlink(missing_ok=True)


def _primary(stage: Stage, resource: str) -> str:
    """The primary's node, `a` or `b`."""
    document = daemon.status(stage.home) or {}
    for entry in document.get("resources", []):
        if entry.get("service") == "rds" and entry.get("name") == stage.target.manifest.database.identifier:
            for node in entry["nodes"]:
                if node["role"] == "primary":
                    return str(node["node"])
    raise CannotBeRehearsed(f"no primary of {resource} runs")


def _running(stage: Stage) -> str:
    """The digest of the image that the service runs."""
    ecs, service = stage.target.client("ecs"), stage.service
    found = ecs.describe_services(cluster=service.cluster, services=[service.service])["services"][0]
    if found["desiredCount"] == 0:
        raise CannotBeRehearsed("no release runs: `drydock up` deploys one")
    definition = ecs.describe_task_definition(taskDefinition=found["taskDefinition"])["taskDefinition"]
    images = {each["name"]: each["image"] for each in definition["containerDefinitions"]}
    return str(images[service.container]).rpartition("@")[2]


def _deploy(stage: Stage, digest: str) -> None:
    manifest = stage.target.manifest
    request = DeployParameters(
        platform=manifest.platform,
        environment=manifest.environment,
        region=manifest.region,
        recovery_region=manifest.recovery_region or manifest.region,
        service=SERVICE,
        image_digest=digest,
        migrate=False,
    )
    deploy.execute(deploy.plan(deploy.gather(stage.target, SERVICE, digest), request), stage.target, unrecorded())


def faults(stage: Stage) -> list[Fault]:
    """The faults of a platform's alarms."""
    names = stage.target.manifest.alarms.names
    memory = tuple(sorted(key for key in names if key.startswith("cache-memory-")))
    silent = tuple(sorted(key for key in names if key.startswith("cache-silent-")))
    burning = tuple(sorted(key for key in names if key.startswith("burn-")))
    return [
        Fault("six failed payments", six_failed_payments, ("payments",), 1),
        Fault("connections opened on PostgreSQL", connections_taken, ("connections", "database"), 1),
        Fault("Redis filled with keys", cache_filled, (*memory, "cache"), 1),
        Fault("storage filled by a file", storage_taken, ("storage",), 1),
        Fault("five failed payments", five_failed_payments, ("payments",), 2, silent=True),
        Fault("passwords tried, voices made", cpu_burnt, ("cpu",), 2),
        Fault("more voices than tasks can make", many_voices, ("voice-queue",), 2),
        Fault("release 1.2.0-errors", release_with_errors, ("deployment", "error-rate", SERVICE, *burning), 3),
        Fault("release 1.2.1-slow", release_that_is_slow, ("slow",), 4),
        Fault("tasks stopped as soon as they run", tasks_killed, ("nobody-serves", "few-serve"), 5),
        Fault("database down, both nodes", database_down, ("database-silent",), 5),
        Fault("cache down, all nodes", cache_down, silent, 5),
    ]
