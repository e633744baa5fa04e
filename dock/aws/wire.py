"""AWS's wire protocols from the server's side, driven by botocore's service models.

Only the two that the dock's own services speak: `query` (form in, XML out) and `json`. botocore has the client's
side of both; the server's side exists in no library that is small and public.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import botocore.loaders
import botocore.model
import botocore.validate
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StringShape, StructureShape

from dock.aws.service import AwsError


@functools.cache
def service_model(name: str) -> ServiceModel:
    """botocore's model of a service, loaded once."""
    loader = botocore.loaders.Loader()
    return ServiceModel(loader.load_service_model(name, "service-2"), service_name=name)


def protocol(model: ServiceModel) -> str:
    """`query` or `json`."""
    return "query" if model.metadata["protocol"] == "query" else "json"


def parse(model: ServiceModel, headers: Mapping[str, str], body: bytes) -> tuple[OperationModel, dict[str, Any]]:
    """The operation and its checked parameters. Raises AwsError for anything that the model doesn't allow."""
    if protocol(model) == "query":
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = _operation(model, form.pop("Action", ""))
        form.pop("Version", None)
        request = _structure_from_form(form, operation.input_shape) if operation.input_shape else {}
        if form:
            raise AwsError("ValidationError", f"{operation.name}: unknown parameter {sorted(form)[0]}")
    else:
        operation = _operation(model, headers.get("X-Amz-Target", "").rpartition(".")[2])
        try:
            document = json.loads(body or b"{}")
        except ValueError as problem:
            raise AwsError("SerializationException", f"the body is not JSON: {problem}") from None
        if not isinstance(document, dict):
            raise AwsError("SerializationException", "the body is not a JSON object")
        request = _from_json(document, operation.input_shape, operation.name) if operation.input_shape else {}
    _check(operation, request)
    return operation, request


def render(operation: OperationModel, response: dict[str, Any], request_id: str) -> tuple[str, bytes]:
    """Content type and body of a successful answer."""
    model = operation.service_model
    if protocol(model) == "json":
        version = model.metadata.get("jsonVersion", "1.1")
        document = _to_json(response, operation.output_shape) if operation.output_shape else {}
        return f"application/x-amz-json-{version}", json.dumps(document).encode()
    root = ElementTree.Element(f"{operation.name}Response", xmlns=model.metadata.get("xmlNamespace", ""))
    if operation.output_shape is not None:
        wrapper = operation.output_shape.serialization.get("resultWrapper")
        holder = ElementTree.SubElement(root, wrapper) if wrapper else root
        _members_to_xml(holder, response, operation.output_shape)
    metadata = ElementTree.SubElement(root, "ResponseMetadata")
    ElementTree.SubElement(metadata, "RequestId").text = request_id
    return "text/xml", ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def render_error(model: ServiceModel, error: AwsError, request_id: str) -> tuple[int, str, bytes]:
    """Status, content type and body of an error. A botocore exception's name is turned into its code on the wire."""
    code, status = error.code, error.status
    if error.code in model.shape_names:
        declared = model.shape_for(error.code).metadata.get("error", {})
        code = declared.get("code", error.code)
        status = declared.get("httpStatusCode", status)
    if protocol(model) == "json":
        document = {"__type": code, "message": error.message, "Message": error.message}
        return (
            status,
            f"application/x-amz-json-{model.metadata.get('jsonVersion', '1.1')}",
            json.dumps(document).encode(),
        )
    root = ElementTree.Element("ErrorResponse", xmlns=model.metadata.get("xmlNamespace", ""))
    holder = ElementTree.SubElement(root, "Error")
    ElementTree.SubElement(holder, "Type").text = "Sender" if status < 500 else "Receiver"
    ElementTree.SubElement(holder, "Code").text = code
    ElementTree.SubElement(holder, "Message").text = error.message
    ElementTree.SubElement(root, "RequestId").text = request_id
    return status, "text/xml", ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _operation(model: ServiceModel, name: str) -> OperationModel:
    if name not in model.operation_names:
        raise AwsError("InvalidAction", f"{model.service_name} has no operation {name!r}")
    return model.operation_model(name)


def _check(operation: OperationModel, request: dict[str, Any]) -> None:
    if operation.input_shape is None:
        return
    report = botocore.validate.ParamValidator().validate(request, operation.input_shape)
    problems = [report.generate_report()] if report.has_errors() else []
    problems += _wrong_enums(request, operation.input_shape, "")
    if problems:
        code = "ValidationError" if protocol(operation.service_model) == "query" else "InvalidParameterException"
        raise AwsError(code, f"{operation.name}: {'; '.join(problems)}")


def _wrong_enums(value: Any, shape: Shape, path: str) -> list[str]:
    if isinstance(shape, StructureShape):
        return [
            problem
            for name, item in value.items()
            if name in shape.members
            for problem in _wrong_enums(item, shape.members[name], f"{path}.{name}".lstrip("."))
        ]
    if isinstance(shape, ListShape):
        return [
            problem
            for index, item in enumerate(value)
            for problem in _wrong_enums(item, shape.member, f"{path}[{index}]")
        ]
    if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        return [f"{path} is {value!r}, expected one of {', '.join(shape.enum)}"]
    return []


# query: form → values


def _structure_from_form(form: dict[str, str], shape: StructureShape, prefix: str = "") -> dict[str, Any]:
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


# json → values


def _from_json(value: Any, shape: Shape, path: str) -> Any:
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            raise AwsError("SerializationException", f"{path} is not an object")
        unknown = sorted(set(value) - set(shape.members))
        if unknown:
            raise AwsError("SerializationException", f"{path} has no member {unknown[0]!r}")
        return {
            name: _from_json(item, shape.members[name], f"{path}.{name}")
            for name, item in value.items()
            if item is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_from_json(item, shape.member, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: _from_json(item, shape.value, f"{path}.{key}") for key, item in value.items()}
    if shape.type_name == "timestamp" and isinstance(value, (int, float)):
        return dt.datetime.fromtimestamp(value, dt.UTC)
    if shape.type_name == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except ValueError:
            raise AwsError("SerializationException", f"{path} is not base64") from None
    return value


# values → wire


def _to_json(value: Any, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        return {
            name: _to_json(item, shape.members[name])
            for name, item in value.items()
            if item is not None and name in shape.members
        }
    if isinstance(shape, ListShape):
        return [_to_json(item, shape.member) for item in value]
    if isinstance(shape, MapShape):
        return {key: _to_json(item, shape.value) for key, item in value.items()}
    if shape.type_name == "timestamp":
        return value.timestamp() if isinstance(value, dt.datetime) else value
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    return value


def _members_to_xml(parent: ElementTree.Element, value: dict[str, Any], shape: StructureShape) -> None:
    for name, item in value.items():
        if item is not None and name in shape.members:
            member = shape.members[name]
            _to_xml(parent, member.serialization.get("name", name), item, member)


def _to_xml(parent: ElementTree.Element, name: str, value: Any, shape: Shape) -> None:
    if isinstance(shape, ListShape):
        flattened = shape.serialization.get("flattened")
        holder = parent if flattened else ElementTree.SubElement(parent, name)
        member_name = name if flattened else shape.member.serialization.get("name", "member")
        for item in value:
            _to_xml(holder, member_name, item, shape.member)
        return
    element = ElementTree.SubElement(parent, name)
    if isinstance(shape, StructureShape):
        _members_to_xml(element, value, shape)
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            entry = ElementTree.SubElement(element, "entry")
            ElementTree.SubElement(entry, shape.key.serialization.get("name", "key")).text = key
            _to_xml(entry, shape.value.serialization.get("name", "value"), item, shape.value)
    elif shape.type_name == "boolean":
        element.text = "true" if value else "false"
    elif shape.type_name == "timestamp":
        moment = value if isinstance(value, dt.datetime) else dt.datetime.fromtimestamp(value, dt.UTC)
        element.text = moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    elif shape.type_name == "blob":
        element.text = base64.b64encode(value).decode()
    else:
        element.text = str(value)
