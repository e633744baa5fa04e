"""Parameters that come as a form: the protocol `query`, and EC2's own kind of it."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from dock.aws.service import AwsError


def parse_query(form: dict[str, str], shape: StructureShape) -> dict[str, Any]:
    """`Name.member.1=…` and the like. What was understood is taken out of `form`. Raises AwsError for a wrong type."""
    return _structure_from_form(form, shape, "")


def parse_ec2(form: Mapping[str, str], shape: StructureShape) -> dict[str, Any]:
    """EC2's form: every list is flat, and names have their own capitals. Values of a wrong type stay texts."""
    return _ec2_structure(form, shape, "")


def _structure_from_form(form: dict[str, str], shape: StructureShape, prefix: str) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        key = prefix + member.serialization.get("queryName", member.serialization.get("name", name))
        value = _from_form(form, member, key)
        if value is not None:
            found[name] = value
    return found


def _from_form(form: dict[str, str], shape: Shape, key: str) -> Any:
    if isinstance(shape, StructureShape):
        if not any(name.startswith(key + ".") for name in form):
            return None
        return _structure_from_form(form, shape, key + ".")
    if isinstance(shape, ListShape):
        if form.get(key) == "":
            form.pop(key)
            return []
        if not shape.serialization.get("flattened"):
            member_name = shape.member.serialization.get("name", "member")
            # AWS takes both names; SDKs send the model's, people and older tools send `member`.
            key = next(
                (f"{key}.{name}" for name in (member_name, "member") if f"{key}.{name}" in _prefixes(form, key)),
                f"{key}.{member_name}",
            )
        items: list[Any] = []
        while (item := _from_form(form, shape.member, f"{key}.{len(items) + 1}")) is not None:
            items.append(item)
        return items or None
    if isinstance(shape, MapShape):
        entry = key if shape.serialization.get("flattened") else f"{key}.entry"
        entries: dict[str, Any] = {}
        key_name = shape.key.serialization.get("name", "key")
        value_name = shape.value.serialization.get("name", "value")
        while (name := form.pop(f"{entry}.{len(entries) + 1}.{key_name}", None)) is not None:
            entries[name] = _from_form(form, shape.value, f"{entry}.{len(entries) + 1}.{value_name}")
        return entries or None
    text = form.pop(key, None)
    return None if text is None else _scalar(text, shape, key)


def _prefixes(form: dict[str, str], key: str) -> set[str]:
    depth = key.count(".") + 2
    return {".".join(name.split(".")[:depth]) for name in form if name.startswith(key + ".")}


def _scalar(text: str, shape: Shape, key: str) -> Any:
    try:
        match shape.type_name:
            case "integer" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case "timestamp":
                return dt.datetime.fromisoformat(text)
            case "blob":
                return base64.b64decode(text, validate=True)
    except (ValueError, KeyError):
        raise AwsError("ValidationError", f"{key} is {text!r}, expected {shape.type_name}") from None
    return text


def _ec2_structure(form: Mapping[str, str], shape: StructureShape, prefix: str) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        key = member.serialization.get("queryName")
        if key is None:
            key = member.serialization.get("name", name)
            key = key[:1].upper() + key[1:]
        if any(given == prefix + key or given.startswith(f"{prefix}{key}.") for given in form):
            found[name] = _ec2_value(form, member, prefix + key)
    return found


def _ec2_value(form: Mapping[str, str], shape: Shape, key: str) -> Any:
    if isinstance(shape, StructureShape):
        return _ec2_structure(form, shape, f"{key}.")
    if isinstance(shape, ListShape):
        depth = key.count(".") + 1
        numbers = {name.split(".")[depth] for name in form if name.startswith(f"{key}.")}
        ordered = sorted((number for number in numbers if number.isdigit()), key=int)
        return [_ec2_value(form, shape.member, f"{key}.{number}") for number in ordered]
    try:
        return _scalar(form.get(key, ""), shape, key)
    except AwsError:
        return form[key]
