"""`pulumirpc.ResourceProvider` over a provider written in plain Python: markers and errors are translated here."""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import grpc  # type: ignore[import-untyped]
from google.protobuf.any_pb2 import Any as AnyMessage  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]

from dock.providers.errors import Failure, PartlyCreated, ProviderError
from dock.providers.properties import UNKNOWN, Properties, texts
from dock.providers.protocol import engine, engine_grpc, plugin, provider, provider_grpc, status

# Shorter texts are too common to be blanked out of a message.
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Resource:
    """Which resource a call is about; `say` shows a line of progress beside it."""

    urn: str
    name: str
    token: str
    say: Callable[[str], None]
    # Seconds; 0 when the program sets none.
    timeout: float = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What a provider's diff says of one property: `kind` is add, delete or update."""

    path: str
    kind: str
    replace: bool
    of_inputs: bool


class Provider(Protocol):
    """One configured provider. All values are plain, with UNKNOWN for what a preview can't know."""

    name: str
    version: str

    def schema(self) -> str: ...
    def check_config(self, inputs: dict[str, Any]) -> list[Failure]: ...
    def configure(self, inputs: dict[str, Any], stack: str) -> None: ...
    def check(
        self, resource: Resource, inputs: dict[str, Any], before: dict[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[Failure]]: ...
    def diff(
        self, token: str, state: dict[str, Any], before: dict[str, Any], inputs: dict[str, Any], ignored: list[str]
    ) -> tuple[list[Change], bool]: ...
    def preview(
        self,
        token: str,
        inputs: dict[str, Any],
        state: dict[str, Any] | None,
        before: dict[str, Any],
        ignored: list[str],
    ) -> dict[str, Any]: ...
    def create(self, resource: Resource, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]: ...
    def read(
        self, resource: Resource, id: str, inputs: dict[str, Any], state: dict[str, Any]
    ) -> tuple[str, dict[str, Any], dict[str, Any]] | None: ...
    def update(
        self,
        resource: Resource,
        id: str,
        inputs: dict[str, Any],
        before: dict[str, Any],
        state: dict[str, Any],
        ignored: list[str],
    ) -> dict[str, Any]: ...
    def delete(self, resource: Resource, id: str, before: dict[str, Any], state: dict[str, Any]) -> None: ...
    def invoke(self, token: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]: ...
    def secret(self, token: str) -> Iterable[str]: ...
    def cancel(self) -> None: ...


class Servicer(provider_grpc.ResourceProviderServicer):  # type: ignore[misc]
    """Serves one engine with one provider."""

    def __init__(self, served: Provider, engine_address: str = "") -> None:
        self.provider = served
        self._engine_address = engine_address
        self._engine: Any = None
        self._lock = threading.Lock()

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._engine_address = request.engine_address or self._engine_address
        return provider.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._engine_address = request.address
        self._engine = None
        return Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin.PluginInfo(version=self.provider.version)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider.GetSchemaResponse(schema=self.provider.schema())

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _answered(context, request.news):
            failures = self.provider.check_config(Properties.of(request.news).values)
            return provider.CheckResponse(inputs=request.news, failures=_failures(failures))

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        # A provider has no state of its own: another configuration just takes effect.
        old, new = (Properties.of(each).values for each in (request.old_inputs or request.olds, request.news))
        changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        answer = provider.DiffResponse
        return answer(changes=answer.DIFF_SOME if changed else answer.DIFF_NONE, diffs=changed)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _answered(context, request.args):
            values = Properties.of(request.args).values
            self.provider.configure(values, _stack(request.urn))
            return provider.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        news, olds = Properties.of(request.news), Properties.of(request.olds)
        with _answered(context, request.news):
            inputs, failures = self.provider.check(
                self._resource(request), news.values, olds.values, request.randomSeed
            )
            checked = Properties(inputs, news.secret)
            return provider.CheckResponse(inputs=checked.struct(), failures=_failures(failures))

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        state, before, news = (Properties.of(each) for each in (request.olds, request.old_inputs, request.news))
        with _answered(context, request.news, request.olds):
            changes, delete_first = self.provider.diff(
                self._resource(request).token, state.values, before.values, news.values, list(request.ignoreChanges)
            )
        answer = provider.DiffResponse(hasDetailedDiff=True, deleteBeforeReplace=delete_first)
        answer.changes = answer.DIFF_SOME if changes else answer.DIFF_NONE
        for change in changes:
            kind = change.kind.upper() + ("_REPLACE" if change.replace else "")
            answer.detailedDiff[change.path].kind = provider.PropertyDiff.Kind.Value(kind)
            answer.detailedDiff[change.path].inputDiff = change.of_inputs
        answer.diffs.extend(sorted({_top(change.path) for change in changes}))
        answer.replaces.extend(sorted({_top(change.path) for change in changes if change.replace}))
        return answer

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        inputs = Properties.of(request.properties)
        resource = self._resource(request)
        secret = inputs.secret | set(self.provider.secret(resource.token))
        with _answered(context, request.properties, doing=f"creating {resource.name}", inputs=inputs, secret=secret):
            if request.preview:
                values = self.provider.preview(resource.token, inputs.values, None, {}, [])
                return provider.CreateResponse(properties=Properties(values, secret).struct())
            id, values = self.provider.create(resource, inputs.values)
            return provider.CreateResponse(id=id, properties=Properties(values, secret).struct())

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        inputs, state = Properties.of(request.inputs), Properties.of(request.properties)
        resource = self._resource(request)
        secret = inputs.secret | state.secret | set(self.provider.secret(resource.token))
        with _answered(context, request.inputs, request.properties, doing=f"reading {resource.name}"):
            found = self.provider.read(resource, request.id, inputs.values, state.values)
            if found is None:
                return provider.ReadResponse()
            id, values, made_of = found
            return provider.ReadResponse(
                id=id, properties=Properties(values, secret).struct(), inputs=Properties(made_of, secret).struct()
            )

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        state, before, inputs = (Properties.of(each) for each in (request.olds, request.old_inputs, request.news))
        resource = self._resource(request)
        secret = inputs.secret | state.secret | set(self.provider.secret(resource.token))
        ignored = list(request.ignoreChanges)
        doing = f"updating {resource.name}"
        with _answered(context, request.news, request.olds, doing=doing, inputs=before, secret=secret):
            if request.preview:
                values = self.provider.preview(resource.token, inputs.values, state.values, before.values, ignored)
            else:
                values = self.provider.update(resource, request.id, inputs.values, before.values, state.values, ignored)
            return provider.UpdateResponse(properties=Properties(values, secret).struct())

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        before, state = Properties.of(request.old_inputs), Properties.of(request.properties)
        resource = self._resource(request)
        with _answered(context, request.properties, request.old_inputs, doing=f"deleting {resource.name}"):
            self.provider.delete(resource, request.id, before.values, state.values)
        return Empty()

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        arguments = Properties.of(request.args)
        with _answered(context, request.args, doing=f"calling {request.tok}"):
            values, failures = self.provider.invoke(request.tok, arguments.values)
            secret = set(self.provider.secret(request.tok)) | (set(values) if arguments.secret else set())
            answer = provider.InvokeResponse(failures=_failures(failures))
            getattr(answer, "return").CopyFrom(Properties(values, secret & values.keys()).struct())
            return answer

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.provider.cancel()
        return Empty()

    def Parameterize(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._refuse(context, "is not parameterized")

    def Call(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._refuse(context, f"has no methods ({request.tok})")

    def Construct(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._refuse(context, f"has no components ({request.type})")

    def List(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self._refuse(context, f"does not list resources ({request.token})")
        yield from ()

    def GetMapping(self, request: Any, context: grpc.ServicerContext) -> Any:
        # An empty answer says that there is none: nothing is converted from other tools here.
        return provider.GetMappingResponse()

    def GetMappings(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider.GetMappingsResponse()

    def _refuse(self, context: grpc.ServicerContext, what: str) -> None:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the dock's plugin for {self.provider.name} {what}")

    def _resource(self, request: Any) -> Resource:
        urn = request.urn
        kind = urn.split("::")[2].split("$")[-1] if urn.count("::") >= 3 else ""
        name = urn.split("::", 3)[3] if urn.count("::") >= 3 else urn
        timeout = getattr(request, "timeout", 0.0)
        return Resource(urn, name, request.type or kind, lambda line: self._say(urn, line), timeout)

    def _say(self, urn: str, line: str) -> None:
        """Progress is a courtesy: an engine that doesn't listen changes nothing."""
        if not self._engine_address:
            return
        with self._lock:
            if self._engine is None:
                self._engine = engine_grpc.EngineStub(grpc.insecure_channel(self._engine_address))
        with contextlib.suppress(grpc.RpcError):
            self._engine.Log(engine.LogRequest(severity=engine.INFO, message=line, urn=urn, ephemeral=True), timeout=5)


@contextmanager
def _answered(
    context: grpc.ServicerContext,
    *structs: Any,
    doing: str = "",
    inputs: Properties | None = None,
    secret: Iterable[str] = (),
) -> Iterator[None]:
    """Turns an exception into the engine's kind of error, without any of the structs' secrets in its text."""
    prefix = f"{doing}: " if doing else ""
    try:
        yield
    except PartlyCreated as error:
        reason = prefix + _scrubbed(str(error), structs)
        detail = AnyMessage()
        detail.Pack(
            provider.ErrorResourceInitFailed(
                id=error.id,
                properties=Properties(error.outputs, set(secret)).struct(),
                reasons=[reason],
                inputs=inputs.struct() if inputs else None,
            )
        )
        code = grpc.StatusCode.UNKNOWN
        rich = status.Status(code=code.value[0], message=reason, details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", rich.SerializeToString()),))
        context.abort(code, reason)
    except ProviderError as error:
        # The engine takes this code for a state that is known: nothing happened.
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, prefix + _scrubbed(str(error), structs))
    except Exception as error:
        # `abort` itself ends a call by an exception without arguments.
        if not context.is_active() or not str(error):
            raise
        print(_scrubbed(traceback.format_exc(), structs), file=sys.stderr, flush=True)
        reason = f"{prefix}the dock's plugin failed ({type(error).__name__}: {_scrubbed(str(error), structs)})"
        context.abort(grpc.StatusCode.INTERNAL, reason)


def _scrubbed(text: str, structs: Iterable[Any]) -> str:
    for struct in structs:
        properties = Properties.of(struct)
        for name in properties.secret:
            for word in texts(properties.values.get(name)):
                if len(word) >= _SHORTEST_SECRET:
                    text = text.replace(word, "[secret]")
    return text


def _failures(failures: Iterable[Failure]) -> list[Any]:
    return [provider.CheckFailure(property=failure.path, reason=failure.reason) for failure in failures]


def _stack(urn: str) -> str:
    """`urn:pulumi:STACK::PROJECT::…`; empty for an engine that doesn't send it."""
    return urn.split("::")[0].rpartition(":")[2] if urn.startswith("urn:pulumi:") else ""


def _top(path: str) -> str:
    return path.split(".")[0].split("[")[0]


def unknown_outputs(names: Iterable[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of something that doesn't exist yet."""
    return {**dict.fromkeys(names, UNKNOWN), **known}
