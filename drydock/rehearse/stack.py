"""A whole stack, brought up in the dock and taken down again: what stands between a plan and an apply that works."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import boto3
from rich.console import Console
from rich.table import Table

from dock.home import Home
from drydock import daemon, program
from drydock.errors import DrydockError
from drydock.rehearse.copy import Copy, lives_in_a_dock
from drydock.shell import endpoint

WANTED_SECONDS = 120.0
# Ends that nobody waits for: an engine that was asked to stop needs a moment.
_GONE_SECONDS = 20.0


@dataclass
class Rehearsal:
    """What became of it. `left` names what the destroyed copy left behind; all times in seconds."""

    stack: str
    resources: int = 0
    up_seconds: float = 0.0
    unchanged: bool = False
    destroy_seconds: float = 0.0
    left: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem and self.unchanged and not self.left


def rehearse(home: Home, stack: str, *, as_json: bool) -> bool:
    """Bring a copy of the stack up, see that a second run changes nothing, destroy it, see that nothing is left.

    An interrupted rehearsal is taken up where it was left. Raises DrydockError when it can't begin.
    """
    if lives_in_a_dock(stack):
        raise DrydockError(
            f"{stack} lives in a dock already: it is rehearsed by using it", f"drydock up --stack {stack}"
        )
    say = _silently if as_json else _say
    home.create()
    daemon.start(home, say)
    program.prepare(home)
    copy = Copy(home, stack)
    mark = copy.folder / "rehearsal"
    if copy.file.exists() and not mark.exists():
        raise DrydockError(
            f"a copy of {stack} is up, and a rehearsal would end by destroying it",
            f"drydock status   (or delete {copy.file} when nobody needs the copy)",
        )
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    found = Rehearsal(stack)
    before = _running(home)
    try:
        _play(copy, found, home.logs / "pulumi.log", say)
        found.left = _left(home, copy, before)
        mark.unlink()
    except DrydockError as problem:
        found.problem = problem.what
    if as_json:
        print(json.dumps({"schema_version": 1, **asdict(found), "passed": found.passed}))
    else:
        _print(found)
    return found.passed


def _play(copy: Copy, found: Rehearsal, log: Path, say: Callable[[str], None]) -> None:
    say(f"a copy of {copy.stack}, in the dock's account {copy.place.account}:")
    for line in copy.prepare():
        say(f"  {line}")
    with _timed() as took:
        copy.apply(log, _silently if say is _silently else None)
    found.up_seconds = took[0]
    found.resources = _count(copy)
    say(f"up: {found.resources} resources in {found.up_seconds:.0f} s; a second run must change nothing")
    found.unchanged = _unchanged(copy)
    say("taking it down: first its protection, in the open, then all of it")
    with _timed() as took:
        copy.prepare(protected=False)
        copy.apply(log, _silently if say is _silently else None)
        copy.destroy(log)
    found.destroy_seconds = took[0]


def _unchanged(copy: Copy) -> bool:
    """Whether a preview finds nothing to do. Its exit code can't tell a change from an error, its figures can."""
    said = program.pulumi(
        ["preview", "--json", "--stack", copy.stack, "--config-file", str(copy.file)], copy.environment()
    )
    return set(json.loads(said)["changeSummary"]) <= {"same"}


def _count(copy: Copy) -> int:
    exported = json.loads(program.pulumi(["stack", "export", "--stack", copy.stack], copy.environment()))
    made = exported["deployment"].get("resources", [])
    return sum(resource.get("custom", False) and not resource["type"].startswith("pulumi:") for resource in made)


def _running(home: Home) -> set[str]:
    status = daemon.status(home)
    return {process["name"] for process in status["processes"]} if status else set()


def _left(home: Home, copy: Copy, before: set[str]) -> list[str]:
    """What of the copy is still there: processes, and what the APIs list."""
    until = time.monotonic() + _GONE_SECONDS
    while (processes := _running(home) - before) and time.monotonic() < until:
        time.sleep(0.2)
    return [f"process {name}" for name in sorted(processes)] + sorted(_listed(home, copy))


def _listed(home: Home, copy: Copy) -> Iterator[str]:
    session: Any = boto3.session.Session()

    def client(service: str) -> Any:
        return session.client(
            service,
            endpoint_url=endpoint(home)["endpoint_url"],
            region_name=endpoint(home)["region"],
            aws_access_key_id=copy.place.account,
            aws_secret_access_key="dock",  # noqa: S106  (an account's root of the dock has no other)
        )

    prefix = f"-{copy.stack}-"
    listings: dict[str, tuple[str, str, str, str]] = {
        "database": ("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
        "cache": ("elasticache", "describe_replication_groups", "ReplicationGroups", "ReplicationGroupId"),
        "load balancer": ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
        "target group": ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupName"),
        "repository": ("ecr", "describe_repositories", "repositories", "repositoryName"),
        "role": ("iam", "list_roles", "Roles", "RoleName"),
        "secret": ("secretsmanager", "list_secrets", "SecretList", "Name"),
        "alarm": ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        "log group": ("logs", "describe_log_groups", "logGroups", "logGroupName"),
        "bucket": ("s3", "list_buckets", "Buckets", "Name"),
    }
    for kind, (service, operation, key, name) in listings.items():
        for entry in getattr(client(service), operation)().get(key, []):
            if prefix in f"-{str(entry[name]).replace('/', '-')}-":
                yield f"{kind} {entry[name]}"


@contextmanager
def _timed() -> Iterator[list[float]]:
    took = [0.0]
    began = time.monotonic()
    try:
        yield took
    finally:
        took[0] = time.monotonic() - began


def _print(found: Rehearsal) -> None:
    table = Table(title=f"\n{found.stack}, rehearsed in the dock", title_justify="left", box=None, header_style="bold")
    for column in ("step", "result"):
        table.add_column(column, overflow="fold")
    table.add_row("up", f"{found.resources} resources in {found.up_seconds:.0f} s (wanted: {WANTED_SECONDS:.0f} s)")
    table.add_row("a second run", "changes nothing" if found.unchanged else "would change something, or was not tried")
    table.add_row("destroyed", f"in {found.destroy_seconds:.0f} s" if found.destroy_seconds else "no")
    table.add_row("left behind", "\n".join(found.left) or "nothing")
    if found.problem:
        table.add_row("problem", found.problem)
    table.add_row("verdict", "passed" if found.passed else "NOT PASSED")
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _say(text: str) -> None:
    print(f"drydock: {text}", flush=True)


def _silently(text: str) -> None:
    """With --json nothing but the document is printed."""
