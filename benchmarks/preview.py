"""A preview of production against the same engine's empty program."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.figure import Figure, in_pairs, spread
from drydock.shell import PROJECT

RUNS = 5


def measure(environment: Mapping[str, str]) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "state").mkdir()
        (root / "Pulumi.yaml").write_text("name: empty\nruntime: python\n")
        (root / "__main__.py").write_text("import pulumi\n")
        alone = {**environment, "PULUMI_BACKEND_URL": f"file://{root / 'state'}"}
        _pulumi(["stack", "init", "empty"], root, alone)
        ours, empty = in_pairs(
            lambda: _pulumi(["preview", "--stack", "production"], PROJECT, environment),
            lambda: _pulumi(["preview", "--stack", "empty"], root, alone),
            RUNS,
        )
    ratio = statistics.median(ours) / statistics.median(empty)
    return [
        Figure(
            "preview of production",
            spread(ours),
            f"empty program {spread(empty)}",
            ratio,
            "≤ 3 × the empty program",
            ratio <= 3,
        )
    ]


def _pulumi(arguments: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    subprocess.run(
        ["pulumi", *arguments, "--non-interactive"],
        cwd=folder,
        env=dict(environment),
        check=True,
        capture_output=True,
        timeout=120,
    )
