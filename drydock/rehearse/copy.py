"""A copy of any stack in the dock, under its own names, in an account of the dock's and with a state of its own.

The stack's own file stays the real cloud's, and its own state untouched: `pulumi preview --stack production` in an
attached shell is what it was.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml

from dock.certificates import CertificateAuthority
from dock.cloud import ACCOUNTS
from dock.cloudflare.records import ACCOUNTS as EDGE_ACCOUNTS
from dock.home import Home
from drydock import program
from drydock import settings as stack_settings
from drydock.errors import DrydockError
from drydock.rehearse import mapping
from drydock.rehearse.mapping import Certificate, Place
from drydock.shell import PROJECT, attach, endpoint
from stacks.problems import SettingsError
from stacks.settings import KEY, parse
from stacks.settings import PROJECT as PROJECT_NAME

_KEY = f"{PROJECT_NAME}:{KEY}"
# Beside the local environment, which has the dock's first account.
PLACE = Place(ACCOUNTS[1], list(EDGE_ACCOUNTS)[1])
DESTROY_SECONDS = 900


def lives_in_a_dock(stack: str) -> bool:
    """Whether a stack's own settings name an account of the dock's. Raises DrydockError for settings that are wrong."""
    return stack_settings.of(stack).account in ACCOUNTS


@dataclass(frozen=True)
class Copy:
    """One stack's copy. Nothing is there before `prepare`."""

    home: Home
    stack: str
    place: Place = PLACE

    @property
    def folder(self) -> Path:
        return self.home.pulumi / "copies" / self.stack

    @property
    def file(self) -> Path:
        """The stack's file as the copy has it."""
        return self.folder / f"Pulumi.{self.stack}.yaml"

    def environment(self) -> dict[str, str]:
        """A whole environment for a process that works on the copy."""
        return {**attach(self.home), **self.variables()}

    def variables(self) -> dict[str, str]:
        """What a shell has otherwise than one that is attached to the dock."""
        return {
            "AWS_ACCESS_KEY_ID": self.place.account,
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "DRYDOCK_STACK_FILE": str(self.file),
        }

    def prepare(self, *, protected: bool = True) -> list[str]:
        """Write the copy's file, with certificates of the dock's, and make its state. Returns what the copy has
        otherwise, a line each. Idempotent; the dock must run. Raises DrydockError."""
        source = stack_settings.files().get(self.stack)
        if source is None:
            raise DrydockError(
                f"there is no stack {self.stack!r}; Pulumi.*.yaml are {', '.join(stack_settings.files())}"
            )
        document = yaml.safe_load(source.read_text())
        before = document["config"][_KEY]
        arns = {each.path: self._certify(each) for each in mapping.certificates(before)}
        after = mapping.copied(before, self.place, arns)
        if not protected:
            after = mapping.unprotected(after)
        try:
            parse(json.dumps(after), self.stack)
        except SettingsError as problem:
            raise DrydockError(f"the copy of {self.stack} would not be what it should: {problem}") from None
        document["config"][_KEY] = after
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_suffix(".new")
        temporary.write_text(yaml.safe_dump(document, sort_keys=False))
        temporary.replace(self.file)
        if not (self.folder / "state" / ".pulumi" / "stacks" / PROJECT_NAME / f"{self.stack}.json").exists():
            program.pulumi(["stack", "init", self.stack, "--no-select"], self.environment())
        return list(mapping.differences(before, after))

    def apply(self, log: Path, say: Callable[[str], None] | None = None) -> None:
        """`pulumi up`. Raises DrydockError."""
        environment = self.environment()
        program.release(self.folder / "state", self.stack, environment)
        program.up(
            self.stack,
            environment,
            log,
            ["--config-file", str(self.file)],
            next_command=f"drydock up --stack {self.stack}",
            say=say,
        )

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs. Raises DrydockError."""
        outputs: dict[str, Any] = json.loads(
            program.pulumi(["stack", "output", "--json", "--stack", self.stack], self.environment())
        )
        return outputs

    def destroy(self, log: Path) -> None:
        """Take the copy down, data and all, and forget it. The stack must have been applied with
        `prepare(protected=False)` before: protection is taken away in the open, as it would be on AWS."""
        environment = self.environment()
        program.release(self.folder / "state", self.stack, environment)
        command = [
            "pulumi", "destroy", "--yes", "--skip-preview", "--stack", self.stack, "--config-file", str(self.file),
            "--non-interactive",
        ]  # fmt: skip
        with log.open("a") as kept:
            try:
                done = subprocess.run(
                    command, cwd=PROJECT, env=environment, stdout=kept, stderr=subprocess.STDOUT,
                    timeout=DESTROY_SECONDS, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise DrydockError(
                    f"the copy of {self.stack} was not gone in {DESTROY_SECONDS} s", f"less {log}"
                ) from None
        if done.returncode != 0:
            raise DrydockError(f"the copy of {self.stack} could not be destroyed in full", f"less {log}")
        program.pulumi(["stack", "rm", "--yes", "--preserve-config", self.stack], environment)
        self.file.unlink(missing_ok=True)

    def _certify(self, wanted: Certificate) -> str:
        """The ARN of a certificate for the name in the dock's ACM: the one that is there, or one that is imported."""
        session: Any = boto3.session.Session()
        acm = session.client(
            "acm",
            endpoint_url=endpoint(self.home)["endpoint_url"],
            region_name=wanted.region,
            aws_access_key_id=self.place.account,
            aws_secret_access_key="dock",  # noqa: S106  (an account's root of the dock has no other)
        )
        for summary in acm.list_certificates(CertificateStatuses=["ISSUED"])["CertificateSummaryList"]:
            if summary["DomainName"] == wanted.hostname and summary["Type"] == "IMPORTED":
                return str(summary["CertificateArn"])
        self.folder.mkdir(parents=True, exist_ok=True)
        made = CertificateAuthority(self.home).issue(
            self.home.keys / "copies" / wanted.hostname, wanted.hostname, [], names=[wanted.hostname]
        )
        imported = acm.import_certificate(Certificate=made.certificate.read_bytes(), PrivateKey=made.key.read_bytes())
        return str(imported["CertificateArn"])
