"""The control stack's own state: where it is, whose lock is on it, and the copy of its settings that is applied."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError

from drydock import pending, program
from drydock.account import Account
from drydock.errors import DrydockError
from drydock.shell import PROJECT
from stacks.settings import PROJECT as PROJECT_NAME
from stacks.settings import Control

_LOCK_PAUSE = 1.0
# The lines of a stack file that say how its secrets are encrypted.
_ENCRYPTION = ("encryptionsalt:", "secretsprovider:", "encryptedkey:")


class AccountState:
    """`folder` holds the copy of the stack's file: what the engine writes into it must not change the checkout."""

    def __init__(self, settings: Control, account: Account, folder: Path, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self._account = account
        self._folder = folder
        self.environment = {**environment, "PULUMI_BACKEND_URL": backend(settings)}
        self.environment.pop("PULUMI_STACK", None)

    @property
    def file(self) -> Path:
        return self._folder / f"Pulumi.{self.settings.name}.yaml"

    def exists(self) -> bool:
        """Whether the stack has a state in the bucket."""
        try:
            self._account.client("s3").head_object(Bucket=self.settings.state_bucket, Key=self._key("stacks") + ".json")
        except ClientError as problem:
            if problem.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True

    def init(self) -> None:
        """An empty state, its secrets encrypted with the account's key."""
        if self.exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self.file.unlink(missing_ok=True)
        (self._folder / "Pulumi.yaml").write_text((PROJECT / "Pulumi.yaml").read_text())
        arguments = ["stack", "init", self.settings.name, "--no-select", "--secrets-provider", provider(self.settings)]
        program.pulumi([*arguments, "--cwd", str(self._folder)], self.environment)

    def write_settings(self, key: str) -> None:
        """The checkout's settings, and with them what belongs to this account: how the state's secrets are encrypted,
        and which key is to be adopted."""
        document = yaml.safe_load((PROJECT / f"Pulumi.{self.settings.name}.yaml").read_text())
        document.pop("encryptionsalt", None)
        document |= self._encryption()
        document["config"][f"{PROJECT_NAME}:settings"]["state"]["adopted_key"] = key
        temporary = self.file.with_suffix(".new")
        temporary.write_text(yaml.safe_dump(document, sort_keys=False))
        temporary.replace(self.file)

    def apply(self, log: Path, say: Callable[[str], None]) -> None:
        """`pulumi up`, after the lock of an engine that was killed on this machine; one that still works is waited for.

        Raises DrydockError when another machine has the lock.
        """
        until = time.monotonic() + program.UP_SECONDS
        while not self._unlocked():
            if time.monotonic() > until:
                raise DrydockError(f"stack {self.settings.name} is still locked after {program.UP_SECONDS} s")
            say("waiting for an engine that still changes this stack")
            time.sleep(_LOCK_PAUSE)
        self._settle(say)
        program.up(
            self.settings.name,
            self.environment,
            log,
            ["--config-file", str(self.file)],
            next_command=f"drydock bootstrap --stack {self.settings.name}",
            say=say,
        )

    def outputs(self) -> dict[str, Any]:
        said = program.pulumi(["stack", "output", "--json", "--stack", self.settings.name], self.environment)
        found: dict[str, Any] = json.loads(said)
        return found

    def _settle(self, say: Callable[[str], None]) -> None:
        """What a killed engine was making joins the state under its id, and a refresh drops what was never made."""
        exported = self._exported()
        begun = pending.creations(exported)
        if not begun:
            return
        say(f"{len(begun)} resources were being made when the last run was killed: looking for them")
        found = pending.identifiers(begun, self._account)
        exported["deployment"]["pending_operations"] = []
        exported["deployment"]["resources"] += [
            {**resource, "id": found[resource["urn"]]} for resource in begun if resource["urn"] in found
        ]
        repaired = self._folder / "repaired.json"
        repaired.write_text(json.dumps(exported))
        stack = ["--stack", self.settings.name]
        program.pulumi(["stack", "import", *stack, "--file", str(repaired)], self.environment)
        targets = [text for urn in found for text in ("--target", urn)]
        if targets:
            configured = ["--config-file", str(self.file)]
            program.pulumi(["refresh", "--yes", "--skip-preview", *stack, *configured, *targets], self.environment)

    def _exported(self) -> dict[str, Any]:
        said = program.pulumi(["stack", "export", "--stack", self.settings.name], self.environment)
        exported: dict[str, Any] = json.loads(said)
        return exported

    def _encryption(self) -> dict[str, str]:
        """From the state itself, so that it can be gone on with on any machine."""
        known = (self._exported().get("deployment") or {}).get("secrets_providers", {})
        kept = yaml.safe_load(self.file.read_text()) if self.file.exists() else {}
        if known.get("type") == "cloud":
            kept = {"secretsprovider": known["state"]["url"], "encryptedkey": known["state"]["encryptedkey"]}
        if "encryptedkey" not in kept:
            raise DrydockError(
                f"the state of stack {self.settings.name} does not say how its secrets are encrypted, "
                f"and {self.file} is gone",
                f"pulumi stack rm --force --preserve-config {self.settings.name}",
            )
        return {name: kept[name] for name in ("secretsprovider", "encryptedkey")}

    def keep_in_checkout(self) -> None:
        """What the engine wrote of the state's encryption joins the checkout's own file, which is to be committed."""
        path = PROJECT / self.file.name
        encryption = self._encryption()
        kept = [line for line in path.read_text().splitlines() if not line.startswith(_ENCRYPTION)]
        at = next(number for number, line in enumerate(kept) if line and not line.startswith("#"))
        added = [f"{name}: {value}" for name, value in encryption.items()]
        path.write_text("\n".join([*kept[:at], *added, *kept[at:]]) + "\n")

    def _unlocked(self) -> bool:
        s3, bucket = self._account.client("s3"), self.settings.state_bucket
        for entry in s3.list_objects_v2(Bucket=bucket, Prefix=self._key("locks") + "/").get("Contents", []):
            lock = json.loads(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
            if lock.get("hostname") == socket.gethostname():
                if program.runs(int(lock["pid"])):
                    return False
                program.pulumi(["cancel", "--yes", "--stack", self.settings.name], self.environment)
            else:
                raise DrydockError(
                    f"process {lock['pid']} of {lock.get('username')}@{lock.get('hostname')} is changing stack "
                    f"{self.settings.name} since {lock.get('timestamp')}",
                    f"PULUMI_BACKEND_URL='{backend(self.settings)}' pulumi cancel --stack {self.settings.name}",
                )
        return True

    def _key(self, kind: str) -> str:
        """Where Pulumi keeps what it knows of the stack in a bucket."""
        between = "organization/" if kind == "locks" else ""
        return f".pulumi/{kind}/{between}{PROJECT_NAME}/{self.settings.name}"


def backend(settings: Control) -> str:
    return f"s3://{settings.state_bucket}?region={settings.region}"


def provider(settings: Control) -> str:
    return f"awskms://{settings.state_key_alias}?region={settings.region}"
