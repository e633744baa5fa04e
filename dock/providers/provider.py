"""A provider made of declarations: each of the engine's calls, for whatever type it is about."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from dock.providers import check, diff
from dock.providers.cloud import Cloud
from dock.providers.declaration import Declaration, declaration, tokens
from dock.providers.errors import Failure, ProviderError
from dock.providers.lifecycle import Lifecycle
from dock.providers.plugin import Change, Resource, unknown_outputs
from dock.providers.reading import from_import


class DeclaredProvider:
    """One provider instance: the engine starts a process for each. A vendor's own adds its configuration."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.cancelled = threading.Event()

    def check(
        self, resource: Resource, inputs: dict[str, Any], before: dict[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[Failure]]:
        declared = _declared(resource.token)
        if found := list(check.failures(declared, inputs)):
            return inputs, found
        return check.complete(declared, inputs, before, resource.name, seed, self.cloud.configuration), []

    def diff(
        self, token: str, state: dict[str, Any], before: dict[str, Any], inputs: dict[str, Any], ignored: list[str]
    ) -> tuple[list[Change], bool]:
        declared = _declared(token)
        found = diff.differences(declared, state, before, inputs, ignored)
        changes = [Change(each.path, each.kind, each.replace, each.of_inputs) for each in found]
        return changes, diff.delete_first(declared, state, inputs)

    def preview(
        self,
        token: str,
        inputs: dict[str, Any],
        state: dict[str, Any] | None,
        before: dict[str, Any],
        ignored: list[str],
    ) -> dict[str, Any]:
        """The outputs that an update will leave, as far as they are known now. Asks nobody."""
        declared = _declared(token)
        given = {name: value for name, value in inputs.items() if not name.startswith("__")}
        if state is None:
            return unknown_outputs(
                set(declared.properties) - set(declared.schema.inputs) | _chosen(declared, given), given
            )
        changed = {each.property for each in diff.differences(declared, state, before, inputs, ignored)}
        volatile = [name for name, known in declared.properties.items() if known.volatile and name not in changed]
        return {**state, **given, **unknown_outputs(volatile if changed else (), {})}

    def create(self, resource: Resource, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return self._lifecycle(resource).create(_given(inputs))

    def read(
        self, resource: Resource, id: str, inputs: dict[str, Any], state: dict[str, Any]
    ) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        if not state:
            # An import, or `Resource.get`: all that is known is the id.
            id, named = from_import(_declared(resource.token), id)
            inputs = {**named, **inputs}
        return self._lifecycle(resource).read(id, inputs, state)

    def update(
        self,
        resource: Resource,
        id: str,
        inputs: dict[str, Any],
        before: dict[str, Any],
        state: dict[str, Any],
        ignored: list[str],
    ) -> dict[str, Any]:
        return self._lifecycle(resource).update(id, _given(inputs), before, state, ignored)

    def delete(self, resource: Resource, id: str, before: dict[str, Any], state: dict[str, Any]) -> None:
        self._lifecycle(resource).delete(id, _given(before), state)

    def secret(self, token: str) -> Iterable[str]:
        declared = declaration(token)
        return () if declared is None else declared.secret

    def cancel(self) -> None:
        self.cancelled.set()

    def _lifecycle(self, resource: Resource) -> Lifecycle:
        return Lifecycle(_declared(resource.token), self.cloud, resource.say, self.cancelled, resource.timeout)


def _given(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if not name.startswith("__")}


def _chosen(declared: Declaration, given: dict[str, Any]) -> set[str]:
    """The inputs that the cloud chooses, because the program doesn't."""
    return {name for name, known in declared.properties.items() if known.computed and name not in given}


def _declared(token: str) -> Declaration:
    declared = declaration(token)
    if declared is None:
        package = token.partition(":")[0]
        raise ProviderError(
            f"the dock does not emulate {token}: it has no declaration in dock/providers/{package}/types "
            f"(there are {len(tokens(package))} others)"
        )
    return declared
