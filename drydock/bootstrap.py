"""`drydock bootstrap`: from an empty account to one that has state, runs, audit and a budget. Safe to repeat.

The bucket and the key that Pulumi needs before it can keep any state are made without it; the control stack then
adopts them. Every step looks before it acts, so one that was killed is gone on with by the next run.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dock.cloud import ACCOUNTS
from dock.home import Home
from drydock import costs, daemon, program, settings
from drydock.account import Account, Found
from drydock.account_state import AccountState, backend, provider
from drydock.errors import DrydockError
from drydock.shell import attach, engine_folder
from stacks.settings import Control


@dataclass(frozen=True)
class Request:
    """`stack` is chosen by `account` when it isn't given; `region` must be the settings' own."""

    stack: str | None
    account: str | None
    region: str | None
    dry_run: bool
    yes: bool
    as_json: bool


@dataclass(frozen=True)
class Place:
    """Where the account is: the shell's variables, a folder for what belongs to it, and whether it is of the dock."""

    environment: Mapping[str, str]
    folder: Path
    in_dock: bool


def bootstrap(home: Home, request: Request) -> None:
    """Say what will be made, ask, make it, say where state and secrets are. Raises DrydockError."""
    # With --json standard output is for the document alone.
    say = _say_aside if request.as_json else _say
    control = choose(request)
    engine_folder()
    place = _place(home, control, say)
    account = Account(control, place.environment)
    account.refuse_another()
    state = AccountState(control, account, place.folder, place.environment)
    found = account.look()
    applied = found.bucket and state.exists()
    document = _document(control, found, applied)
    if not request.as_json:
        _announce(control, document)
    if not request.dry_run:
        _agree(request, control)
        place.folder.mkdir(parents=True, exist_ok=True)
        with _only_one(place.folder):
            document["outputs"] = _act(control, account, state, place, say)
    if request.as_json:
        print(json.dumps({**document, "applied": not request.dry_run}, indent=2))
    elif not request.dry_run:
        _look_here(control, place)


def choose(request: Request) -> Control:
    """The settings of the account that is asked for. Raises DrydockError."""
    name = request.stack or ("control" if request.account is None else None)
    if name is None:
        every = [settings.of(stack) for stack in settings.files()]
        fitting = [each for each in every if isinstance(each, Control) and each.account == request.account]
        if len(fitting) != 1:
            raise DrydockError(
                f"{len(fitting)} stack files are of kind control and account {request.account}: name one with --stack"
            )
        control = fitting[0]
    else:
        found = settings.of(name)
        if not isinstance(found, Control):
            raise DrydockError(
                f"stack {name} is an environment, not an account's control stack", f"pulumi up --stack {name}"
            )
        control = found
    for option, asked, known in (
        ("--account", request.account, control.account),
        ("--region", request.region, control.region),
    ):
        if asked is not None and asked != known:
            raise DrydockError(f"{option} is {asked}, and Pulumi.{control.name}.yaml says {known}: nothing was changed")
    return control


def _place(home: Home, control: Control, say: Any) -> Place:
    """An account of the dock is reached through the dock, which is started; any other by the shell's credentials."""
    if control.account not in ACCOUNTS:
        path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{engine_folder()}"
        kept = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        folder = Path(kept) / "drydock" / "accounts" / control.account
        return Place({**os.environ, "PATH": path}, folder, in_dock=False)
    home.create()
    daemon.start(home, say)
    program.prepare(home)
    environment = attach(home)
    environment |= {"AWS_ACCESS_KEY_ID": control.account, "AWS_REGION": control.region}
    return Place(environment, home.pulumi / "accounts" / control.account, in_dock=True)


def _document(control: Control, found: Found, applied: bool) -> dict[str, Any]:
    steps = [
        ("state bucket", f"S3 bucket {control.state_bucket}, private, versioned", found.bucket),
        (
            "secrets key",
            f"KMS key {control.state_key_alias}, rotated every year",
            found.key is not None and found.alias,
        ),
        ("state", f"an empty state of stack {control.name} in the bucket", applied),
        ("control stack", "tables and evidence of runs, audit trail, budget; adopts bucket and key", None),
    ]
    return {
        "schema_version": 1,
        "stack": control.name,
        "account": control.account,
        "region": control.region,
        "state": backend(control),
        "secrets_provider": provider(control),
        "monthly_usd": round(costs.of_stack(control).monthly, 2),
        "steps": [{"name": name, "what": what, "state": _state(done)} for name, what, done in steps],
        "outputs": None,
    }


def _state(done: bool | None) -> str:
    return "as the program says" if done is None else "there already" if done else "to be made"


def _announce(control: Control, document: Mapping[str, Any]) -> None:
    print(f"account {control.account}, region {control.region} (stack {control.name}):\n")
    for step in document["steps"]:
        print(f"  {step['name']:14} {step['what']}: {step['state']}")
    print(f"\n  state of every stack of the account:  {document['state']}")
    print(f"  secrets in it are encrypted with:     {document['secrets_provider']}")
    print(f"  {costs.line(control.name)}\n")


def _agree(request: Request, control: Control) -> None:
    if request.yes:
        return
    if request.as_json or not sys.stdin.isatty():
        raise DrydockError("nobody can be asked here: nothing was changed", "drydock bootstrap --yes")
    if input(f"Make this in account {control.account}? Type yes: ").strip() != "yes":
        raise DrydockError("not agreed: nothing was changed")


def _act(control: Control, account: Account, state: AccountState, place: Place, say: Any) -> dict[str, Any]:
    say("state bucket")
    account.make_bucket()
    say("secrets key")
    key = account.make_key()
    say("the key's alias")
    key = account.name_key(key)
    say("state")
    state.init()
    say("settings")
    state.write_settings(key)
    say(f"applying stack {control.name}")
    place.folder.mkdir(parents=True, exist_ok=True)
    state.apply(place.folder / "pulumi.log", say)
    if not place.in_dock:
        state.keep_in_checkout()
    return state.outputs()


def _look_here(control: Control, place: Place) -> None:
    print(f"\naccount {control.account} is ready\n")
    print(f"  state    {backend(control)}")
    print(f"  secrets  {provider(control)}")
    print("  runs     SSM parameter /drydock/control/manifest, in both regions\n")
    if place.in_dock:
        print('  look:    eval "$(.venv/bin/drydock env)"; '
              f"PULUMI_BACKEND_URL='{backend(control)}' pulumi stack --stack {control.name}")  # fmt: skip
        return
    print(f"  commit Pulumi.{control.name}.yaml: it now says how the state's secrets are encrypted")
    print(f"  then, for each environment:  pulumi login '{backend(control)}'")
    print(f"                               pulumi stack init NAME --secrets-provider '{provider(control)}'")


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    lock: IO[str] = (folder / "bootstrap.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise DrydockError(f"another `drydock bootstrap` is at work (process {lock.read().strip()})") from None
    try:
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
    finally:
        lock.close()


def _say(text: str) -> None:
    print(f"drydock: {text}", flush=True)


def _say_aside(text: str) -> None:
    print(f"drydock: {text}", file=sys.stderr, flush=True)
