"""Which Python a program runs with, after its Pulumi.yaml: `runtime.options` virtualenv, toolchain and typechecker."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOOLCHAINS = ("pip", "poetry", "uv")
TYPECHECKERS = ("mypy", "pyright")
ASK_TIMEOUT = 60.0


class ToolchainError(Exception):
    """The options can't be honoured; the message is for the person who wrote Pulumi.yaml."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """`name` is one of TOOLCHAINS; `environment` is the virtual environment's folder, None for the ambient Python."""

    name: str
    root: Path
    program: Path
    environment: Path | None
    typechecker: str | None

    @classmethod
    def of(cls, root: str, program: str, options: Mapping[str, Any]) -> Toolchain:
        """Raises ToolchainError for an option that has a value it can't have."""
        top, folder = Path(root or "."), Path(program or root or ".")
        name = _choice(options, "toolchain", TOOLCHAINS) or _detected(folder)
        virtualenv = options.get("virtualenv") or ""
        if not isinstance(virtualenv, str):
            raise ToolchainError("the 'virtualenv' option in Pulumi.yaml must be a path")
        environment = top / virtualenv if virtualenv else None
        if name == "uv" and environment is None:
            above = _above(folder, "uv.lock") or folder
            environment = above / os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv")
        elif name == "poetry":
            environment = Path(_ask(["poetry", "env", "info", "--path"], folder))
        return cls(name, top, folder, environment, _choice(options, "typechecker", TYPECHECKERS))

    @property
    def python(self) -> str:
        """The interpreter's path. Raises ToolchainError when there is none, with what to run."""
        if self.environment is None:
            named = os.environ.get("PULUMI_PYTHON_CMD")
            found = shutil.which(named) if named else shutil.which("python3") or shutil.which("python")
            if found is None:
                raise ToolchainError(f"there is no {named or 'python3'} on PATH to run the program with")
            return found
        python = self.environment / "bin" / "python"
        if not python.exists():
            state = "is not a virtual environment" if self.environment.is_dir() else "does not exist"
            raise ToolchainError(
                f"the virtual environment {self.environment} that Pulumi.yaml names {state}: "
                "create it and install the program's dependencies with `pulumi install`"
            )
        return str(python)

    def process_environment(self) -> dict[str, str]:
        """The environment of a process of this toolchain: as a shell in which the virtual environment is active."""
        variables = dict(os.environ)
        if self.environment is not None:
            variables.pop("PYTHONHOME", None)
            variables["VIRTUAL_ENV"] = str(self.environment)
            variables["PATH"] = f"{self.environment / 'bin'}{os.pathsep}{variables.get('PATH', '')}"
        return variables

    def ask(self, *arguments: str) -> str:
        """What the interpreter prints for these arguments."""
        return _ask([self.python, *arguments], self.program, self.process_environment())

    @property
    def is_ours(self) -> bool:
        """Whether the host itself runs in this environment: what is asked of it needs no other process then."""
        return self.environment is not None and self.environment.resolve() == Path(sys.prefix).resolve()

    def version(self) -> str:
        question = "import platform; print(platform.python_version())"
        return platform.python_version() if self.is_ours else self.ask("-I", "-c", question)

    def installation(self) -> list[list[str]]:
        """The commands that install the program's dependencies, in order."""
        if self.name == "uv":
            return [["uv", "sync"]]
        if self.name == "poetry":
            return [["poetry", "install", "--no-ansi"]]
        commands = []
        python = str(self.environment / "bin" / "python") if self.environment else self.python
        if self.environment is not None and not Path(python).exists():
            commands.append([shutil.which("python3") or "python3", "-m", "venv", str(self.environment)])
        for folder in (self.program, self.root):
            if (folder / "requirements.txt").is_file():
                commands.append([python, "-m", "pip", "install", "-r", str(folder / "requirements.txt")])
                break
            if (folder / "pyproject.toml").is_file():
                commands.append([python, "-m", "pip", "install", "-e", str(folder)])
                break
        return commands


def _choice(options: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str | None:
    value = options.get(key)
    if value is None or value == "":
        return None
    if value not in allowed:
        raise ToolchainError(f"the '{key}' option in Pulumi.yaml is {value!r}: it must be one of {', '.join(allowed)}")
    return str(value)


def _detected(folder: Path) -> str:
    if _above(folder, "uv.lock"):
        return "uv"
    return "poetry" if _above(folder, "poetry.lock") else "pip"


def _above(folder: Path, name: str) -> Path | None:
    for candidate in (folder, *folder.absolute().parents):
        if (candidate / name).exists():
            return candidate
    return None


def _ask(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=ASK_TIMEOUT, check=True
        )
    except FileNotFoundError as error:
        raise ToolchainError(f"`{command[0]}`, which Pulumi.yaml's toolchain needs, is not on PATH") from error
    except subprocess.CalledProcessError as error:
        raise ToolchainError(f"`{' '.join(command)}` failed: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise ToolchainError(f"`{' '.join(command)}` gave no answer within {ASK_TIMEOUT:.0f} s") from error
    return done.stdout.strip()
