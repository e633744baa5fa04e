"""Requests a second through the load balancer, against one task asked directly."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

from benchmarks.figure import Figure

SECONDS = 10
CONNECTIONS = 32


def measure(url: str, targets: list[str]) -> list[Figure]:
    """`url` is the load balancer's, `targets` the tasks' own. Needs wrk, which no other part of the project does."""
    if shutil.which("wrk") is None:
        return [Figure("requests through the load balancer", "not measured: apt-get install wrk", "", None, "", False)]
    _rate(f"{url}/api/ping", 2)
    balanced = _rate(f"{url}/api/ping", SECONDS)
    direct = _rate(f"{targets[0]}/api/ping", SECONDS)
    return [
        Figure(
            f"requests through the load balancer to {len(targets)} tasks",
            f"{balanced['rate']:,.0f}/s, p99 {balanced['p99']}, {balanced['errors']} errors",
            f"one task asked directly: {direct['rate']:,.0f}/s, p99 {direct['p99']}",
            balanced["rate"] / direct["rate"],
            "≥ 2,000/s",
            balanced["rate"] >= 2000 and balanced["errors"] == 0,
        )
    ]


def _rate(url: str, duration: int) -> dict[str, Any]:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{duration}s", "--latency", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=duration + 30).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+(\S+)", said)
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    if rate is None or p99 is None:
        raise RuntimeError(f"wrk said something else than expected: {said}")
    return {"rate": float(rate[1]), "p99": p99[1], "errors": int(errors[1]) if errors else 0}
