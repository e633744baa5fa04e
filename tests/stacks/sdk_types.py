"""What the SDK's types say of a resource's inputs. Mocks take anything, so a misspelt key would pass unseen."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from enum import Enum
from types import UnionType
from typing import Any

import pulumi
from pulumi import _types


def complaints(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """What is wrong with the inputs (Pulumi's names) of a resource of a type such as `aws:ec2/vpc:Vpc`."""
    vendor, module, kind = token.split(":")
    place = module.split("/")[0]
    package = importlib.import_module(f"pulumi_{vendor}" + ("" if place == "index" else f".{place}"))
    arguments = getattr(package, f"{kind}InitArgs", None) or getattr(package, f"{kind}Args")
    return list(_object(arguments, inputs, token))


def _object(kind: Any, value: Mapping[str, Any], where: str) -> Iterator[str]:
    names = _types.input_type_py_to_pulumi_names(kind)
    by_name = _types.input_type_types(kind)
    required = {
        names[parameter.name]
        for parameter in inspect.signature(kind.__init__).parameters.values()
        if parameter.default is inspect.Parameter.empty and parameter.name in names
    }
    for missing in sorted(required - value.keys()):
        yield f"{where}: {missing} is missing"
    for name, item in value.items():
        if name not in by_name:
            yield f"{where}: there is no {name}"
        else:
            yield from _value(by_name[name], item, f"{where}.{name}")


def _value(declared: Any, value: Any, where: str) -> Iterator[str]:
    found: list[str] = []
    for choice in _alternatives(declared):
        problems = list(_one(choice, value, where))
        if not problems:
            return
        found = problems
    yield from found


def _alternatives(declared: Any) -> Iterator[Any]:
    """Without `Input`, `Optional` and unions."""
    origin = typing.get_origin(declared)
    if origin in (typing.Union, UnionType):
        for each in typing.get_args(declared):
            if typing.get_origin(each) not in (Awaitable, pulumi.Output):
                yield from _alternatives(each)
    elif declared is not type(None) and not typing.is_typeddict(declared):
        # A nested input is declared twice, as a class and as a dict of the same keys.
        yield declared


def _one(declared: Any, value: Any, where: str) -> Iterator[str]:
    origin = typing.get_origin(declared)
    if isinstance(declared, type) and _types.is_input_type(declared):
        if isinstance(value, Mapping):
            yield from _object(declared, value, where)
        else:
            yield f"{where}: {value!r} is not an object"
    elif origin in (Sequence, list):
        if not isinstance(value, list):
            yield f"{where}: {value!r} is not a list"
            return
        for number, item in enumerate(value):
            yield from _value(typing.get_args(declared)[0], item, f"{where}[{number}]")
    elif origin in (Mapping, dict):
        if not isinstance(value, Mapping):
            yield f"{where}: {value!r} is not a map"
            return
        for name, item in value.items():
            yield from _value(typing.get_args(declared)[1], item, f"{where}.{name}")
    elif isinstance(declared, type) and issubclass(declared, Enum):
        if value not in [each.value for each in declared]:
            yield f"{where}: {value!r} is none of {[each.value for each in declared]}"
    elif declared is bool or declared is str:
        if type(value) is not declared:
            yield f"{where}: {value!r} is not {declared.__name__}"
    elif declared in (int, float):
        if type(value) not in (int, float) or (declared is int and type(value) is float):
            yield f"{where}: {value!r} is not {declared.__name__}"
    elif declared is not Any:
        raise AssertionError(f"{where}: the test knows no type {declared!r}")
