"""Runs a Pulumi program without an engine and keeps what it asked for: each resource as it was registered."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks
from pulumi.runtime.stack import run_pulumi_func

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
ACCOUNT = "123456789012"
PASSWORD = "canary0123456789canary0123456789canary01"


@dataclass(frozen=True)
class Registered:
    """`secret` are the inputs that Pulumi keeps encrypted, as far as they are named at the top."""

    urn: str
    type: str
    name: str
    parent: str
    custom: bool
    provider: str
    protect: bool
    ignore_changes: tuple[str, ...]
    inputs: dict[str, Any]
    secret: frozenset[str]
    import_id: str = ""
    retain: bool = False


@dataclass
class Recording:
    resources: list[Registered] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: Any = None

    def of(self, kind: str) -> list[Registered]:
        """All of a type, named by its end: `Instance`, `rds/instance:Instance`."""
        return [each for each in self.resources if each.type.endswith((f":{kind}", f"/{kind}"))]

    def one(self, kind: str, name: str = "") -> Registered:
        found = [each for each in self.of(kind) if each.name.endswith(name)]
        assert len(found) == 1, f"{len(found)} of {kind} …{name}"
        return found[0]

    def custom(self) -> Iterator[Registered]:
        return (each for each in self.resources if each.custom and not each.type.startswith("pulumi:"))

    def components(self) -> Iterator[Registered]:
        return (each for each in self.resources if not each.custom and each.type != "pulumi:pulumi:Stack")


class _Cloud(mocks.Mocks):
    """Answers with what AWS would make up: ids, ARNs, addresses."""

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        assert args.token == "aws:secretsmanager/getRandomPassword:getRandomPassword", args.token
        return {**args.args, "randomPassword": PASSWORD}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        kind = args.typ.split(":")[1].split("/")[0]
        arn = f"arn:aws:{kind}:us-east-1:{ACCOUNT}:{args.name}"
        made: dict[str, Any] = {
            "arn": arn,
            "arnSuffix": f"{args.name}/50dc6c495c0c9188",
            "keyId": f"{args.name}-key-id",
            "dnsName": f"{args.name}.elb.amazonaws.com",
            "zoneId": "Z35SXDOTRQ7X7K",
            "nameServers": [f"ns-{number}.awsdns.com" for number in range(1, 5)],
            "address": f"{args.name}.rds.amazonaws.com",
            "primaryEndpointAddress": f"{args.name}.cache.amazonaws.com",
            "repositoryUrl": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/{args.inputs.get('name')}",
        }
        # A secret's id is its ARN.
        return (arn if kind == "secretsmanager" else f"{args.name}-id"), {**made, **args.inputs}


class _Monitor(mocks.MockMonitor):
    def __init__(self, recording: Recording) -> None:
        super().__init__(_Cloud())
        self.recording = recording

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)
        raw = json_format.MessageToDict(request.object)
        self.recording.resources.append(
            Registered(
                urn=answer.urn,
                type=request.type,
                name=request.name,
                parent=request.parent,
                custom=request.custom,
                provider=request.provider,
                protect=request.protect,
                ignore_changes=tuple(request.ignoreChanges),
                inputs={name: _plain(value) for name, value in raw.items()},
                secret=frozenset(name for name, value in raw.items() if _holds_secret(value)),
                import_id=request.importId,
                retain=request.retainOnDelete,
            )
        )
        return answer

    def RegisterResourceOutputs(self, request: Any) -> Any:
        self.recording.outputs[request.urn] = _plain(json_format.MessageToDict(request.outputs))
        return super().RegisterResourceOutputs(request)


def record(
    program: Callable[[], Any], stack: str = "production", outputs: Callable[[Any], Any] | None = None
) -> Recording:
    """Run `program` and record it; its result is `made`. `outputs` picks outputs of that result to be resolved, which
    then are `made`."""
    recording = Recording()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    monitor = _Monitor(recording)
    mocks.set_mocks(_Cloud(), project="drydock", stack=stack, preview=False, monitor=monitor)

    async def run() -> None:
        def body() -> None:
            recording.made = program()

        await run_pulumi_func(body)
        if outputs is not None:
            recording.made = await pulumi.Output.from_input(outputs(recording.made)).future()

    try:
        loop.run_until_complete(run())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return recording


def policy(text: str) -> list[dict[str, Any]]:
    """The statements of a policy document."""
    statements: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statements


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return _plain(value["value"])
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    # Numbers travel as doubles.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get(_SIGNATURE) == _SECRET or any(map(_holds_secret, value.values()))
    return isinstance(value, list) and any(map(_holds_secret, value))


def short(type_: str) -> str:
    """`aws:ec2/vpc:Vpc` → `aws:ec2:Vpc`, as Pulumi prints it."""
    return re.sub(r"/[^:]*", "", type_)
