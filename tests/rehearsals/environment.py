"""A whole local environment of the tests' own, used as a person uses one: by typing commands."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import psycopg

from operations.manifest import Manifest

PROJECT = Path(__file__).parents[2]
COMMAND_SECONDS = 600


@dataclass(frozen=True)
class Environment:
    """The environment's home and the variables of a shell that is attached to it."""

    home: Path
    variables: dict[str, str]

    @classmethod
    def attach(cls, home: Path) -> Environment:
        """What `eval "$(drydock env)"` makes of this process's environment."""
        script = drydock(home, "env").stdout
        attached = subprocess.run(
            ["bash", "-c", f"{script}\nenv -0"], capture_output=True, text=True, check=True, env=clean(home), timeout=60
        )
        pairs = (entry.partition("=") for entry in attached.stdout.split("\0") if entry)
        return cls(home, {name: value for name, _, value in pairs})

    def run(
        self, command: str, *, check: bool = True, seconds: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command line in the attached shell, at the root of the checkout."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=PROJECT,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{command}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, command: str) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.run(command).stdout)

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A boto3 client, as in the attached shell."""
        return boto3.client(
            service,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            region_name=region,
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
        )

    @property
    def manifest(self) -> Manifest:
        document = self.client("ssm").get_parameter(Name="/drydock/chatvrm/local/manifest")["Parameter"]["Value"]
        return Manifest.model_validate_json(document)

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(drydock(self.home, "status", "--json", check=False).stdout)
        return document

    def pid(self, contains: str) -> int:
        """The process of the dock whose name contains this."""
        found = [process["pid"] for process in self.status()["processes"] if contains in process["name"]]
        assert found, f"no process called …{contains}… in {self.status()['processes']}"
        return int(found[0])

    def secret(self, arn: str) -> dict[str, str]:
        value: dict[str, str] = json.loads(self.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])
        return value

    def database(self) -> psycopg.Connection[Any]:
        """A connection as the application's role, with the certificate verified."""
        database = self.manifest.database
        secret = self.secret(database.application_secret)
        return psycopg.connect(
            host=database.endpoint,
            port=database.port,
            dbname=database.name,
            user=secret["username"],
            password=secret["password"],
            sslmode="verify-full",
            sslrootcert=self.variables["PGSSLROOTCERT"],
            connect_timeout=3,
            autocommit=True,
        )


def clean(home: Path) -> dict[str, str]:
    return {**os.environ, "DRYDOCK_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def drydock(home: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The command, as a person types it in a shell that isn't attached."""
    done = subprocess.run(
        [sys.executable, "-m", "drydock", *arguments],
        cwd=PROJECT,
        env=clean(home),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"drydock {shlex.join(arguments)}\n{done.stdout}\n{done.stderr}")
    return done


def until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until the condition holds; a connection that is refused or broken meanwhile counts as not yet.
    Returns how long it took, in seconds."""
    began = time.monotonic()
    last: object = None
    while time.monotonic() - began < seconds:
        try:
            if last := condition():
                return time.monotonic() - began
        except (httpx.HTTPError, psycopg.Error, OSError) as problem:
            last = problem
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what} (last: {last!r})")
