"""Lays our plugins out where Pulumi's engine looks for them: in a `PULUMI_HOME` of the dock's own."""

from __future__ import annotations

import json
import os
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PROVIDERS = ("aws", "cloudflare")


def install(pulumi_home: Path) -> None:
    """Make `pulumi_home` an engine's home with our plugins in it, for this checkout and this interpreter.

    Safe to repeat, and while engines run: a file is replaced only when it differs. Raises OSError.
    """
    plugins = pulumi_home / "plugins"
    for name in PROVIDERS:
        folder = CHECKOUT / "dock" / "providers" / name
        release = json.loads((folder / "schema.json").read_text())["version"]
        _executable(
            plugins / f"resource-{name}-v{release}" / f"pulumi-resource-{name}",
            # -I: nothing in the environment of the shell can change what is imported.
            f'exec {shlex.quote(sys.executable)} -I -c {shlex.quote(_start(f"dock.providers.{name}"))} "$@"',
        )
    _executable(
        plugins / f"language-python-v{version('pulumi')}" / "pulumi-language-python",
        f'exec {shlex.quote(sys.executable)} -I -c {shlex.quote(_start("tools.language_host"))} "$@"',
    )


def _start(module: str) -> str:
    return (
        f"import sys, runpy; sys.path.insert(0, {str(CHECKOUT)!r}); runpy.run_module({module!r}, run_name='__main__')"
    )


def _executable(path: Path, command: str) -> None:
    content = f"#!/bin/sh\n{command}\n"
    if path.is_file() and path.read_text() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_text(content)
    staged.chmod(0o755)
    staged.replace(path)
