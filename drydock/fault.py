"""`drydock fault`: what can go wrong, made to go wrong, listed, and taken back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Make the dock fail on purpose, for a time. Every fault ends by itself, and `clear` ends it before.",
    no_args_is_help=True,
)
add = typer.Typer(
    help="Begin a fault. It ends after --for (10m if you don't say), also when the dock is restarted meanwhile.",
    no_args_is_help=True,
    epilog="Examples: drydock fault add api lost --service ecs --operation UpdateService --next 1  ·  "
    "drydock fault add engine down chatvrm-local-database --for 90s  ·  "
    "drydock fault add zone us-east-1a  ·  drydock fault add network slow chatvrm-local-cache --latency 200ms",
)
app.add_typer(add, name="add")
api = typer.Typer(help="Calls of AWS's API: throttled, slow, failing, or done while the answer is lost.")
engine = typer.Typer(help="One resource: a database, cache, load balancer, service, task, or dns, emulator, edge.")
network = typer.Typer(help="The way between users and a database or a cache.")
for group, name in ((api, "api"), (engine, "engine"), (network, "network")):
    group.info.no_args_is_help = True
    add.add_typer(group, name=name)

For = Annotated[str, typer.Option("--for", help="How long, for example 90s, 5m, 2h (12h at most).")]
Note = Annotated[str | None, typer.Option(help="Why, for whoever lists it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; docs/faults.md describes it.")]
Service = Annotated[str | None, typer.Option(help="botocore's name, for example ecs, rds, elbv2, s3.")]
Operation = Annotated[str | None, typer.Option(help="For example UpdateService; a pattern like 'Describe*' too.")]
Region = Annotated[str | None, typer.Option(help="Only in this region.")]
Account = Annotated[str | None, typer.Option(help="Only in this account.")]
Principal = Annotated[str | None, typer.Option(help="Only calls with this access key id.")]
Share = Annotated[float, typer.Option(min=0.0, max=1.0, help="The part of the calls that are hit.")]
Seed = Annotated[int, typer.Option(min=0, help="With --share: the same seed hits the same calls again.")]
Next = Annotated[int | None, typer.Option("--next", min=1, help="Hit so many calls, then end.")]
Target = Annotated[str, typer.Argument(help="Its name; `drydock fault targets` lists them.", metavar="NAME")]
Part = Annotated[
    str | None,
    typer.Option(help="primary, standby, a zone, a node or all; else the primary, or all where nobody leads."),
]
Latency = Annotated[str, typer.Option(help="For example 200ms or 2s.")]


@app.command("list")
def list_faults(
    json: AsJson = False,
    past: Annotated[bool, typer.Option("--past", help="Also those that ended since the dock was started.")] = False,
) -> None:
    """The faults that are on."""
    from dock.home import Home
    from drydock import faults

    faults.show(Home.default(), past=past, as_json=json)


@app.command()
def targets(json: AsJson = False) -> None:
    """What a fault of an engine, a network or a zone can hit now."""
    from dock.home import Home
    from drydock import faults

    faults.show_targets(Home.default(), as_json=json)


@app.command()
def clear(
    identifier: Annotated[str | None, typer.Argument(help="One fault's id, for example f-3.", metavar="ID")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """End one fault or all, and repair what they broke. Works also while the dock doesn't answer or is down."""
    from dock.home import Home
    from drydock import faults

    faults.clear(Home.default(), identifier, everything=everything)


def _begin(kind: str, duration: str, **fields: Any) -> None:
    from dock.home import Home
    from drydock import faults

    faults.begin(Home.default(), kind, duration, fields)


@api.command()
def throttled(
    service: Service = None, operation: Operation = None, region: Region = None, account: Account = None,
    principal: Principal = None, share: Share = 1.0, seed: Seed = 0, next_calls: Next = None,
    rate: Annotated[float | None, typer.Option(min=0.0, help="Let so many calls a second through.")] = None,
    duration: For = "10m", note: Note = None,
) -> None:  # fmt: skip
    """The service answers that it is called too often, in its own words; SDKs try again."""
    _begin("api-throttled", duration, service=service, operation=operation, region=region, account=account,
           principal=principal, share=share, seed=seed, calls=next_calls, rate=rate, note=note)  # fmt: skip


@api.command()
def slow(
    latency: Latency, service: Service = None, operation: Operation = None, region: Region = None,
    account: Account = None, principal: Principal = None, share: Share = 1.0, seed: Seed = 0,
    next_calls: Next = None, duration: For = "10m", note: Note = None,
) -> None:  # fmt: skip
    """Every call waits before it acts."""
    from drydock.durations import seconds

    _begin("api-slow", duration, service=service, operation=operation, region=region, account=account,
           principal=principal, share=share, seed=seed, calls=next_calls, note=note,
           latency=seconds(latency))  # fmt: skip


@api.command()
def failing(
    service: Service = None, operation: Operation = None, region: Region = None, account: Account = None,
    principal: Principal = None, share: Share = 1.0, seed: Seed = 0, next_calls: Next = None,
    error: Annotated[str | None, typer.Option(help="An error of the service, as botocore names it.")] = None,
    status: Annotated[int | None, typer.Option(min=400, max=599, help="The HTTP status; else the error's own.")] = None,
    duration: For = "10m", note: Note = None,
) -> None:  # fmt: skip
    """The call doesn't act, and its caller gets an error: the service's internal one, or the one you name."""
    _begin("api-failing", duration, service=service, operation=operation, region=region, account=account,
           principal=principal, share=share, seed=seed, calls=next_calls, note=note,
           error=error, status=status)  # fmt: skip


@api.command()
def lost(
    service: Service = None, operation: Operation = None, region: Region = None, account: Account = None,
    principal: Principal = None, share: Share = 1.0, seed: Seed = 0, next_calls: Next = None,
    status: Annotated[int | None, typer.Option(min=500, max=599, help="Answer so; else the connection ends.")] = None,
    duration: For = "10m", note: Note = None,
) -> None:  # fmt: skip
    """The call acts, and then its answer is lost: whoever tries again without thinking does it twice."""
    _begin("api-lost", duration, service=service, operation=operation, region=region, account=account,
           principal=principal, share=share, seed=seed, calls=next_calls, status=status, note=note)  # fmt: skip


@engine.command()
def down(
    name: Target, part: Part = None, region: Region = None, account: Account = None, duration: For = "10m",
    note: Note = None,
) -> None:  # fmt: skip
    """It is killed, and not started again while the fault is on."""
    _begin("engine-down", duration, target=name, part=part, region=region, account=account, note=note)


@engine.command()
def hung(
    name: Target, part: Part = None, region: Region = None, account: Account = None, duration: For = "10m",
    note: Note = None,
) -> None:  # fmt: skip
    """It is there and does nothing: connections are taken and never answered."""
    _begin("engine-hung", duration, target=name, part=part, region=region, account=account, note=note)


@engine.command()
def killed(name: Target, part: Part = None, region: Region = None, account: Account = None, note: Note = None) -> None:
    """It is killed once, and the dock repairs it as the real service would."""
    _begin("engine-killed", "10m", target=name, part=part, region=region, account=account, note=note)


@engine.command()
def full(
    name: Target, region: Region = None, account: Account = None, duration: For = "10m", note: Note = None
) -> None:
    """The disk of a database is full, for real; refused where its data share this machine's disk."""
    _begin("engine-full", duration, target=name, region=region, account=account, note=note)


@network.command()
def refused(
    name: Target, region: Region = None, account: Account = None, duration: For = "10m", note: Note = None
) -> None:
    """Nobody listens at its endpoint."""
    _begin("network-refused", duration, target=name, region=region, account=account, note=note)


@network.command()
def blackhole(
    name: Target, region: Region = None, account: Account = None, duration: For = "10m", note: Note = None
) -> None:
    """What is sent to its endpoint is swallowed, and nothing ever comes back."""
    _begin("network-blackhole", duration, target=name, region=region, account=account, note=note)


@network.command("slow")
def slow_network(
    name: Target, latency: Latency, region: Region = None, account: Account = None, duration: For = "10m",
    note: Note = None,
) -> None:  # fmt: skip
    """Everything takes longer, each way."""
    from drydock.durations import seconds

    _begin("network-slow", duration, target=name, latency=seconds(latency), region=region, account=account, note=note)


@add.command()
def zone(
    name: Annotated[str, typer.Argument(help="For example us-east-1a.", metavar="ZONE")],
    account: Account = None, duration: For = "10m", note: Note = None,
) -> None:  # fmt: skip
    """All that runs in an availability zone is down, and nothing new starts there."""
    _begin("zone-down", duration, zone=name, account=account, note=note)


@add.command()
def region(
    name: Annotated[str, typer.Argument(help="For example us-east-1.", metavar="REGION")],
    account: Account = None, duration: For = "10m", note: Note = None,
) -> None:  # fmt: skip
    """Every API of a region is unreachable, and all that runs there is down. IAM's and Route 53's are us-east-1's."""
    _begin("region-down", duration, region=name, account=account, note=note)


@add.command()
def account(
    name: Annotated[str, typer.Argument(help="For example 000000000002.", metavar="ACCOUNT")],
    region: Region = None, duration: For = "10m", note: Note = None,
) -> None:  # fmt: skip
    """Every call of an account is denied; what runs there goes on."""
    _begin("account-denied", duration, account=name, region=region, note=note)
