"""A Pulumi project of a test's own: its program, its backend, its engine's home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from dock.providers.install import install
from drydock.shell import engine_folder

RUN_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Project:
    folder: Path
    environment: dict[str, str]

    @classmethod
    def make(cls, folder: Path, endpoint: str, name: str = "test") -> Project:
        (folder / "program").mkdir(parents=True)
        (folder / "state").mkdir()
        install(folder / "home")
        options = {"name": "python", "options": {"virtualenv": sys.prefix}}
        (folder / "program" / "Pulumi.yaml").write_text(json.dumps({"name": name, "runtime": options}))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_"))}
        environment = {
            **kept,
            "PATH": f"{engine_folder()}{os.pathsep}{os.environ['PATH']}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "000000000001",
            "AWS_SECRET_ACCESS_KEY": "dock",
        }
        project = cls(folder, environment)
        project.write("")
        project.pulumi("stack", "init", "test")
        return project

    def write(self, program: str) -> None:
        (self.folder / "program" / "__main__.py").write_text(dedent(program))

    def pulumi(self, *arguments: str, code: int | None = 0) -> str:
        """What it prints. Fails unless it exits with `code`; None accepts any."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.folder / "program",
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )
        said = done.stdout + done.stderr
        if code is not None:
            assert done.returncode == code, said
        return said

    def up(self, *arguments: str, code: int | None = 0) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", *arguments, code=code)

    def refresh(self) -> str:
        return self.pulumi("refresh", "--yes", "--skip-preview")

    def unchanged(self) -> bool:
        return "no changes were expected" not in self.pulumi("preview", "--expect-no-changes", code=None)

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json", "--show-secrets"))
        return found

    def resources(self) -> dict[str, dict[str, Any]]:
        """The state's resources by name."""
        exported = json.loads(self.pulumi("stack", "export"))
        return {each["urn"].rsplit("::", 1)[1]: each for each in exported["deployment"].get("resources", [])}
