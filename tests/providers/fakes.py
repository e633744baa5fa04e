"""What the provider's tests put in the place of the cloud and of the engine's connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc

from dock.providers.aws.cloud import Cloud
from dock.providers.aws.configuration import Configuration
from dock.providers.aws.provider import AwsProvider
from dock.providers.plugin import Servicer
from dock.providers.properties import Properties
from dock.providers.protocol import provider, provider_grpc
from dock.providers.serve import listen

ACCOUNT = "000000000001"

Answer = Callable[[dict[str, Any]], Any]


class ScriptedCloud(Cloud):
    """Answers operations from a table, and remembers what was asked: `calls` are (operation, parameters)."""

    def __init__(self, answers: Mapping[str, Answer | Any], configuration: Configuration | None = None) -> None:
        super().__init__(configuration or Configuration())
        self._account = ACCOUNT
        self.answers = dict(answers)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def _call(self, service: str, region: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, dict(parameters)))
        answer = self.answers.get(operation, {})
        found: dict[str, Any] = answer(dict(parameters)) if callable(answer) else answer
        return found

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.calls if name == operation]


@contextmanager
def served(aws: AwsProvider | None = None) -> Iterator[Any]:
    """A client of a plugin that is served over gRPC, as the engine has it."""
    server, port = listen(Servicer(aws or AwsProvider()))
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    try:
        yield provider_grpc.ResourceProviderStub(channel)
    finally:
        channel.close()
        server.stop(None)


def urn(token: str, name: str = "it") -> str:
    return f"urn:pulumi:test::drydock::{token}::{name}"


def struct(values: dict[str, Any], secret: set[str] | frozenset[str] = frozenset()) -> Any:
    return Properties(values, set(secret)).struct()


def check(client: Any, token: str, inputs: dict[str, Any], olds: dict[str, Any] | None = None, **more: Any) -> Any:
    """The checked inputs and the failures as `{property: reason}`."""
    request = provider.CheckRequest(
        urn=urn(token), news=struct(inputs), olds=struct(olds or {}), randomSeed=b"seed", **more
    )
    answer = client.Check(request, timeout=10)
    return Properties.of(answer.inputs).values, {failure.property: failure.reason for failure in answer.failures}
