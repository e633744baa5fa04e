"""The environment that a rehearsal plays in, and what every fault needs of it."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import yaml

from dock.home import Home
from drydock.errors import DrydockError
from drydock.shell import PROJECT, endpoint, variables
from operations.errors import OperationError
from operations.manifest import Service
from operations.parameters import Where
from operations.target import Target

SERVICE = "web"


@dataclass(frozen=True)
class Stage:
    home: Home
    target: Target

    @classmethod
    def open(cls, home: Home, stack: str) -> Stage:
        """The environment of a stack. Raises DrydockError when it doesn't live in this dock, or isn't up."""
        try:
            settings = yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text())["config"]["drydock:settings"]
        except (OSError, KeyError, TypeError) as problem:
            raise DrydockError(f"Pulumi.{stack}.yaml can't be read: {problem}", "drydock rehearse alarms") from None
        if settings.get("account") != endpoint(home)["account"]:
            raise DrydockError(
                f"{stack} is in account {settings.get('account')}, not in this dock: real users are not rehearsed on",
                "drydock rehearse alarms --stack local",
            )
        # boto3 in this process talks to the dock from here on, with its certificates.
        os.environ.update(variables(home))
        try:
            where = Where(platform=settings["platform"], environment=settings["environment"])
            return cls(home, Target.open(where))
        except OperationError as problem:
            raise DrydockError(f"{problem.what}: {problem.why}", f"drydock up --stack {stack}") from problem

    @property
    def service(self) -> Service:
        return self.target.manifest.services[SERVICE]

    def alarms(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Alarms of both kinds by name, as DescribeAlarms shows them now."""
        found: dict[str, dict[str, Any]] = {}
        client = self.target.client("cloudwatch")
        for start in range(0, len(names), 100):
            answer = client.describe_alarms(
                AlarmNames=names[start : start + 100], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
            )
            for alarm in [*answer["MetricAlarms"], *answer["CompositeAlarms"]]:
                found[alarm["AlarmName"]] = alarm
        return found

    @contextmanager
    def user(self) -> Iterator[httpx.Client]:
        """A user of the application who is logged in."""
        with self.target.http(timeout=20) as client:
            client.base_url = httpx.URL(self.service.url)
            name = f"rehearsal-{secrets.token_hex(4)}"
            answer = client.post("/api/accounts", json={"name": name, "password": secrets.token_urlsafe(16)})
            if answer.status_code != 201:
                raise DrydockError(
                    f"a user could not be made: {answer.status_code} {answer.text[:200]}", "drydock status"
                )
            yield client


@contextmanager
def repeated(act: Callable[[], None], seconds: float, workers: int = 1) -> Iterator[None]:
    """Do `act` again and again, each `seconds`, in the background. What it raises is part of the fault: it goes on."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            began = time.monotonic()
            # What a fault does to its own cause is no news.
            with contextlib.suppress(Exception):
                act()
            over.wait(max(0.0, seconds - (time.monotonic() - began)))

    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(run) for _ in range(workers)]
        try:
            yield
        finally:
            over.set()
            for each in running:
                each.result()
