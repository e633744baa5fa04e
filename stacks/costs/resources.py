"""What a stack's program asks for, without an engine and without a cloud: it is run against a monitor that only
listens, as in a preview, so what a cloud would make up stays unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (Pulumi's mark of a secret, not one)


@dataclass(frozen=True)
class Resource:
    """`component` is the topmost one that it belongs to, `Network chatvrm-local` for example. `inputs` lack what is
    not known before there is a cloud."""

    type: str
    name: str
    component: str
    inputs: dict[str, Any]


def of(program: Callable[[], Any], stack: str, project: str) -> list[Resource]:
    """Every resource that `program` registers. It may only be called where no Pulumi program runs already."""
    from google.protobuf import json_format  # type: ignore[import-untyped]
    from pulumi.runtime import mocks
    from pulumi.runtime.stack import run_pulumi_func

    class Cloud(mocks.Mocks):
        def call(self, args: mocks.MockCallArgs) -> Any:
            return {}

        def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
            return "", {}

    class Monitor(mocks.MockMonitor):
        def RegisterResource(self, request: Any) -> Any:
            answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
            registered.append((answer.urn, request))
            return answer

    registered: list[tuple[str, Any]] = []

    async def run() -> None:
        await run_pulumi_func(lambda: program() and None)

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    mocks.set_mocks(Cloud(), project=project, stack=stack, preview=True, monitor=Monitor(Cloud()))
    try:
        loop.run_until_complete(run())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    parents = {urn: request.parent for urn, request in registered}
    names = {urn: f"{request.type.split(':')[-1]} {request.name}" for urn, request in registered}

    def topmost(urn: str) -> str:
        while parents.get(parents[urn], ""):
            urn = parents[urn]
        return names[urn]

    return [
        Resource(request.type, request.name, topmost(urn), _plain(json_format.MessageToDict(request.object)))
        for urn, request in registered
        if request.custom and not request.type.startswith("pulumi:")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return _plain(value["value"])
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
