"""`make benchmark`: measure, and print the table. The local environment must be up."""

from __future__ import annotations

import os
import platform
import sys

from rich.console import Console
from rich.table import Table

from benchmarks import access, alarms, describe, dns, edge, memory, preview, run, traffic, up
from benchmarks.figure import Figure
from dock.home import Home
from drydock import daemon
from drydock.shell import attach, endpoint, variables
from operations.parameters import Where
from operations.target import Target


def main() -> int:
    home = Home.default()
    status = daemon.status(home)
    if status is None or status["state"] != "running":
        print("the local environment is not up: make up", file=sys.stderr)
        return 1
    os.environ.update(variables(home))
    manifest = Target.open(Where()).manifest
    service = manifest.services["web"]
    elb = Target(manifest).client("elbv2")
    described = elb.describe_target_health(TargetGroupArn=service.target_group)["TargetHealthDescriptions"]
    targets = [f"http://{entry['Target']['Id']}:{entry['Target']['Port']}" for entry in described]
    emulator = status["endpoint_url"].replace(".0.1:", ".0.2:")
    figures = [
        *memory.measure(status),
        *describe.measure(
            status["endpoint_url"], emulator, manifest.account, manifest.region, service.cluster, service.service
        ),
        *access.measure(status["endpoint_url"], manifest.account, manifest.region, service.cluster, service.service),
        *dns.measure(status["endpoint_url"], os.environ["DRYDOCK_DNS"], manifest.account, manifest.dns.record),
        *alarms.measure(status["endpoint_url"], emulator, manifest.account, manifest.region, status["pid"]),
        *traffic.measure(service.url, targets),
        *edge.measure(
            service.url,
            endpoint(home)["edge"],
            os.environ["CLOUDFLARE_BASE_URL"],
            os.environ["CLOUDFLARE_API_TOKEN"],
        ),
        *preview.measure(attach(home)),
        *run.measure(attach(home)),
        *up.measure(),
    ]
    show(figures)
    return 0


def show(figures: list[Figure]) -> None:
    table = Table(title=f"{os.cpu_count()} cores, {platform.platform(terse=True)}", box=None, header_style="bold")
    for column in ("figure", "measured", "beside it", "ratio", "wanted", ""):
        table.add_column(column, overflow="fold")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        mark = "met" if figure.met else "NOT MET"
        table.add_row(figure.name, figure.measured, figure.compared_with, ratio, figure.wanted, mark)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    sys.exit(main())
