"""The input types of an unchanged SDK, as `schema.json` has them: `python -m dock.providers.aws.sdk` writes AWS's.

Only the types that have a declaration are in it. It is run when a declaration or the SDK's version is new; a test
keeps the file current. A plugin never imports the SDK.
"""

from __future__ import annotations

import collections.abc
import importlib
import inspect
import json
import re
import types
import typing
from enum import Enum
from importlib.metadata import version
from typing import Any

from dock.providers.declaration import tokens
from dock.providers.schema import Type

_PRIMITIVES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_SECRETS = re.compile(r"additional_secret_outputs=\[([^\]]*)\]")


def generate(package: str) -> str:
    """The text of the schema file of a provider, for its installed SDK."""
    from pulumi import _types as sdk_types

    sdk = importlib.import_module(f"pulumi_{package}")
    resources = {f"pulumi:providers:{package}": _resource(sdk.Provider, sdk.ProviderArgs, sdk_types)}
    for token in tokens(package):
        module, name = token.split(":")[1].split("/")[0], token.rpartition(":")[2]
        place = sdk if module == "index" else getattr(sdk, module)
        # Where a nested type has the name already, the SDK calls the resource's own arguments `…InitArgs`.
        arguments = getattr(place, f"{name}InitArgs", None) or getattr(place, f"{name}Args")
        resources[token] = _resource(getattr(place, name), arguments, sdk_types)
    lines = [f"{json.dumps(token)}: {json.dumps(facts, sort_keys=True)}" for token, facts in resources.items()]
    # One line for each type, so that a change of the SDK reads well.
    body = ",\n".join(lines)
    return f'{{"version": {json.dumps(version(f"pulumi-{package}"))}, "resources": {{\n{body}\n}}}}\n'


def _resource(resource: type, arguments: type, sdk_types: Any) -> dict[str, Any]:
    translated = sdk_types.resource_py_to_pulumi_names(resource)
    outputs = [translated.get(name, name) for name, value in vars(resource).items() if isinstance(value, property)]
    secret = _SECRETS.search(inspect.getsource(resource))
    return {
        **_object(arguments, sdk_types),
        "outputs": sorted(outputs),
        "secret": sorted(re.findall(r'"(\w+)"', secret.group(1))) if secret else [],
    }


def _object(arguments: type, sdk_types: Any) -> dict[str, Any]:
    names = sdk_types.input_type_py_to_pulumi_names(arguments)
    required = [
        names.get(parameter.name, parameter.name)
        for parameter in inspect.signature(arguments.__init__).parameters.values()  # type: ignore[misc]
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    ]
    kinds = {name: _type(kind, sdk_types) for name, kind in sdk_types.input_type_types(arguments).items()}
    return {"inputs": kinds, "required": sorted(required)}


def _type(annotation: Any, sdk_types: Any) -> Type:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        # An input may also be awaited, or an output: what counts is the value. A union with texts is open.
        kinds = [
            _type(each, sdk_types)
            for each in typing.get_args(annotation)
            if each is not type(None)
            and typing.get_origin(each) is not collections.abc.Awaitable
            and getattr(typing.get_origin(each) or each, "__name__", "") != "Output"
        ]
        plain = [kind for kind in kinds if kind in _PRIMITIVES.values()]
        return plain[0] if plain else kinds[0] if kinds else "any"
    if origin in (list, collections.abc.Sequence):
        return {"list": _type(typing.get_args(annotation)[0], sdk_types)}
    if origin in (dict, collections.abc.Mapping):
        return {"map": _type(typing.get_args(annotation)[1], sdk_types)}
    if annotation in _PRIMITIVES:
        return _PRIMITIVES[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"enum": [member.value for member in annotation]}
    if isinstance(annotation, type) and sdk_types.is_input_type(annotation):
        inner = _object(annotation, sdk_types)
        return {"object": inner["inputs"], "required": inner["required"]}
    return "any"
