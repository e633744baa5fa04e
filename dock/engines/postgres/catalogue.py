"""Which parameters the installed PostgreSQL has: names, types, ranges, and when a change takes effect."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from dock.engines.postgres.binaries import Binaries

_QUERY = (
    "SELECT json_agg(json_build_object('name', name, 'context', context, 'type', vartype, 'unit', unit,"
    " 'minimum', min_val, 'maximum', max_val, 'choices', enumvals, 'default', boot_val, 'description', short_desc))"
    " FROM pg_settings WHERE name NOT LIKE '%.%'"
)
_DEADLINE_SECONDS = 60
_BOOLEANS = {"0": "off", "1": "on", "on": "on", "off": "off", "true": "on", "false": "off"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of `pg_settings`, without a value. `unit` is what a bare number counts (`8kB`, `ms`, or None)."""

    name: str
    context: str
    type: str
    unit: str | None
    minimum: str | None
    maximum: str | None
    choices: tuple[str, ...] | None
    default: str | None
    description: str

    @property
    def static(self) -> bool:
        """Whether a change waits for a restart."""
        return self.context == "postmaster"

    @property
    def allowed(self) -> str | None:
        """The allowed values in words: `1-262143`, `none,ddl,mod,all`, `0,1`; None: any text."""
        if self.type == "bool":
            return "0,1"
        if self.choices is not None:
            return ",".join(self.choices)
        if self.type in ("integer", "real"):
            return f"{self.minimum}-{self.maximum}"
        return None

    def accept(self, value: str) -> str:
        """The value as `postgresql.conf` has it. Raises ValueError when PostgreSQL would not take it."""
        if self.type == "bool":
            return _BOOLEANS[value.lower()] if value.lower() in _BOOLEANS else self._refuse(value)
        if self.choices is not None:
            return value if value in self.choices else self._refuse(value)
        if self.type in ("integer", "real"):
            try:
                number = int(value) if self.type == "integer" else float(value)
            except ValueError:
                return self._refuse(value)
            inside = math.isfinite(number) and float(self.minimum or "-inf") <= number <= float(self.maximum or "inf")
            return value if inside else self._refuse(value)
        if any(character in value for character in "\n\r\0"):
            return self._refuse(value)
        return value

    def _refuse(self, value: str) -> str:
        raise ValueError(f"{value} for: {self.name} allowed values are: {self.allowed or 'one line of text'}")


class Catalogue:
    """All parameters of one version, by name."""

    def __init__(self, parameters: dict[str, Parameter]) -> None:
        self.parameters = parameters

    @classmethod
    def load(cls, binaries: Binaries, cache: Path, user: tuple[int, int] | None) -> Catalogue:
        """Ask the server itself, once for each version; `cache` is a folder for the answer. Blocks for a second.

        Raises OSError or subprocess.SubprocessError when PostgreSQL can't be run.
        """
        path = cache / f"parameters-{binaries.version}.json"
        try:
            rows = json.loads(path.read_text())
        except (OSError, ValueError):
            rows = _ask(binaries, user)
            temporary = path.with_suffix(".new")
            temporary.write_text(json.dumps(rows, indent=1))
            temporary.replace(path)
        parameters = [
            Parameter(**{**row, "choices": tuple(row["choices"]) if row["choices"] else None}) for row in rows
        ]
        return cls({parameter.name: parameter for parameter in parameters})


def _ask(binaries: Binaries, user: tuple[int, int] | None) -> list[dict[str, object]]:
    """Make a server that nobody can reach, ask it in single-user mode, throw it away."""
    folder = Path(tempfile.mkdtemp(prefix="drydock-catalogue-"))
    data, answer = folder / "data", folder / "answer"

    def run(program: str, *arguments: str, text: str = "") -> None:
        subprocess.run(
            [binaries.program(program), *arguments],
            input=text,
            cwd=folder,
            capture_output=True,
            check=True,
            timeout=_DEADLINE_SECONDS,
            text=True,
            user=user[0] if user else None,
            group=user[1] if user else None,
            extra_groups=[] if user else None,
        )

    try:
        if user:
            shutil.chown(folder, *user)
        run("initdb", "-D", str(data), "--no-sync", "--locale=C.UTF-8", "-E", "UTF8", "-A", "reject")
        run("postgres", "--single", "-D", str(data), "postgres", text=f"COPY ({_QUERY}) TO '{answer}'\n")
        # COPY's text format doubles backslashes; JSON's own are the only ones there.
        rows = json.loads(answer.read_text().replace("\\\\", "\\"))
        return [asdict(Parameter(**row)) for row in rows]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
