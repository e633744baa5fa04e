"""`drydock traffic`: users of an environment, what they saw, and whether anything they were promised is gone."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dock.traffic import Load, Record
    from dock.traffic.record import Message
    from dock.traffic.report import Summary

app = typer.Typer(help="Steady user load on an environment, with a record of every answer.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The folder of a run's record.", exists=True, file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document; docs/traffic.md describes it.")]


@app.command()
def run(
    seconds: Annotated[str, typer.Option("--for", help="How long: 30s, 5m.")] = "30s",
    rate: Annotated[float, typer.Option(help="Requests per second.")] = 20.0,
    users: Annotated[int, typer.Option(help="How many users.")] = 20,
    listeners: Annotated[int, typer.Option(help="How many of them hold a live connection.")] = 5,
    platform: Annotated[str, typer.Option(help="The platform.")] = "chatvrm",
    env: Annotated[str, typer.Option("--env", help="The environment.")] = "local",
    service: Annotated[str, typer.Option(help="The service.")] = "web",
    out: Annotated[Path | None, typer.Option(help="Where the record goes; a new folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Be the users for a while. Exit code 1 when a request failed or an acknowledged message is gone."""
    from dock.home import Home
    from dock.traffic import Load, Record, Shape
    from drydock.durations import seconds as length
    from drydock.errors import DrydockError
    from drydock.shell import endpoint, variables
    from operations.errors import OperationError
    from operations.parameters import Where
    from operations.target import Target

    home = Home.default()
    os.environ.update(variables(home))
    try:
        target = Target.open(Where(platform=platform, environment=env))
    except OperationError as problem:
        raise DrydockError(f"{problem.what}: {problem.why}", problem.next) from problem
    if service not in target.manifest.services:
        raise DrydockError(f"{env} has no service {service!r}; it has {', '.join(target.manifest.services)}", "")
    record = Record(out or home.data("traffic") / time.strftime("%Y-%m-%dT%H-%M-%S"))
    dns = endpoint(home).get("dns")
    try:
        load = Load(target.manifest.services[service].url, Shape(rate, users, listeners, dns), record)
        asyncio.run(load.for_seconds(length(seconds), None if as_json else _progress))
    except (ValueError, RuntimeError, FileExistsError) as problem:
        raise DrydockError(str(problem), "drydock status") from problem
    except KeyboardInterrupt:
        # What was recorded up to here is whole.
        print(file=sys.stderr)
    _tell(record, _lost(record, dns), as_json=as_json)


@app.command()
def report(folder: Folder, as_json: AsJson = False) -> None:
    """The figures and the plot of a record, again."""
    _tell(_opened(folder), None, as_json=as_json)


@app.command()
def losses(folder: Folder, as_json: AsJson = False) -> None:
    """Look again for messages that were acknowledged and are gone, for example after a restore."""
    from dock.home import Home
    from drydock.shell import endpoint

    record = _opened(folder)
    _tell(record, _lost(record, endpoint(Home.default()).get("dns")), as_json=as_json)


def _opened(folder: Path) -> Record:
    from dock.traffic import Record
    from drydock.errors import DrydockError

    record = Record(folder)
    try:
        assert record.facts
    except (OSError, ValueError) as problem:
        raise DrydockError(f"{folder} holds no record of traffic: {problem}", "drydock traffic run") from problem
    return record


def _lost(record: Record, dns: str | None) -> list[Message]:
    from dock.traffic.losses import lost
    from drydock.errors import DrydockError

    try:
        return asyncio.run(lost(record, dns=dns))
    except RuntimeError as problem:
        raise DrydockError(str(problem), f"drydock traffic losses {record.folder}") from problem


def _progress(load: Load) -> None:
    print(f"\r{load.sent} requests sent", end="", file=sys.stderr, flush=True)


def _tell(record: Record, lost: list[Message] | None, *, as_json: bool) -> None:
    """`lost` None: not looked for. Exits with 1 when users were let down."""
    from dock.traffic import plot
    from dock.traffic.report import summarise

    answers = record.answers()
    summary = summarise(answers)
    drawn = record.folder / "traffic.png"
    plot.draw(answers, drawn)
    promised = len(record.messages())
    if as_json:
        document = {
            "schema_version": 1,
            "folder": str(record.folder),
            **summary.document(),
            "acknowledged": promised,
            "lost": None if lost is None else [dataclasses.asdict(message) for message in lost],
        }
        print(json.dumps(document))
    else:
        _print(summary, promised, lost)
        print(f"  plot        {drawn}")
        print(f"  record      {record.folder}")
    raise typer.Exit(1 if summary.failed or lost else 0)


def _print(summary: Summary, promised: int, lost: list[Message] | None) -> None:
    def milliseconds(value: float | None) -> str:
        return "–" if value is None else f"{value * 1000:.0f} ms"

    print(f"\n  requests    {summary.requests} ({summary.per_second}/s), {summary.failed} failed")
    print(
        f"  waited      p50 {milliseconds(summary.p50_seconds)}, p95 {milliseconds(summary.p95_seconds)},"
        f" p99 {milliseconds(summary.p99_seconds)}, longest {milliseconds(summary.slowest_seconds)}"
    )
    print(f"  answers     {', '.join(f'{status}: {count}' for status, count in summary.statuses.items())}")
    print(
        f"  releases    {', '.join(f'{release}: {count}' for release, count in summary.releases.items()) or 'unknown'}"
    )
    for outage in summary.outages:
        length = "until the end" if outage.seconds is None else f"for {outage.seconds:.1f} s"
        print(
            f"  outage      {time.strftime('%H:%M:%S', time.localtime(outage.began))} {length}, {outage.failed} failed"
        )
    gone = "not looked for" if lost is None else f"{len(lost)} lost"
    print(f"  messages    {promised} acknowledged, {gone}")
