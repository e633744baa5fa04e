"""Makes, changes and removes resources: the steps that a declaration lists, done one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from dock.providers import tagging
from dock.providers.cloud import CallError, Cloud
from dock.providers.declaration import Declaration, Step, Wait
from dock.providers.diff import differences
from dock.providers.errors import PartlyCreated, ProviderError
from dock.providers.expressions import evaluate, fill
from dock.providers.reading import document, find, inputs_of, look, outputs, region_of

# Seconds: how long a refused call is repeated where the declaration says so; how long a new resource may stay unseen.
RETRY_DEADLINE = 120.0
APPEAR_DEADLINE = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
CHANGED = "changed"
GONE = "gone"

Say = Callable[[str], None]


class EndedError(ProviderError):
    """The resource is in a state that it won't leave."""


class Lifecycle:
    """One resource's operation. `say` shows a line of progress; `cancelled` ends every wait."""

    def __init__(
        self, declared: Declaration, cloud: Cloud, say: Say, cancelled: threading.Event, timeout: float = 0
    ) -> None:
        self.declared = declared
        self.cloud = cloud
        self.say = say
        self.cancelled = cancelled
        # Seconds, from `customTimeouts`; 0 leaves the declaration's own.
        self.timeout = timeout

    def create(self, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The id and the outputs. Raises PartlyCreated when it failed after the resource was there."""
        declared = self.declared
        scope = document(declared, self.cloud, inputs, {})
        first = next(step for step in declared.create if not step.if_ or evaluate(step.if_, scope))
        answer: dict[str, Any] | None
        try:
            answer = self._call(first, scope, inputs, tagging.on_create(declared, scope))
        except CallError as error:
            if error.code not in declared.exists or not (error.repeated or self._is_ours(scope)):
                raise
            answer = None
        scope["answer"] = answer or {}
        id = self._found_id(scope) if answer is None else evaluate(declared.id, scope) or self._looked_up(scope)
        if not id:
            raise ProviderError(f"{first.call} answered, but without what would be the id")
        scope["self"]["id"] = id
        try:
            if first.wait:
                self._wait(first.wait, scope)
        except EndedError as error:
            if not declared.undo or not self._undone(scope, inputs):
                raise PartlyCreated(id, self._as_is(scope, inputs, {}), _told(error)) from error
            raise ProviderError(f"{_told(error)}; it was removed, so that the next run makes it anew") from error
        except Exception as error:
            raise PartlyCreated(id, self._as_is(scope, inputs, {}), _told(error)) from error
        try:
            for step in declared.created:
                self._step(step, scope, inputs, {})
            if not declared.tag_on_create:
                self._tag(scope, {}, scope["self"]["tags"])
            for step in declared.update:
                if step.after_create and any(inputs.get(name) not in (None, [], {}) for name in step.when):
                    self._step(step, scope, inputs, {}, first=True)
            return id, self._appeared(scope, inputs, {})
        except Exception as error:
            # Whatever it was, our own mistake included: the resource is there, and must not be forgotten.
            raise PartlyCreated(id, self._as_is(scope, inputs, {}), _told(error)) from error

    def _undone(self, scope: dict[str, Any], inputs: Mapping[str, Any]) -> bool:
        try:
            for step in self.declared.undo:
                self._step(step, scope, inputs, {})
        except Exception as error:
            self.say(f"it can't be removed either: {_told(error)}")
            return False
        return True

    def read(
        self, id: str, inputs: Mapping[str, Any], prior: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """The id, outputs and inputs as they are; None when the resource is gone."""
        scope = document(self.declared, self.cloud, inputs, prior, id=id)
        found = find(self.declared, self.cloud, scope)
        if found is None:
            return None
        if self.declared.canonical_id:
            id = str(evaluate(self.declared.canonical_id, found))
        values = outputs(self.declared, self.cloud, found, inputs, prior)
        return id, values, inputs_of(self.declared, values, inputs if prior else {})

    def update(
        self,
        id: str,
        inputs: Mapping[str, Any],
        before: Mapping[str, Any],
        prior: Mapping[str, Any],
        ignored: Iterable[str],
    ) -> dict[str, Any]:
        """The outputs. Raises PartlyCreated when it failed after something had changed already."""
        declared = self.declared
        found = differences(declared, prior, before, inputs, ignored)
        changed = {difference.property for difference in found}
        # What the program doesn't own any more is sent as it is, where a call wants everything.
        wanted = dict(inputs)
        for name in {path.split(".")[0].split("[")[0] for path in ignored} - changed:
            if name in prior:
                wanted[name] = prior[name]
        scope = document(declared, self.cloud, wanted, prior, id=id, changed=sorted(changed))
        done = False
        try:
            for step in declared.update:
                relevant = changed - {"tags", "tagsAll"} if not step.when else changed & set(step.when)
                if relevant:
                    self._step(step, scope, wanted, prior, changed=changed)
                    done = True
            if changed & {"tags", "tagsAll"}:
                self._tag(scope, prior.get("tagsAll") or {}, wanted.get("tagsAll") or {})
            return self._appeared(scope, inputs, prior)
        except Exception as error:
            if not done:
                raise
            raise PartlyCreated(id, self._as_is(scope, inputs, prior), _told(error)) from error

    def delete(self, id: str, before: Mapping[str, Any], prior: Mapping[str, Any]) -> None:
        """Does nothing when the resource is gone already."""
        scope = document(self.declared, self.cloud, {**prior, **before}, prior, id=id)
        for step in self.declared.delete:
            gone = replace(step, ignore=(*step.ignore, *self.declared.read.gone))
            self._step(gone, scope, before, prior)

    def _step(
        self,
        step: Step,
        scope: dict[str, Any],
        inputs: Mapping[str, Any],
        prior: Mapping[str, Any],
        changed: Iterable[str] = (),
        first: bool = False,
    ) -> None:
        if step.if_ and not evaluate(step.if_, scope):
            return
        items = evaluate(step.each, scope) or [] if step.each else [None]
        for item in items:
            inner = {**scope, "self": {**scope["self"], "item": item}}
            sent = inputs
            if step.send == (CHANGED,):
                names = step.when if first else [name for name in changed if not self._handled(name)]
                names = [name for name in names if name not in step.spells]
                step_now = replace(step, send=tuple(sorted(names)))
            else:
                step_now = step
            answer = self._call(step_now, inner, sent, {})
            scope.setdefault("answer", answer)
            scope["self"].setdefault("answers", {})[step.call] = answer
        if step.wait:
            self._wait(step.wait, scope)

    def _handled(self, name: str) -> bool:
        """Whether another step of the update takes care of this input."""
        return any(name in step.when for step in self.declared.update)

    def _call(
        self, step: Step, scope: Mapping[str, Any], inputs: Mapping[str, Any], more: Mapping[str, Any]
    ) -> dict[str, Any]:
        parameters: dict[str, Any] = {**(fill(step.parameters, scope) or {}), **more}
        for name in step.send:
            known = self.declared.properties.get(name)
            if known is None or not (known.api or known.send):
                continue
            value = fill(f"${known.send}", scope) if known.send else inputs.get(name)
            if value is not None:
                _put(parameters, known.api or name, value)
        until, pause = time.monotonic() + (self.timeout or RETRY_DEADLINE), _FIRST_PAUSE
        while True:
            try:
                return self.cloud.call(
                    step.service or self.declared.service, scope["self"]["region"], step.call, parameters
                )
            except CallError as error:
                if error.code in step.ignore:
                    return {}
                if error.code not in step.retry or time.monotonic() > until:
                    raise
            self._pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _tag(self, scope: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        for operation, parameters in tagging.calls(self.declared, scope, old, new):
            self.cloud.call(self.declared.service, scope["self"]["region"], operation, parameters)

    def _wait(self, wait: Wait, scope: Mapping[str, Any]) -> None:
        if wait.if_ and not evaluate(wait.if_, scope):
            return
        deadline = self.timeout or wait.deadline
        started, pause, shown = time.monotonic(), _FIRST_PAUSE, None
        while True:
            found = find(self.declared, self.cloud, scope)
            if found is None:
                if wait.until == GONE:
                    return
            elif wait.until != GONE and evaluate(wait.until, found):
                return
            elif wait.fail and evaluate(wait.fail, found):
                raise EndedError(f"it ended in a state that it won't leave: {self._state(wait, found)}")
            state = self._state(wait, found)
            if state != shown:
                self.say(f"waiting: {state}")
                shown = state
            if time.monotonic() - started > deadline:
                raise ProviderError(
                    f"still {state} after {deadline:.0f} s; see `drydock logs`, then run `pulumi up` again"
                )
            self._pause(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    @staticmethod
    def _state(wait: Wait, found: Mapping[str, Any] | None) -> str:
        if found is None:
            return "not there yet"
        return str(evaluate(wait.progress, found)) if wait.progress else "not ready yet"

    def _appeared(self, scope: dict[str, Any], inputs: Mapping[str, Any], prior: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs of a resource that was just acted on; what was written may take a moment to be read."""
        until = time.monotonic() + APPEAR_DEADLINE
        while (found := find(self.declared, self.cloud, scope)) is None:
            if time.monotonic() > until:
                raise ProviderError(f"{scope['self']['id']} was made, but can't be found")
            self._pause(_FIRST_PAUSE)
        return outputs(self.declared, self.cloud, found, inputs, prior)

    def _as_is(self, scope: dict[str, Any], inputs: Mapping[str, Any], prior: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs after a failure, as far as they can be told."""
        try:
            found = find(self.declared, self.cloud, scope)
            if found is not None:
                return outputs(self.declared, self.cloud, found, inputs, prior)
        except Exception as error:
            self.say(f"its state can't be read: {_told(error)}")
        return {**prior, "region": region_of(inputs, prior, self.cloud)} if self.declared.regional else dict(prior)

    def _is_ours(self, scope: dict[str, Any]) -> bool:
        """Whether what has the name already carries exactly the tags that are wanted: then a run made it that was
        killed before it could say so. Tags name platform and environment, so nobody else's resource has them all."""
        wanted = scope["self"]["tags"]
        if not wanted or (found := self._namesake(scope)) is None:
            return False
        return bool(tagging.read(self.declared, found) == wanted)

    def _looked_up(self, scope: Mapping[str, Any]) -> Any:
        """The id of a resource whose creation goes on after its answer, which is why that doesn't say it."""
        if self.declared.lookup is None:
            return None
        until = time.monotonic() + APPEAR_DEADLINE
        while (found := look(self.declared, self.declared.lookup, self.cloud, scope)) is None:
            if time.monotonic() > until:
                return None
            self._pause(_FIRST_PAUSE)
        return evaluate(self.declared.canonical_id, found)

    def _found_id(self, scope: dict[str, Any]) -> Any:
        """The id of a resource whose creation was answered, but not heard."""
        found = self._namesake(scope)
        if found is None:
            raise ProviderError("it exists already and can't be found")
        return evaluate(self.declared.canonical_id or self.declared.id, {**scope, **found})

    def _namesake(self, scope: dict[str, Any]) -> dict[str, Any] | None:
        """The description of what has the name that is wanted; its id isn't known unless it is the name."""
        if self.declared.lookup is not None:
            return look(self.declared, self.declared.lookup, self.cloud, scope)
        id = evaluate(self.declared.id, {**scope, "answer": {}})
        return find(self.declared, self.cloud, {**scope, "self": {**scope["self"], "id": id}})

    def _pause(self, seconds: float) -> None:
        if self.cancelled.wait(seconds):
            raise ProviderError("cancelled")


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ProviderError) else f"{type(error).__name__}: {error}"


def _put(parameters: dict[str, Any], path: str, value: Any) -> None:
    *folders, name = path.split(".")
    for folder in folders:
        parameters = parameters.setdefault(folder, {})
    parameters[name] = value
