"""AWS's wire protocols from the server's side, driven by botocore's service models: requests in, checked.

botocore has the client's side of them; the server's side exists in no library that is small and public.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from typing import Any
from urllib.parse import parse_qsl

import botocore.validate
from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

from dock.aws import form
from dock.aws.request import Identified, Protocol
from dock.aws.service import AwsError

_FORMS = (Protocol.QUERY, Protocol.EC2)


def parse(identified: Identified) -> tuple[OperationModel, dict[str, Any]]:
    """The operation and its checked parameters. Raises AwsError for anything that the model doesn't allow."""
    operation = identified.operation_model
    if operation is None:
        raise AwsError("InvalidAction", f"{identified.service} has no operation {identified.asked!r}")
    request = _read(identified, operation) if operation.input_shape is not None else {}
    _check(identified.protocol, operation, request)
    return operation, request


def _read(identified: Identified, operation: OperationModel) -> dict[str, Any]:
    shape = operation.input_shape
    assert shape is not None
    match identified.protocol:
        case Protocol.QUERY:
            given = dict(parse_qsl(identified.body.decode(), keep_blank_values=True))
            given.pop("Action", None)
            given.pop("Version", None)
            request = form.parse_query(given, shape)
            if given:
                raise AwsError("ValidationError", f"{operation.name}: unknown parameter {sorted(given)[0]}")
            return request
        case Protocol.JSON:
            try:
                document = json.loads(identified.body or b"{}")
            except ValueError as problem:
                raise AwsError("SerializationException", f"the body is not JSON: {problem}") from None
            if not isinstance(document, dict):
                raise AwsError("SerializationException", "the body is not a JSON object")
        case _:
            document = identified.parameters
    typed: dict[str, Any] = _typed(document, shape, operation.name)
    return typed


def _check(protocol: Protocol, operation: OperationModel, request: dict[str, Any]) -> None:
    if operation.input_shape is None:
        return
    report = botocore.validate.ParamValidator().validate(request, operation.input_shape)
    problems = [report.generate_report()] if report.has_errors() else []
    problems += _wrong_enums(request, operation.input_shape, "")
    if problems:
        raise AwsError(_invalid(protocol, operation), f"{operation.name}: {'; '.join(problems)}")


def _invalid(protocol: Protocol, operation: OperationModel) -> str:
    """What a service calls a parameter that its model doesn't allow."""
    match protocol:
        case Protocol.QUERY | Protocol.CBOR:
            return "ValidationError"
        case Protocol.REST_XML:
            return "InvalidInput" if "InvalidInput" in operation.service_model.shape_names else "InvalidArgument"
        case Protocol.REST_JSON:
            return "ValidationException"
    return "InvalidParameterException"


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


def _typed(value: Any, shape: Shape, path: str) -> Any:
    """The value with moments and bytes in Python's types. Raises AwsError for a name that the model doesn't have."""
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            raise AwsError("SerializationException", f"{path} is not an object")
        unknown = sorted(set(value) - set(shape.members))
        if unknown:
            raise AwsError("SerializationException", f"{path} has no member {unknown[0]!r}")
        return {
            name: _typed(item, shape.members[name], f"{path}.{name}")
            for name, item in value.items()
            if item is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_typed(item, shape.member, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: _typed(item, shape.value, f"{path}.{key}") for key, item in value.items()}
    if shape.type_name == "timestamp":
        return _moment(value, path)
    if shape.type_name == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error):
            raise AwsError("SerializationException", f"{path} is not base64") from None
    return value


def _moment(value: Any, path: str) -> Any:
    if isinstance(value, (int, float)):
        return dt.datetime.fromtimestamp(value, dt.UTC)
    if isinstance(value, str):
        try:
            return dt.datetime.fromisoformat(value)
        except ValueError:
            raise AwsError("SerializationException", f"{path} is {value!r}, expected a timestamp") from None
    return value
