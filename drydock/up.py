"""`drydock up`: from nothing, or from wherever it was left, to an environment that serves users."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from dock.home import Home
from drydock import costs, daemon, names, program, run_store, settings
from drydock.errors import DrydockError
from drydock.rehearse.copy import Copy, lives_in_a_dock
from drydock.shell import PROJECT, attach, engine_folder, variables
from operations import deploy, push_image
from operations.errors import OperationError
from operations.parameters import DeployParameters, Where
from operations.runs.journal import unrecorded
from operations.target import Target

IMAGE_SECONDS = 1200
# A name that led to the recovery site meanwhile comes back after its health checks' interval × threshold, and a TTL.
HEALTHY_SECONDS = 240


def bring_up(home: Home, stack: str, release: str | None) -> None:
    """Start the dock, apply the stack, deploy `release` (None: no application), print where to look.

    Each part sees what is done already, so an interrupted `up` is carried on by the next. Raises DrydockError.
    """
    began = time.monotonic()
    if stack not in program.stacks():
        raise DrydockError(
            f"there is no stack {stack!r}; Pulumi.*.yaml are {', '.join(program.stacks())}", "drydock up --stack local"
        )
    engine_folder()
    home.create()
    with _only_one(home):
        daemon.start(home, _say)
        program.prepare(home)
        _say(costs.line(stack))
        outputs = _apply(home, stack)
        try:
            target = Target.open(Where(platform=outputs["platform"], environment=outputs["environment"]))
            if release is not None:
                _deploy(target, _build(release, home.data("images")), release)
                with names.answered_by(variables(home)["DRYDOCK_DNS"]):
                    _await_users(target)
        except OperationError as problem:
            raise DrydockError(f"{problem.what}: {problem.why}", problem.next) from problem
    _look_here(target, stack, time.monotonic() - began)


def _apply(home: Home, stack: str) -> dict[str, Any]:
    """Apply a stack that lives in the dock, or else a copy of it, and return its outputs. boto3 in this process talks
    to its account of the dock from then on."""
    log = home.logs / "pulumi.log"
    os.environ.update(variables(home))
    if lives_in_a_dock(stack):
        with run_store.prepared(home, settings.of(stack).account, _say):
            _say(f"applying stack {stack}")
            program.apply(home, stack, log)
        outputs: dict[str, Any] = json.loads(
            program.pulumi(["stack", "output", "--json", "--stack", stack], attach(home))
        )
        return outputs
    copy = Copy(home, stack)
    _say(f"{stack} lives elsewhere; here comes a copy of it, in the dock's account {copy.place.account}:")
    for line in copy.prepare():
        _detail(line)
    copy.apply(log)
    os.environ.update(copy.variables())
    return copy.outputs()


def _build(release: str, folder: Path) -> Path:
    """The OCI layout of a release, built by the application's own builder. Layers are cached."""
    _say(f"building image {release}")
    layout = folder / release
    command = [sys.executable, "image.py", release, "--output", str(layout)]
    done = subprocess.run(
        command, cwd=PROJECT / "examples" / "chat", stdout=subprocess.DEVNULL, timeout=IMAGE_SECONDS, check=False
    )
    if done.returncode != 0:
        raise DrydockError(f"image {release} could not be built; the lines above say why", "drydock up")
    return layout


def _deploy(target: Target, layout: Path, release: str) -> None:
    service = target.manifest.services["web"]
    pushed = push_image.push(target.client("ecr"), layout, service.repository, release, _detail)
    request = DeployParameters(
        platform=target.manifest.platform,
        environment=target.manifest.environment,
        region=target.manifest.region,
        recovery_region=target.manifest.recovery_region or target.manifest.region,
        service="web",
        image_digest=pushed.digest,
    )
    facts = deploy.gather(target, "web", pushed.digest)
    running = {container["image"] for container in facts.running["containerDefinitions"]} if facts.running else set()
    if facts.desired > 0 and facts.image not in running:
        # Somebody deployed another release since: `up` brings an environment up, it doesn't roll it back.
        _say(f"{service.service} runs another release than {release}: left as it is")
        return
    _say(f"deploying {release} to {service.service}")
    deploy.execute(deploy.plan(facts, request), target, unrecorded(_detail))


def _await_users(target: Target) -> None:
    """Until every service answers its health check through the load balancer: after a `down` its tasks start anew."""
    for name, service in target.manifest.services.items():
        deadline = time.monotonic() + HEALTHY_SECONDS
        with target.http(timeout=5) as client:
            while True:
                try:
                    answer = f"answers {client.get(service.url + service.health_path).status_code}"
                except httpx.HTTPError as problem:
                    answer = f"does not answer ({problem})"
                if answer == "answers 200":
                    break
                if time.monotonic() > deadline:
                    raise DrydockError(
                        f"{name} is deployed, but {service.url}{service.health_path} {answer}",
                        f"aws ecs describe-services --cluster {service.cluster} --services {service.service}",
                    )
                time.sleep(0.2)


def _look_here(target: Target, stack: str, seconds: float) -> None:
    manifest = target.manifest
    print(f"\n{manifest.platform} {manifest.environment} is up ({seconds:.0f} s)\n")
    for name, service in manifest.services.items():
        print(f"  {name:9} {service.url}/")
        print(f"  {'health':9} {service.url}{service.health_path}")
    print(f"  {'database':9} {manifest.database.endpoint}:{manifest.database.port}/{manifest.database.name}")
    print(f"  {'cache':9} {manifest.cache.endpoint}:{manifest.cache.port}")
    if lives_in_a_dock(stack):
        print('\n  attach a shell:  eval "$(.venv/bin/drydock env)"')
        preview = f"pulumi preview --stack {stack}"
    else:
        print(f'\n  attach a shell:  eval "$(.venv/bin/drydock env --stack {stack})"')
        preview = f"pulumi preview --stack {stack} --config-file $DRYDOCK_STACK_FILE"
    print(f"  then:            drydock status | {preview} | papermill runbooks/verify.ipynb out.ipynb")
    print("  stop:            make down")


@contextmanager
def _only_one(home: Home) -> Iterator[None]:
    lock: IO[str] = (home.run / "up.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise DrydockError(
            f"another `drydock up` is at work (process {lock.read().strip()})", "drydock status"
        ) from None
    try:
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
    finally:
        lock.close()


def _say(text: str) -> None:
    print(f"drydock: {text}", flush=True)


def _detail(text: str) -> None:
    print(f"  {text}", flush=True)
