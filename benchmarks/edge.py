"""Requests a second and latency through the edge and the load balancer, beside the load balancer alone."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from benchmarks.figure import Figure, in_pairs, spread

SECONDS = 10
CONNECTIONS = 32
CALLS = 300
# A zone of its own: the environment's limits would count the benchmark as an attack.
ZONE = "benchmark.example"
ACCOUNT = "00000000000000000000000000000001"


def measure(url: str, edge: str, api: str, token: str) -> list[Figure]:
    """`url` is the load balancer's, `edge` the edge's address, `api` and `token` Cloudflare's."""
    balancer = urlsplit(url)
    through = f"http://{edge}:{balancer.port}/api/ping"
    with _zone(api, token, str(balancer.hostname)), httpx.Client(headers={"Host": ZONE}) as client:
        _served(client, through)
        mine, alone = in_pairs(lambda: client.get(through), lambda: client.get(f"{url}/api/ping"), CALLS)
        added = (sorted(mine)[CALLS // 2] - sorted(alone)[CALLS // 2]) * 1000
        figures = [
            Figure(
                "latency through the edge",
                spread(mine, "ms", 1000),
                f"the load balancer alone {spread(alone, 'ms', 1000)}",
                None,
                f"≤ 5 ms more (here {added:.2f})",
                added <= 5,
            )
        ]
        if shutil.which("wrk") is None:
            figures.append(
                Figure("requests through the edge", "not measured: apt-get install wrk", "", None, "", False)
            )
            return figures
        rate, direct = _rate(through), _rate(f"{url}/api/ping")
    figures.append(
        Figure(
            "requests through edge and load balancer",
            f"{rate:,.0f}/s",
            f"the load balancer alone: {direct:,.0f}/s",
            rate / direct,
            "≥ 500/s",
            rate >= 500,
        )
    )
    return figures


@contextlib.contextmanager
def _zone(api: str, token: str, address: str) -> Iterator[None]:
    with httpx.Client(base_url=api, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:

        def call(method: str, path: str, **body: object) -> dict[str, str]:
            answer = client.request(method, path, json=body or None)
            answer.raise_for_status()
            return dict(answer.json()["result"])

        for left in client.get("/zones", params={"name": ZONE}).json()["result"]:
            call("DELETE", f"/zones/{left['id']}")
        zone = call("POST", "/zones", name=ZONE, account={"id": ACCOUNT})
        try:
            call("PUT", f"/zones/{zone['id']}/activation_check")
            call("POST", f"/zones/{zone['id']}/dns_records", type="A", name="@", content=address, proxied=True, ttl=1)
            yield
        finally:
            call("DELETE", f"/zones/{zone['id']}")


def _served(client: httpx.Client, url: str) -> None:
    deadline = time.monotonic() + 10
    while client.get(url).status_code != 200:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{url} is not served by the edge")
        time.sleep(0.1)


def _rate(url: str) -> float:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-H", f"Host: {ZONE}", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS + 30).stdout
    rate, refused = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"Non-2xx or 3xx responses", said)
    if rate is None or refused is not None:
        raise RuntimeError(f"wrk said something else than expected: {said}")
    return float(rate[1])
